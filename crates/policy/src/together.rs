//! What one request wants together: all of it is done, or nothing.
//!
//! INVARIANT: what is not done is not used up. It is not recorded either, except for what kept it from being done.

use crate::asked::Asked;
use crate::brief::{Ancestor, Brief};
use crate::decision::{Decision, Using};
use crate::inquiry::Answer;
use crate::judged::Judged;
use credence_model::command::Use;
use credence_model::id::{ActorRef, DelegationId, Digest};
use credence_model::permission::decimal::Decimal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that one request wants, in its order.
#[derive(Debug, Default)]
pub struct Together(pub Vec<Considered>);

/// One of the things that a request wants.
#[derive(Debug)]
pub struct Considered {
    /// What came of it.
    pub outcome: Outcome,
    /// Whether whoever asks has a person confirm it if that is a duty.
    pub confirms: bool,
}

/// What came of a question.
#[derive(Debug)]
pub enum Outcome {
    /// Somebody wants to do something.
    Judged(Box<Judged>, Arc<Asked>),
    /// It was only asked whether somebody may act at all.
    Standing(Arc<Brief>, Box<Decision>),
}

/// What is taken by what comes before in the same request.
#[derive(Debug, Default)]
pub struct Ahead {
    uses: BTreeMap<DelegationId, u64>,
    budgets: BTreeMap<(ActorRef, Digest), Decimal>,
}

impl Together {
    /// Whether it is done: all of it is allowed, and no person is missing who would have to confirm it.
    pub fn is_done(&self) -> bool {
        !self.0.iter().any(Considered::stops)
    }

    /// Whether something of it has to be recorded, or used up, before it is answered.
    pub fn waits_for_record(&self) -> bool {
        let waits = |(judged, _): (&Judged, &Asked)| judged.decision.is_logged() || !judged.decision.using.is_empty();
        self.is_done() && self.0.iter().filter_map(Considered::judged).any(waits)
    }

    /// What comes of it: what is recorded, and what is used up.
    pub fn uses(&self) -> Vec<Use> {
        let is_done = self.is_done();
        let of = |considered: &Considered| {
            let (judged, asked) = considered.judged()?;
            let Using { delegations, budgets } = if is_done { judged.decision.using.clone() } else { Using::default() };
            let is_recorded = considered.stops() || (is_done && judged.is_recorded());
            let decided = is_recorded.then(|| Box::new(judged.told(asked)));
            let is_nothing = decided.is_none() && delegations.is_empty() && budgets.is_empty();
            (!is_nothing).then(|| Use { actor: asked.actor.clone(), decided, delegations, budgets })
        };
        self.0.iter().filter_map(of).collect()
    }

    /// What is answered, decided from what was certainly complete so many milliseconds ago.
    pub fn answers(self, age_ms: u64) -> Vec<Answer> {
        let answer = |considered: Considered| match considered.outcome {
            Outcome::Judged(judged, _) => Answer::of(*judged, age_ms),
            Outcome::Standing(brief, decision) => Answer::about(&brief, *decision, age_ms),
        };
        self.0.into_iter().map(answer).collect()
    }
}

impl Considered {
    fn decision(&self) -> &Decision {
        match &self.outcome {
            Outcome::Judged(judged, _) => &judged.decision,
            Outcome::Standing(_, decision) => decision,
        }
    }

    fn judged(&self) -> Option<(&Judged, &Asked)> {
        match &self.outcome {
            Outcome::Judged(judged, asked) => Some((judged, asked)),
            Outcome::Standing(..) => None,
        }
    }

    /// Whether it keeps the whole request from being done.
    fn stops(&self) -> bool {
        let decision = self.decision();
        !decision.allowed || (!self.confirms && decision.needs_person())
    }
}

impl Ahead {
    /// What was decided about an actor takes this.
    pub fn add(&mut self, actor: &ActorRef, Using { delegations, budgets }: &Using) {
        for id in delegations {
            *self.uses.entry(*id).or_default() += 1;
        }
        for taken in budgets.iter().map(|take| &take.taken) {
            let whose = taken.of.as_ref().unwrap_or(actor).clone();
            let before = self.budgets.entry((whose, taken.budget)).or_default();
            let sum = before.ten_thousandths().saturating_add(taken.amount);
            *before = Decimal::from_ten_thousandths(sum);
        }
    }

    /// How much of a budget of an actor is taken.
    pub fn spent(&self, actor: &ActorRef, budget: Digest) -> Decimal {
        self.budgets.get(&(actor.clone(), budget)).copied().unwrap_or_default()
    }

    /// Has it count as used, of an actor and of those that it comes from.
    pub fn count(&self, brief: &mut Brief) {
        for delegation in &mut brief.delegations {
            let ahead = self.uses.get(&delegation.id).copied().unwrap_or_default();
            delegation.used = delegation.used.saturating_add(ahead);
        }
        if let Some(Ancestor::Known(parent)) = &mut brief.parent {
            self.count(parent);
        }
    }
}
