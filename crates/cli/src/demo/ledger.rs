//! The journal as the demo reads it: every entry so far, and waiting for one that is to come.

use crate::client::{Call, Client};
use crate::failure::Failure;
use credence_model::event::{Entry, Event};
use credence_model::id::{ActorRef, BindingId, Epoch, NodeName, WorkerRef};
use credence_model::refusal::Kind;
use credence_server::api::log::LogPage;
use std::time::{Duration, Instant};

/// Most entries in one page.
const PAGE_ENTRIES_MAX: usize = 1000;
/// How long one read waits for news, in milliseconds.
const NEWS_MS: u64 = 2_000;

/// Entries, in order.
pub(super) struct Ledger {
    client: Client,
    entries: Vec<Entry>,
}

/// A binding, as its entry says.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) index: u64,
    pub(super) at_ms: u64,
    pub(super) actor: ActorRef,
    pub(super) binding: BindingId,
    pub(super) epoch: Epoch,
    pub(super) worker: WorkerRef,
    pub(super) node: NodeName,
    pub(super) revision: u32,
}

impl Ledger {
    pub(super) fn new(client: Client) -> Self {
        Self { client, entries: Vec::new() }
    }

    /// The last entry's number.
    pub(super) fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.index)
    }

    /// Reads what is new; with a wait, until there is something.
    pub(super) async fn refresh(&mut self, wait_ms: u64) -> Result<(), Failure> {
        let mut wait_ms = wait_ms;
        loop {
            let path = format!("/v1/log?from={}&limit={PAGE_ENTRIES_MAX}&wait_ms={wait_ms}", self.last() + 1);
            let page: LogPage = self.client.send(Call::get(path).wait_ms(wait_ms)).await?;
            let whole = page.items.len() < PAGE_ENTRIES_MAX;
            self.entries.extend(page.items);
            if whole {
                return Ok(());
            }
            wait_ms = 0;
        }
    }

    /// All bindings, in order.
    pub(super) fn bindings(&self) -> impl DoubleEndedIterator<Item = Bound> {
        self.entries.iter().filter_map(bound)
    }

    /// How long the binding took from its decision to a served identity, in milliseconds.
    pub(super) fn live_after_ms(&self, binding: BindingId) -> Option<u64> {
        let bound = self.bindings().find(|bound| bound.binding == binding)?;
        let runs = |entry: &&Entry| matches!(&entry.event, Event::ActorRunning { binding: of, .. } if *of == binding);
        let running = self.entries.iter().find(runs)?;
        Some(running.at.as_ms().saturating_sub(bound.at_ms))
    }

    /// Waits for the first binding of this actor after an entry.
    pub(super) async fn binding_of(
        &mut self,
        actor: &ActorRef,
        after: u64,
        at_most: Duration,
    ) -> Result<Bound, Failure> {
        let begun = Instant::now();
        loop {
            self.refresh(NEWS_MS).await?;
            if let Some(bound) = self.bindings().find(|bound| bound.index > after && bound.actor == *actor) {
                return Ok(bound);
            }
            if begun.elapsed() > at_most {
                let message = format!("{actor} was not bound within {} s", at_most.as_secs());
                return Err(Failure::new(Kind::Bug, message));
            }
        }
    }
}

fn bound(entry: &Entry) -> Option<Bound> {
    let Event::ActorBound { actor, binding, epoch, worker, node, revision, .. } = &entry.event else { return None };
    Some(Bound {
        index: entry.index,
        at_ms: entry.at.as_ms(),
        actor: actor.clone(),
        binding: *binding,
        epoch: *epoch,
        worker: worker.clone(),
        node: node.clone(),
        revision: *revision,
    })
}
