//! The three invariants, checked against what was recorded.
//!
//! The auditor reads entries and keeps its own, much simpler books. It shares no code with `decide` and `apply`, so a
//! fault there does not hide itself here.

use crate::event::{Entry, Event};
use crate::id::{ActorRef, BindingId, ClassName, Digest, Epoch, NodeName, WorkerRef};
use crate::state::State;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One of the three invariants that the README promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// An actor is bound to at most one worker, and a worker to at most one actor.
    OneToOne,
    /// Nothing is issued that the registry does not say.
    Registry,
    /// An actor keeps its identity, and no other ever gets it; epochs only rise.
    Continuity,
}

/// An invariant that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// Index of the entry that broke it.
    pub index: u64,
    /// What is wrong.
    pub message: String,
}

/// Reads a journal from its first entry and keeps what breaks an invariant.
#[derive(Debug, Default)]
pub struct Auditor {
    /// What was found.
    pub violations: Vec<Violation>,
    /// How many entries were read.
    pub entries: u64,
    /// How many bindings were seen.
    pub bindings: u64,
    lease_ms: u64,
    clock_margin_ms: u64,
    actors: BTreeMap<ActorRef, Seen>,
    deleted: BTreeSet<ActorRef>,
    /// What holds each worker, and on which node it is.
    workers: BTreeMap<WorkerRef, (BindingId, NodeName)>,
    used_bindings: BTreeSet<BindingId>,
    used_keys: BTreeSet<Digest>,
    /// When each node was heard last, and the lease it was told, in milliseconds.
    heard: BTreeMap<NodeName, (Timestamp, u64)>,
    is_held: bool,
    epoch_max: Epoch,
    epoch_floor: Epoch,
}

#[derive(Debug)]
struct Seen {
    class: ClassName,
    epoch: Epoch,
    held: Option<HeldBy>,
    over: bool,
}

#[derive(Debug)]
struct HeldBy {
    binding: BindingId,
    worker: WorkerRef,
    node: NodeName,
}

impl Auditor {
    /// Reads the next entry.
    pub fn read(&mut self, entry: &Entry) {
        if entry.index != self.entries + 1 {
            let message = format!("entry {} follows entry {}", entry.index, self.entries);
            self.found(Invariant::Registry, entry, message);
        }
        self.entries = entry.index;
        match &entry.event {
            Event::SettingsChanged { settings } => {
                self.lease_ms = settings.lease_ms;
                self.clock_margin_ms = settings.clock_margin_ms;
            }
            Event::CellStarted {} => self.heard.values_mut().for_each(|(heard, _)| *heard = entry.at),
            Event::NodeAttached { node, .. } => {
                // What it holds it holds by the lease that it was told before, until it hears of another one.
                let is_holding = self.workers.values().any(|(_, holder)| holder == node);
                let before_ms = self.heard.get(node).filter(|_| is_holding).map_or(0, |(_, lease_ms)| *lease_ms);
                self.heard.insert(node.clone(), (entry.at, self.lease_ms.max(before_ms)));
            }
            Event::NodeHeard { node } => {
                if let Some((heard, _)) = self.heard.get_mut(node) {
                    *heard = entry.at;
                }
            }
            Event::ActorCreated { actor, class, .. } => self.created(entry, actor, class),
            Event::ActorBound { .. } => self.bound(entry),
            Event::BindingEnded { .. } => self.ended(entry),
            Event::ActorTerminated { actor, .. } | Event::ActorQuarantined { actor, .. } => {
                if let Some(seen) = self.actors.get_mut(actor) {
                    seen.over = true;
                }
            }
            Event::ActorDeleted { actor } => self.deleted(entry, actor),
            Event::X509SvidOrdered { actor, binding, epoch, key, .. } => {
                self.ordered(entry, actor, *binding, *epoch);
                self.key_used(entry, *key);
            }
            Event::JwtSvidOrdered { actor, binding, epoch, .. } => self.ordered(entry, actor, *binding, *epoch),
            Event::NodeDeleted { node } => {
                self.heard.remove(node);
            }
            Event::CellHeld { .. } => self.is_held = true,
            Event::CellReleased { release } => self.released(entry, release.epoch_floor),
            _ => {}
        }
    }

    /// Holds the registry against the books: both must name the same live bindings.
    pub fn compare(&mut self, state: &State) {
        let index = state.last_index;
        let mut found = Vec::new();
        let live = self.actors.iter().filter_map(|(actor, seen)| seen.held.as_ref().map(|held| (actor, held)));
        let booked: BTreeMap<_, _> =
            live.map(|(actor, held)| (held.binding, (actor.clone(), held.worker.clone()))).collect();
        let mut registered = BTreeMap::new();
        for actor in state.actors.all_active() {
            let id = &actor.actor;
            if let Some(binding) = &actor.binding {
                registered.insert(binding.id, (id.clone(), binding.worker.clone()));
                let holds = state.workers.get(&binding.worker).and_then(|worker| worker.holds.as_ref());
                if holds != Some(&(id.clone(), binding.id)) {
                    found.push((Invariant::OneToOne, format!("actor {id} and worker {} disagree", binding.worker)));
                }
            }
        }
        if booked != registered {
            found.push((Invariant::Registry, "the registry holds other bindings than the journal says".to_owned()));
        }
        if state.bindings.len() != registered.len() {
            found.push((Invariant::Registry, "the index of bindings is not the registry's".to_owned()));
        }
        let holding = state.workers.values().filter(|worker| worker.holds.is_some()).count();
        if holding != registered.len() {
            found.push((Invariant::OneToOne, format!("{holding} workers are held in {} bindings", registered.len())));
        }
        let idle = state.workers.values().filter(|worker| worker.is_idle()).count();
        if idle != state.idle.len()
            || state.waiting.len() != state.actors.all_active().filter(|a| a.wait.is_some()).count()
        {
            found.push((Invariant::Registry, "an index of the registry is wrong".to_owned()));
        }
        let violation = |(invariant, message)| Violation { invariant, index, message };
        self.violations.extend(found.into_iter().map(violation));
    }

    fn released(&mut self, entry: &Entry, floor: Epoch) {
        if !self.is_held {
            self.found(Invariant::Registry, entry, "a release without a hold".to_owned());
        }
        if self.actors.values().any(|seen| seen.held.is_some()) {
            self.found(Invariant::OneToOne, entry, "released while bindings are left".to_owned());
        }
        if floor < self.epoch_max {
            let message = format!("epochs go on above {floor}, and {} was given out", self.epoch_max);
            self.found(Invariant::Continuity, entry, message);
        }
        self.is_held = false;
        self.epoch_floor = floor;
    }

    fn created(&mut self, entry: &Entry, actor: &ActorRef, class: &ClassName) {
        if self.deleted.contains(actor) || self.actors.contains_key(actor) {
            self.found(Invariant::Continuity, entry, format!("the id of actor {actor} is used a second time"));
        }
        let seen = Seen { class: class.clone(), epoch: Epoch::default(), held: None, over: false };
        self.actors.insert(actor.clone(), seen);
    }

    fn bound(&mut self, entry: &Entry) {
        let Event::ActorBound { actor, binding, epoch, worker, node, key, .. } = &entry.event else { return };
        self.bindings += 1;
        if self.is_held {
            self.found(Invariant::Registry, entry, format!("actor {actor} is bound while the server is held"));
        }
        self.epoch_max = self.epoch_max.max(*epoch);
        let floor = self.epoch_floor;
        self.key_used(entry, *key);
        if !self.used_bindings.insert(*binding) {
            self.found(Invariant::Continuity, entry, format!("binding {binding} is used a second time"));
        }
        if let Some((other, _)) = self.workers.insert(worker.clone(), (*binding, node.clone())) {
            self.found(Invariant::OneToOne, entry, format!("worker {worker} is held by binding {other} already"));
        }
        let mut wrong = Vec::new();
        match self.actors.get_mut(actor) {
            None => wrong.push((Invariant::Registry, format!("actor {actor} is bound and was never created"))),
            Some(seen) => {
                if let Some(held) = &seen.held {
                    wrong.push((
                        Invariant::OneToOne,
                        format!("actor {actor} is bound to worker {} already", held.worker),
                    ));
                }
                if *epoch != seen.epoch.max(floor).next() {
                    wrong.push((
                        Invariant::Continuity,
                        format!("epoch {epoch} of {actor} ({}) follows {}", seen.class, seen.epoch),
                    ));
                }
                if seen.over {
                    wrong.push((Invariant::Registry, format!("actor {actor} is bound after it was ended")));
                }
                seen.epoch = *epoch;
                seen.held = Some(HeldBy { binding: *binding, worker: worker.clone(), node: node.clone() });
            }
        }
        let heard = self.heard.get(node).copied();
        if heard.is_none_or(|(heard, lease_ms)| heard.plus_ms(lease_ms) <= entry.at) {
            wrong.push((Invariant::Registry, format!("actor {actor} is bound to node {node}, whose lease is over")));
        }
        wrong.into_iter().for_each(|(invariant, message)| self.found(invariant, entry, message));
    }

    fn ended(&mut self, entry: &Entry) {
        let Event::BindingEnded { actor, binding, outcome, .. } = &entry.event else { return };
        let held = self.actors.get_mut(actor).and_then(|seen| seen.held.take_if(|held| held.binding == *binding));
        let Some(held) = held else {
            self.found(Invariant::Registry, entry, format!("binding {binding} ends and is not held by {actor}"));
            return;
        };
        self.workers.remove(&held.worker);
        let (heard, lease_ms) = self.heard.get(&held.node).copied().unwrap_or_default();
        let over_at = heard.plus_ms(lease_ms).plus_ms(self.clock_margin_ms);
        if *outcome == crate::actor::Outcome::LeaseOver && entry.at < over_at {
            let early_ms = over_at.ms_since(entry.at);
            self.found(
                Invariant::OneToOne,
                entry,
                format!("binding {binding} is taken {early_ms} ms before its lease is over"),
            );
        }
    }

    fn deleted(&mut self, entry: &Entry, actor: &ActorRef) {
        if self.actors.remove(actor).is_none_or(|seen| seen.held.is_some()) {
            self.found(Invariant::Registry, entry, format!("actor {actor} is deleted while it is bound"));
        }
        self.deleted.insert(actor.clone());
    }

    fn ordered(&mut self, entry: &Entry, actor: &ActorRef, binding: BindingId, epoch: Epoch) {
        let live = self.actors.get(actor).is_some_and(|seen| {
            !seen.over && seen.epoch == epoch && seen.held.as_ref().is_some_and(|held| held.binding == binding)
        });
        if self.is_held {
            self.found(
                Invariant::Registry,
                entry,
                format!("a credential of {actor} is ordered while the server is held"),
            );
        }
        if !live {
            self.found(
                Invariant::Registry,
                entry,
                format!("a credential of {actor} is ordered outside its live binding"),
            );
        }
    }

    fn key_used(&mut self, entry: &Entry, key: Digest) {
        if !self.used_keys.insert(key) {
            self.found(Invariant::Continuity, entry, format!("key {key} is certified a second time"));
        }
    }

    fn found(&mut self, invariant: Invariant, entry: &Entry, message: String) {
        self.violations.push(Violation { invariant, index: entry.index, message });
    }
}
