//! The chain of an actor that has no binding: its queue, and the workers that it could get.

use super::{Chain, POOLS_TOLD_MAX, resume_it, secs};
use crate::actor::{Actor, Outcome, Wait};
use crate::class::Revision;
use crate::decide::resume::{eligible, usable};
use crate::id::PoolRef;
use crate::node::NodeState;
use crate::state::State;
use crate::time::Timestamp;
use crate::worker::{Worker, WorkerState};
use std::collections::BTreeMap;

pub(super) fn follow(chain: &mut Chain, state: &State, actor: &Actor, revision: &Revision, now: Timestamp) {
    match &actor.wait {
        Some(wait) => {
            queue(chain, state, actor, wait, now);
            workers(chain, state, actor, revision, now);
        }
        None => nobody_asked(chain, actor, revision, now),
    }
}

fn nobody_asked(chain: &mut Chain, actor: &Actor, revision: &Revision, now: Timestamp) {
    let since = secs(now.ms_since(actor.changed_at));
    let because = match &actor.outcome {
        None => "it was never resumed".to_owned(),
        Some(Outcome::Stopped) => format!("it was suspended {since} ago and not resumed since"),
        Some(Outcome::Exited { code }) => format!("its program ended by itself {since} ago with exit code {code}"),
        Some(Outcome::Failed { reason }) => format!("its node could not start it {since} ago: {reason}"),
        Some(Outcome::Dropped) => format!("its node did not hold it any more {since} ago"),
        Some(Outcome::LeaseOver) => format!("its node fell silent and its lease ended {since} ago"),
    };
    chain.failed(&because, &format!("not in the queue: {because}"));
    if matches!(actor.outcome, Some(Outcome::Exited { .. } | Outcome::Failed { .. })) {
        chain.advise(format!("See what it wrote: credence actor logs {}", actor.actor));
    }
    if revision.spec.runtime.command.is_empty() {
        let class = &actor.class;
        chain.advise(format!(
            "Class {class} has no command to start: run a program as the actor (credence run --class {}/{class} --actor {} -- CMD)",
            actor.actor.namespace, actor.actor.actor
        ));
    } else {
        chain.advise(resume_it(&actor.actor));
    }
}

fn queue(chain: &mut Chain, state: &State, actor: &Actor, wait: &Wait, now: Timestamp) {
    let place = state.place_in_queue(actor).unwrap_or_default();
    let (waited, most) = (now.ms_since(wait.since), wait.until.ms_since(wait.since));
    chain.waiting(&format!("{place} of {}, for {} of at most {}", state.waiting.len(), secs(waited), secs(most)));
}

/// What is known of the workers of one pool.
#[derive(Default)]
struct Tally {
    all: usize,
    free: usize,
    held: usize,
    draining: usize,
    lost: usize,
    without_key: usize,
}

fn workers(chain: &mut Chain, state: &State, actor: &Actor, revision: &Revision, now: Timestamp) {
    let is_eligible = |pool: &&PoolRef| eligible(state, &actor.actor, &revision.spec, pool);
    let mut tallies: BTreeMap<&PoolRef, Tally> =
        state.pools.keys().filter(is_eligible).map(|pool| (pool, Tally::default())).collect();
    if tallies.is_empty() {
        let selector = serde_json::to_string(&revision.spec.runtime.pool_selector).unwrap_or_default();
        let says = format!("no pool serves namespace {} and matches {selector}", actor.actor.namespace);
        chain.failed(&says, &says);
        return chain.advise("Share a pool with the namespace, or change its labels or the class's poolSelector");
    }
    for worker in state.workers.values() {
        if let Some(tally) = tallies.get_mut(&worker.worker.pool) {
            tally.count(state, worker, now);
        }
    }
    let mut says: Vec<_> = tallies.iter().take(POOLS_TOLD_MAX).map(|(pool, tally)| tally.say(pool)).collect();
    if tallies.len() > POOLS_TOLD_MAX {
        says.push(format!("and {} more pools", tallies.len() - POOLS_TOLD_MAX));
    }
    let says = says.join("; ");
    let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum::<usize>();
    if sum(|tally| tally.free) > 0 {
        return chain.waiting(&says);
    }
    let pool = tallies.keys().next().map(ToString::to_string).unwrap_or_default();
    if sum(|tally| tally.all) == 0 {
        chain.failed("no pool that it may use has a worker", &says);
        chain.advise(format!("Start a node with workers in the pool: credence node --worker {pool}=N"));
    } else if sum(|tally| tally.held) == 0 && sum(|tally| tally.lost) > 0 {
        chain.failed("every node with a worker for it is lost", &says);
        chain.advise("Start the nodes again or restore their network: credence get nodes");
    } else {
        chain.failed("no worker is free", &says);
        chain.advise(format!("Add a worker to pool {pool}, or suspend an actor"));
    }
}

impl Tally {
    fn count(&mut self, state: &State, worker: &Worker, now: Timestamp) {
        self.all += 1;
        let lost = state.nodes.get(&worker.node).is_none_or(|node| node.state != NodeState::Connected);
        let counted = if lost || worker.state == WorkerState::Lost {
            &mut self.lost
        } else if worker.state == WorkerState::Draining {
            &mut self.draining
        } else if !worker.is_idle() {
            &mut self.held
        } else if usable(state, &worker.node, now).is_some() {
            &mut self.free
        } else {
            &mut self.without_key
        };
        *counted += 1;
    }

    fn say(&self, pool: &PoolRef) -> String {
        let parts = [
            (self.free, "free"),
            (self.held, "in use"),
            (self.draining, "draining"),
            (self.lost, "on a lost node"),
            (self.without_key, "on a node that has no key ready"),
        ];
        let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let plural = if self.all == 1 { "" } else { "s" };
        match self.all {
            0 => format!("{pool}: no worker"),
            all => format!("{pool}: {all} worker{plural}, {}", parts.join(", ")),
        }
    }
}
