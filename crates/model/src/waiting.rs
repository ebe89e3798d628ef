//! The queue for workers: first come, first served.
//!
//! Actors of one class wait for the same workers, so if the first of a class cannot be bound, none behind it can. Classes
//! are therefore looked at by their first actor only, and a class that waits for a pool without workers costs the others
//! nothing, however long its queue is.

use crate::id::{ActorRef, ClassRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everybody who waits, by ticket; lower tickets are served first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    tickets: BTreeMap<u64, ActorRef>,
    classes: BTreeMap<ClassRef, BTreeMap<u64, ActorRef>>,
}

impl Waiting {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Everybody, in order.
    pub fn actors(&self) -> impl Iterator<Item = &ActorRef> {
        self.tickets.values()
    }

    /// The first of each class, in order.
    pub(crate) fn firsts(&self) -> Vec<&ActorRef> {
        let mut firsts: Vec<_> = self.classes.values().filter_map(BTreeMap::first_key_value).collect();
        firsts.sort_unstable_by_key(|(ticket, _)| **ticket);
        firsts.into_iter().map(|(_, actor)| actor).collect()
    }

    /// Place of a ticket, counted from 1.
    pub(crate) fn place(&self, ticket: u64) -> usize {
        self.tickets.range(..=ticket).count()
    }

    pub(crate) fn insert(&mut self, ticket: u64, class: ClassRef, actor: ActorRef) {
        self.classes.entry(class).or_default().insert(ticket, actor.clone());
        self.tickets.insert(ticket, actor);
    }

    pub(crate) fn remove(&mut self, ticket: u64, class: &ClassRef) {
        self.tickets.remove(&ticket);
        if let Some(tickets) = self.classes.get_mut(class) {
            tickets.remove(&ticket);
            if tickets.is_empty() {
                self.classes.remove(class);
            }
        }
    }
}
