//! How a simulated server decides: on the registry that it has, as the product's does.

use super::{Outside, Server};
use crate::sim::Fault;
use crate::sim::ledger::Asked;
use credence_model::decided::{Decided, Said};
use credence_model::guards::Guards;
use credence_model::id::{ActorRef, ClassRef, DecisionId, Digest, ID_ENTROPY_BYTES};
use credence_model::permission::decimal::Decimal;
use credence_model::permission::question::{Fact, Facts, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::time::Timestamp;
use credence_policy::brief::Brief;
use credence_policy::decision::{Decision, decide};

/// What came of one look at the registry.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Judged {
    pub(in crate::sim) id: DecisionId,
    pub(in crate::sim) actor: ActorRef,
    class: ClassRef,
    revision: u32,
    pub(in crate::sim) asked: Asked,
    /// When it was decided.
    pub(in crate::sim) at: Timestamp,
    /// The last entry that the registry had.
    pub(in crate::sim) after: u64,
    pub(in crate::sim) decision: Decision,
}

impl Server {
    /// Decides whether an actor may do this; `None` if it cannot be decided here and now.
    pub(in crate::sim) fn judge(&self, outside: &mut Outside, actor: &ActorRef, asked: Asked) -> Option<Judged> {
        let state = self.registry.as_ref()?.state();
        if state.hold.is_some() {
            return None;
        }
        let brief = Brief::of(state, actor, &|_| None)?;
        let at = self.clock(outside).max(state.last_at);
        let judged_at = if outside.fault == Some(Fault::JudgesByItsOwnClock) { self.clock(outside) } else { at };
        let nobodys = Guards::default();
        let guards = if outside.fault == Some(Fault::GuardsIgnored) { &nobodys } else { &state.guards };
        let question = question(asked, judged_at)?;
        let decision =
            decide(&brief, &question, guards, &|actor, budget, since| state.budgets.taken(actor, budget, since));
        let mut entropy = [0; ID_ENTROPY_BYTES];
        entropy.iter_mut().zip(outside.random.bytes()).for_each(|(to, from)| *to = from);
        let id = DecisionId::generate(at, entropy);
        let (class, revision, after) = (brief.class, brief.revision, state.last_index);
        Some(Judged { id, actor: actor.clone(), class, revision, asked, at, after, decision })
    }
}

fn question(asked: Asked, at: Timestamp) -> Option<Question> {
    let mut context = Facts::default();
    context.insert("amount", Fact::Number(Decimal::whole(asked.amount)?));
    context.insert("currency", Fact::Word("EUR".into()));
    // Who it says it is, which nobody believes.
    context.insert("actor.class", Fact::Word("ns/agent".into()));
    Some(Question {
        action: Name::parse("call").ok()?,
        resource: Resource::new(Name::parse("tool").ok()?, asked.tool).ok()?,
        context,
        properties: Facts::default(),
        at,
    })
}

impl Judged {
    /// What is recorded of it.
    pub(in crate::sim) fn told(&self) -> Decided {
        let verdicts = self.decision.layers.iter().map(|verdict| Said {
            actor: verdict.actor.clone(),
            layer: verdict.layer.to_string(),
            allowed: verdict.allowed,
            why: String::new(),
            missing: None,
        });
        Decided {
            id: self.id,
            actor: self.actor.clone(),
            class: self.class.clone(),
            revision: self.revision,
            action: "call".into(),
            resource: format!("tool/{}", self.asked.tool),
            context: Digest::of(&self.asked.amount.to_be_bytes()),
            allowed: self.decision.allowed,
            verdicts: verdicts.collect(),
            obligations: self.decision.obligations.clone(),
        }
    }
}
