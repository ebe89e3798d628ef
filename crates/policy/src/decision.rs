//! The decision: every layer's verdict, and what follows from all of them.

use crate::brief::{Ancestor, Brief};
use crate::layer::{self, Allowing, By};
use crate::verdict::{Layer, Verdict};
use credence_model::budget::Taken;
use credence_model::command::Take;
use credence_model::guards::Guards;
use credence_model::id::{ActorRef, DelegationId, Digest};
use credence_model::permission::decimal::Decimal;
use credence_model::permission::obligation::{Budget, Counted, LOG, Obligation, STEP_UP};
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

impl Using {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.delegations.is_empty() && self.budgets.is_empty()
    }
}

/// How much an actor has used up of a budget in the period that began then, in seconds since the Unix epoch.
pub type Spent<'a> = &'a dyn Fn(&ActorRef, Digest, u64) -> Decimal;

/// Decides a question about an actor. `guards` are what owners of resources say, of all that could cover this one.
pub fn decide(brief: &Brief, question: &Question, guards: &Guards, spent: Spent) -> Decision {
    let mut decision = Decision::begin();
    let (mut of, mut is_caller) = (Some(brief), true);
    while let Some(brief) = of {
        for said in layer::all(brief, question, guards, is_caller) {
            decision.layers.push(said.verdict);
            decision.choose(brief, &said.allowing, question, spent);
        }
        is_caller = false;
        of = decision.ancestor(brief);
    }
    decision.allowed = decision.layers.iter().all(|verdict| verdict.allowed);
    if !decision.allowed {
        decision.obligations.clear();
        decision.using = Using::default();
    }
    for take in &mut decision.using.budgets {
        // The budget of whoever uses it needs no name.
        take.taken.of = take.taken.of.take().filter(|of| *of != brief.actor);
    }
    decision
}

/// Whether an actor may act at all: nothing of it or of its ancestors is over.
pub fn standing(brief: &Brief) -> Decision {
    let mut decision = Decision::begin();
    let mut of = Some(brief);
    while let Some(brief) = of {
        decision.layers.push(layer::standing(brief).verdict);
        of = decision.ancestor(brief);
    }
    decision.allowed = decision.layers.iter().all(|verdict| verdict.allowed);
    decision
}

impl Decision {
    fn begin() -> Self {
        Self { allowed: true, layers: Vec::new(), obligations: Vec::new(), using: Using::default() }
    }

    /// Whether a person has to confirm it before it is done.
    pub fn needs_person(&self) -> bool {
        self.obligations.iter().any(|duty| duty == STEP_UP)
    }

    /// Whether it has to be recorded before it is answered.
    pub fn is_logged(&self) -> bool {
        self.obligations.iter().any(|duty| duty == LOG)
    }

    /// The actor that spawned it, if there is one; one that was deleted permits nothing.
    fn ancestor<'b>(&mut self, brief: &'b Brief) -> Option<&'b Brief> {
        match &brief.parent {
            Some(Ancestor::Known(parent)) => Some(parent),
            Some(Ancestor::Deleted(parent)) => {
                let (actor, why) = (parent.clone(), format!("actor {parent} was deleted"));
                self.layers.push(Verdict { actor, layer: Layer::Standing, allowed: false, why, missing: None });
                None
            }
            None => None,
        }
    }

    /// What denies, first the actor's own.
    pub fn denials(&self) -> impl Iterator<Item = &Verdict> {
        self.layers.iter().filter(|verdict| !verdict.allowed)
    }

    /// Takes the first that allows and has enough left of its budget, with its duties.
    fn choose(&mut self, brief: &Brief, allowing: &[Allowing], question: &Question, spent: Spent) {
        let mut short = None;
        for allowing in allowing {
            match budgets(brief, allowing, question, spent) {
                Ok(budgets) => {
                    budgets.into_iter().for_each(|take| self.take(take));
                    let counted = allowing.delegation().filter(|found| found.terms.uses.is_some());
                    self.using.delegations.extend(counted.map(|found| found.id));
                    self.obligations.extend(allowing.with.iter().map(ToString::to_string));
                    self.obligations.sort();
                    self.obligations.dedup();
                    return;
                }
                Err(why) => short = Some(why),
            }
        }
        let short = short.map(|why| Verdict::deny(brief, Layer::Budget, why, None));
        self.layers.extend(short);
    }

    /// What a class and the consent to it count in one budget is taken once.
    fn take(&mut self, take: Take) {
        let is_same = |present: &&mut Take| present.taken == take.taken;
        match self.using.budgets.iter_mut().find(is_same) {
            Some(present) => present.most = present.most.min(take.most),
            None => self.using.budgets.push(take),
        }
    }
}

/// What a permission takes from its budgets, or why there is not enough left.
fn budgets(brief: &Brief, allowing: &Allowing, question: &Question, spent: Spent) -> Result<Vec<Take>, String> {
    let budgets = allowing.with.iter().filter_map(|duty| match duty {
        Obligation::Budget(budget) => Some(budget),
        Obligation::Log | Obligation::StepUp => None,
    });
    budgets.map(|budget| take(brief, allowing, budget, question, spent)).collect()
}

fn take(
    brief: &Brief,
    Allowing { line, by, .. }: &Allowing,
    budget: &Budget,
    question: &Question,
    spent: Spent,
) -> Result<Take, String> {
    let silent = || format!("the request does not say an amount that can be taken from the budget of `{line}`");
    let amount = amount(budget, question).ok_or_else(silent)?;
    let source = match by {
        By::Class => brief.class.to_string(),
        By::Delegation(found) => found.id.to_string(),
        // A class has no space in its name.
        By::Guard(guard) => format!("guard {guard}"),
    };
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
            let of = Some(brief.actor.clone());
            let taken = Taken { budget: key, since_secs, amount: amount.ten_thousandths(), of };
            Ok(Take { taken, most: budget.most.ten_thousandths() })
        }
        None => Err(format!("{before} of {} are used up of `{line}`, and this takes {amount}", budget.most)),
    }
}

/// How much a request takes. An amount that is negative, or in another currency, takes nothing that could be counted.
fn amount(budget: &Budget, question: &Question) -> Option<Decimal> {
    let Counted::Amount(currency) = &budget.of else { return Decimal::whole(1) };
    let is_currency = matches!(question.context.at("currency")?, Fact::Word(word) if word == currency);
    match question.context.at("amount")? {
        Fact::Number(number) if is_currency && *number >= Decimal::default() => Some(*number),
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
