//! The decision: every layer's verdict, and what follows from all of them.

use crate::brief::{Ancestor, Brief};
use crate::layer::{self, Allowing};
use crate::verdict::{Layer, Verdict};
use credence_model::budget::Taken;
use credence_model::command::Take;
use credence_model::id::{ActorRef, DelegationId, Digest};
use credence_model::permission::condition::Attribute;
use credence_model::permission::decimal::Decimal;
use credence_model::permission::obligation::{Budget, Counted, Obligation};
use credence_model::permission::question::{Fact, Question};
use credence_model::time::Timestamp;

/// Allowed or denied, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether every layer allows it.
    pub allowed: bool,
    /// What each layer says: the actor's own, then those of the actor that spawned it, and so on.
    pub layers: Vec<Verdict>,
    /// What has to happen beside it, if it is allowed.
    pub obligations: Vec<String>,
    /// What it uses up, if it is allowed: it counts only once that is recorded.
    pub using: Using,
}

/// What a decision uses up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Using {
    /// Delegations whose uses are counted.
    pub delegations: Vec<DelegationId>,
    /// Budgets.
    pub budgets: Vec<Take>,
}

/// How much an actor has used up of a budget in the period that began then, in seconds since the Unix epoch.
pub type Spent<'a> = &'a dyn Fn(&ActorRef, Digest, u64) -> Decimal;

/// Decides a question about an actor.
pub fn decide(brief: &Brief, question: &Question, spent: Spent) -> Decision {
    let now = question.at;
    let mut decision = Decision { allowed: true, layers: Vec::new(), obligations: Vec::new(), using: Using::default() };
    let mut of = Some(brief);
    while let Some(brief) = of {
        for said in layer::all(brief, question, now) {
            decision.layers.push(said.verdict);
            decision.choose(brief, said.allowing, question, spent);
        }
        of = match &brief.parent {
            Some(Ancestor::Known(parent)) => Some(parent),
            Some(Ancestor::Deleted(parent)) => {
                let (actor, why) = (parent.clone(), format!("actor {parent} was deleted"));
                decision.layers.push(Verdict { actor, layer: Layer::Standing, allowed: false, why, missing: None });
                None
            }
            None => None,
        };
    }
    decision.allowed = decision.layers.iter().all(|verdict| verdict.allowed);
    if !decision.allowed {
        decision.obligations.clear();
        decision.using = Using::default();
    }
    decision
}

impl Decision {
    /// What denies, first the actor's own.
    pub fn denials(&self) -> impl Iterator<Item = &Verdict> {
        self.layers.iter().filter(|verdict| !verdict.allowed)
    }

    /// Takes the first that allows and has enough left of its budget, with its duties.
    fn choose(&mut self, brief: &Brief, allowing: Vec<Allowing>, question: &Question, spent: Spent) {
        if allowing.is_empty() {
            return;
        }
        let mut short = None;
        for Allowing { text, with, delegation } in allowing {
            let source = delegation.as_ref().map_or_else(|| brief.class.to_string(), |found| found.id.to_string());
            match budgets(brief, (&source, &text), &with, question, spent) {
                Ok(budgets) => {
                    self.using.budgets.extend(budgets);
                    let counted = delegation.filter(|found| found.terms.uses.is_some()).map(|found| found.id);
                    self.using.delegations.extend(counted);
                    let duties = with.iter().map(ToString::to_string);
                    self.obligations.extend(duties);
                    self.obligations.sort();
                    self.obligations.dedup();
                    return;
                }
                Err(why) => short = Some(why),
            }
        }
        let why = short.unwrap_or_default();
        self.layers.push(Verdict::deny(brief, Layer::Budget, why, None));
    }
}

/// What a permission takes from its budgets, or why there is not enough left.
fn budgets(
    brief: &Brief,
    of: (&str, &str),
    with: &[Obligation],
    question: &Question,
    spent: Spent,
) -> Result<Vec<Take>, String> {
    let budgets = with.iter().filter_map(|duty| match duty {
        Obligation::Budget(budget) => Some(budget),
        Obligation::Log | Obligation::StepUp => None,
    });
    budgets.map(|budget| take(brief, of, budget, question, spent)).collect()
}

fn take(
    brief: &Brief,
    (source, text): (&str, &str),
    budget: &Budget,
    question: &Question,
    spent: Spent,
) -> Result<Take, String> {
    let silent = || format!("the request does not say an amount that can be taken from the budget of `{text}`");
    let amount = amount(budget, question).ok_or_else(silent)?;
    // Not the limit, nor what it is about: whoever makes a permission narrower does not give anew what was used up.
    let counted = match &budget.of {
        Counted::Calls => "calls",
        Counted::Amount(currency) => currency.as_str(),
    };
    let key = Digest::of(format!("{source}\n{counted}\n{}", budget.per as u8).as_bytes());
    let since_secs = budget.since_secs(question.at);
    let before = spent(&brief.actor, key, since_secs);
    match before.plus(amount).filter(|sum| *sum <= budget.most) {
        Some(_) => {
            let taken = Taken { budget: key, since_secs, amount: amount.ten_thousandths() };
            Ok(Take { taken, most: budget.most.ten_thousandths() })
        }
        None => Err(format!("{before} of {} are used up of `{text}`, and this takes {amount}", budget.most)),
    }
}

/// How much a request takes. An amount that is negative, or in another currency, takes nothing that could be counted.
fn amount(budget: &Budget, question: &Question) -> Option<Decimal> {
    let Counted::Amount(currency) = &budget.of else { return Decimal::whole(1) };
    let attribute = Attribute::Context("amount".into());
    let is_currency = matches!(question.fact(&attribute.currency()?)?, Fact::Word(word) if word == *currency);
    match question.fact(&attribute)? {
        Fact::Number(number) if is_currency && number >= Decimal::default() => Some(number),
        _ => None,
    }
}

/// When a decision about this actor, if nothing is recorded meanwhile, can become another: the next moment at which a
/// delegation begins or ends.
pub fn changes_at(brief: &Brief, now: Timestamp) -> Option<Timestamp> {
    let own = brief.delegations.iter().flat_map(|found| [found.terms.not_before, found.terms.expires_at]);
    let above = match &brief.parent {
        Some(Ancestor::Known(parent)) => changes_at(parent, now),
        Some(Ancestor::Deleted(_)) | None => None,
    };
    own.chain(above).filter(|at| *at > now).min()
}
