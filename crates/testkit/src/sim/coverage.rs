//! What runs have seen: misfortunes, events of the journal, and states and transitions of actors, nodes and workers.

use credence_model::actor::ActorState;
use credence_model::apply::apply;
use credence_model::event::Entry;
use credence_model::id::{ActorRef, NodeName, WorkerRef};
use credence_model::node::NodeState;
use credence_model::state::State;
use credence_model::worker::WorkerState;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// Runs after which every kind of misfortune must have been seen.
pub const CAMPAIGN_RUNS_MIN: u64 = 100;

/// How often each thing was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// What happened, misfortunes among it.
    pub happened: BTreeMap<&'static str, u64>,
    /// Events that were recorded.
    pub events: BTreeMap<String, u64>,
    /// Of actors, nodes and workers: from which state into which.
    pub transitions: BTreeMap<(&'static str, &'static str, &'static str), u64>,
}

impl Coverage {
    /// Every kind of misfortune that the simulator makes.
    pub const MISFORTUNES: [&'static str; 38] = [
        "server killed",
        "server lost power",
        "crash: decided, not appended",
        "crash: in the append",
        "crash: appended, not published",
        "crash: published, not signed",
        "crash: signed, not delivered",
        "crash: delivered, not answered",
        "crash: in a recovery",
        "crash: in a snapshot",
        "rival server",
        "rival server at the lock",
        "server set back",
        "server set forward",
        "server suspended",
        "server suspended, its clock stands",
        "server slow",
        "torn write",
        "torn batch cut",
        "batch under way found there",
        "batch under way found absent",
        "write cut short by a crash",
        "write lost that was not synced",
        "name lost that was not synced",
        "sync failed",
        "sync of a directory failed",
        "slow sync",
        "disk full",
        "read failed",
        "append failed",
        "node crashed",
        "node told to end",
        "node suspended",
        "stream cut",
        "old hello refused",
        "partition begins",
        "one-way partition begins",
        "command retried",
    ];

    /// Something happened.
    pub(super) fn note(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.happened.entry(what).or_default() += times;
        }
    }

    /// Adds what other runs have seen.
    pub fn add(&mut self, other: Self) {
        other.happened.into_iter().for_each(|(what, count)| *self.happened.entry(what).or_default() += count);
        other.events.into_iter().for_each(|(what, count)| *self.events.entry(what).or_default() += count);
        other.transitions.into_iter().for_each(|(what, count)| *self.transitions.entry(what).or_default() += count);
    }

    /// Misfortunes that never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        Self::MISFORTUNES.into_iter().filter(|what| !self.happened.contains_key(what)).collect()
    }

    fn states(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let mut states: BTreeMap<_, u64> = BTreeMap::new();
        for ((what, _, to), count) in &self.transitions {
            *states.entry((*what, *to)).or_default() += count;
        }
        states
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (misfortunes, others): (Vec<_>, Vec<_>) =
            self.happened.iter().partition(|(what, _)| Self::MISFORTUNES.contains(what));
        writeln!(f, "misfortunes: {} of {} kinds", misfortunes.len(), Self::MISFORTUNES.len())?;
        misfortunes.iter().try_for_each(|(what, count)| writeln!(f, "{count:>12}  {what}"))?;
        writeln!(f, "what else happened:")?;
        others.iter().try_for_each(|(what, count)| writeln!(f, "{count:>12}  {what}"))?;
        writeln!(f, "events: {} kinds", self.events.len())?;
        self.events.iter().try_for_each(|(what, count)| writeln!(f, "{count:>12}  {what}"))?;
        let states = self.states();
        writeln!(f, "states: {}", states.len())?;
        states.iter().try_for_each(|((what, state), count)| writeln!(f, "{count:>12}  {what} {state}"))?;
        writeln!(f, "transitions: {}", self.transitions.len())?;
        let transitions = self.transitions.iter();
        transitions
            .into_iter()
            .try_for_each(|((what, from, to), count)| writeln!(f, "{count:>12}  {what} {from} → {to}"))
    }
}

/// In which state everybody was after the last entry.
#[derive(Debug, Default)]
pub(super) struct Standing {
    actors: BTreeMap<ActorRef, &'static str>,
    nodes: BTreeMap<NodeName, &'static str>,
    workers: BTreeMap<WorkerRef, &'static str>,
}

impl Standing {
    /// Applies an entry and notes what it changed.
    pub(super) fn read(&mut self, entry: &Entry, state: &mut State, coverage: &mut Coverage) {
        apply(state, entry);
        *coverage.events.entry(name_of(&entry.event)).or_default() += 1;
        let names: Vec<ActorRef> = state.actors.names().collect();
        let actors = names.into_iter().filter_map(|actor| {
            let state = state.actors.get(&actor)?.state;
            Some((actor, actor_word(state)))
        });
        change("actor", &mut self.actors, actors.collect(), coverage);
        let nodes = state.nodes.iter().map(|(name, node)| (name.clone(), node_word(node.state)));
        change("node", &mut self.nodes, nodes.collect(), coverage);
        let workers = state.workers.iter().map(|(name, worker)| (name.clone(), worker_word(worker.state)));
        change("worker", &mut self.workers, workers.collect(), coverage);
    }
}

type Words<K> = BTreeMap<K, &'static str>;

fn change<K: Ord + Clone>(what: &'static str, before: &mut Words<K>, after: Words<K>, coverage: &mut Coverage) {
    if *before == after {
        return;
    }
    let mut moved = |from, to| *coverage.transitions.entry((what, from, to)).or_default() += 1;
    for (name, to) in &after {
        let from = before.get(name).copied().unwrap_or(ABSENT);
        if from != *to {
            moved(from, *to);
        }
    }
    before.iter().filter(|(name, _)| !after.contains_key(name)).for_each(|(_, from)| moved(from, ABSENT));
    *before = after;
}

const ABSENT: &str = "absent";

fn actor_word(state: ActorState) -> &'static str {
    match state {
        ActorState::Suspended => "suspended",
        ActorState::Starting => "starting",
        ActorState::Running => "running",
        ActorState::Suspending => "suspending",
        ActorState::Lost => "lost",
        ActorState::Quarantined => "quarantined",
        ActorState::Terminated => "terminated",
    }
}

fn node_word(state: NodeState) -> &'static str {
    match state {
        NodeState::Attested => "attested",
        NodeState::Connected => "connected",
        NodeState::Lost => "lost",
    }
}

fn worker_word(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Ready => "ready",
        WorkerState::Draining => "draining",
        WorkerState::Lost => "lost",
    }
}

/// The name of a variant: what its debug form begins with.
fn name_of(event: &impl fmt::Debug) -> String {
    let mut first = FirstWord(String::new());
    // It stops, with an error, as soon as the name is over.
    let _ = write!(first, "{event:?}");
    first.0
}

struct FirstWord(String);

impl Write for FirstWord {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.find(|c: char| !c.is_alphanumeric());
        self.0.push_str(text.get(..end.unwrap_or(text.len())).unwrap_or_default());
        if end.is_some() { Err(fmt::Error) } else { Ok(()) }
    }
}
