//! A server that records something else than it decided and remembers: planted faults of the recording.

use super::Fault;
use credence_model::event::{Entry, Event};
use credence_model::id::{ActorRef, BindingId, Epoch, WorkerRef};
use std::collections::BTreeMap;

/// What it takes to record something wrong, and whether that was done.
#[derive(Debug, Default)]
pub(super) struct Tamper {
    deleted: Option<ActorRef>,
    held: BTreeMap<BindingId, WorkerRef>,
    is_done: bool,
}

impl Tamper {
    /// The batch as the broken server records it, if that is another one.
    pub(super) fn change(&mut self, fault: Fault, batch: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let mut changed = None;
        for (nth, bytes) in batch.iter().enumerate() {
            let Ok(mut entry) = Entry::decode(bytes) else { continue };
            if !self.is_done && self.spoil(fault, &mut entry.event).is_some() {
                self.is_done = true;
                let whole = changed.get_or_insert_with(|| batch.to_vec());
                whole.iter_mut().skip(nth).take(1).for_each(|bytes| *bytes = entry.encode());
            }
            self.remember(&entry);
        }
        changed
    }

    fn spoil(&self, fault: Fault, event: &mut Event) -> Option<()> {
        match (fault, event) {
            (Fault::EpochRepeated, Event::ActorBound { epoch, .. }) if epoch.0 > 1 => *epoch = Epoch(epoch.0 - 1),
            (Fault::WorkerBoundTwice, Event::ActorBound { worker, .. }) => {
                *worker = self.held.values().next()?.clone();
            }
            (Fault::OrderedOutside, Event::X509SvidOrdered { epoch, .. }) if epoch.0 > 1 => *epoch = Epoch(epoch.0 - 1),
            (Fault::IdentityReused, Event::ActorCreated { actor, .. }) => *actor = self.deleted.clone()?,
            (Fault::RecordsOther, Event::ActorCreated { labels, .. }) => {
                labels.insert("colour".into(), "blue".into());
            }
            _ => return None,
        }
        Some(())
    }

    fn remember(&mut self, entry: &Entry) {
        match &entry.event {
            Event::ActorDeleted { actor } => self.deleted = Some(actor.clone()),
            Event::ActorBound { binding, worker, .. } => drop(self.held.insert(*binding, worker.clone())),
            Event::BindingEnded { binding, .. } => drop(self.held.remove(binding)),
            _ => {}
        }
    }
}
