//! The policies of a class, ready to be asked.

use crate::evaluate::world::{Names, Seen, World};
use crate::evaluate::{EvalError, holds};
use crate::expression::{Constant, EntityType, Expression, text_heap_bytes};
use credence_model::permission::obligation::Obligation;
use credence_model::permission::question::{Principal, Question};
use smol_str::SmolStr;
use std::mem::{size_of, size_of_val};

/// The policies of a class, in the order of their text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policies {
    pub(crate) policies: Box<[Policy]>,
    /// What the policies may look at, by its number.
    pub(crate) attributes: Box<[(SmolStr, Seen)]>,
}

/// What a policy does if it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It permits.
    Permit,
    /// It forbids.
    Forbid,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    pub(crate) name: SmolStr,
    pub(crate) effect: Effect,
    pub(crate) obligations: Box<[Obligation]>,
    /// What must hold, the scope first.
    pub(crate) condition: Expression,
}

/// What policies say to a question, by their numbers in rising order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Permitting ones that hold.
    pub permits: Vec<usize>,
    /// Forbidding ones that hold.
    pub forbids: Vec<usize>,
    /// Those that come to nothing, and why. Each of them counts as a no.
    pub errors: Vec<(usize, EvalError)>,
}

impl Policies {
    /// What each policy says to a question.
    pub fn judge(&self, principal: &Principal, question: &Question) -> Judgement {
        let names = Names::new(principal, question);
        let world = World::new(&names, principal, question, &self.attributes);
        let mut judgement = Judgement::default();
        for (nth, policy) in self.policies.iter().enumerate() {
            match (holds(&policy.condition, &world), policy.effect) {
                (Ok(true), Effect::Permit) => judgement.permits.push(nth),
                (Ok(true), Effect::Forbid) => judgement.forbids.push(nth),
                (Ok(false), _) => {}
                (Err(error), _) => judgement.errors.push((nth, error)),
            }
        }
        judgement
    }

    /// The actions and the resources (as `KIND/NAME`) that stand in the policies by their names, in no particular order.
    pub fn named(&self) -> (Vec<SmolStr>, Vec<SmolStr>) {
        let (mut actions, mut resources) = (Vec::new(), Vec::new());
        let mut found = |constant: &Constant| match constant.kind {
            EntityType::Action => actions.push(constant.id.clone()),
            EntityType::Resource => resources.push(constant.id.clone()),
            EntityType::Actor | EntityType::Class | EntityType::Namespace => {}
        };
        self.policies.iter().for_each(|policy| policy.condition.entities(&mut found));
        (actions, resources)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The name of one: its `@id`, or `policy` and its number. Empty if there is no such policy.
    pub fn name(&self, nth: usize) -> &str {
        self.policies.get(nth).map_or("", |policy| &policy.name)
    }

    /// What one does if it holds; `None` if there is no such policy.
    pub fn effect(&self, nth: usize) -> Option<Effect> {
        self.policies.get(nth).map(|policy| policy.effect)
    }

    /// The duties that come with what one permits, in order.
    pub fn obligations(&self, nth: usize) -> &[Obligation] {
        self.policies.get(nth).map_or(&[], |policy| &policy.obligations)
    }

    /// What they take in memory, in bytes, without what the allocator adds.
    pub fn bytes(&self) -> usize {
        let policy = |policy: &Policy| {
            text_heap_bytes(&policy.name) + size_of_val(&*policy.obligations) + policy.condition.heap_bytes()
        };
        let attribute = |(name, _): &(SmolStr, Seen)| text_heap_bytes(name);
        size_of::<Self>()
            + size_of_val(&*self.policies)
            + self.policies.iter().map(policy).sum::<usize>()
            + size_of_val(&*self.attributes)
            + self.attributes.iter().map(attribute).sum::<usize>()
    }
}
