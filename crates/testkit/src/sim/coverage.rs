//! What runs have seen: misfortunes, commands, events of the journal, and states and transitions of actors, nodes, workers and
//! authorities; and what is missing of what a campaign must see.

mod expected;

use self::expected::{COMMANDS, EVENTS, MACHINES, MISFORTUNES, Machine};
use credence_model::actor::ActorState;
use credence_model::apply::apply;
use credence_model::authority::AuthorityState;
use credence_model::event::{Entry, Event};
use credence_model::id::{ActorRef, Digest, NodeName, WorkerRef};
use credence_model::node::NodeState;
use credence_model::state::State;
use credence_model::worker::WorkerState;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// Runs after which everything that can be seen must have been.
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

    /// What was never seen of what a campaign must see, and what was seen though it cannot be.
    pub fn missing(&self) -> Vec<String> {
        let named = MISFORTUNES.iter().chain(COMMANDS).filter(|what| !self.happened.contains_key(*what));
        let events = EVENTS.iter().filter(|event| !self.events.contains_key(**event));
        let mut missing: Vec<_> = named.chain(events).map(|what| (*what).to_owned()).collect();
        for Machine { what, next, never } in MACHINES {
            let pairs = || next.iter().flat_map(|(from, all)| all.iter().map(|to| (what, *from, *to)));
            let unseen = pairs().filter(|pair| !self.transitions.contains_key(pair));
            missing.extend(unseen.map(|(what, from, to)| format!("{what} {from} → {to}")));
            let strange = self.transitions.keys().filter(|seen| seen.0 == what && pairs().all(|pair| pair != **seen));
            let reason = |from| never.iter().find(|(state, _)| *state == from).map_or("", |(_, why)| why);
            missing.extend(
                strange.map(|(_, from, to)| format!("{what} {from} → {to} was seen, although {}", reason(*from))),
            );
        }
        missing
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
            self.happened.iter().partition(|(what, _)| MISFORTUNES.contains(what));
        writeln!(f, "misfortunes: {} of {} kinds", misfortunes.len(), MISFORTUNES.len())?;
        misfortunes.iter().try_for_each(|(what, count)| writeln!(f, "{count:>12}  {what}"))?;
        writeln!(f, "what else happened:")?;
        others.iter().try_for_each(|(what, count)| writeln!(f, "{count:>12}  {what}"))?;
        writeln!(f, "events: {} of {} kinds", self.events.len(), EVENTS.len())?;
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
    authorities: BTreeMap<Digest, &'static str>,
}

impl Standing {
    /// Applies an entry and notes what it changed.
    pub(super) fn read(&mut self, entry: &Entry, state: &mut State, coverage: &mut Coverage) {
        apply(state, entry);
        let name = match &entry.event {
            Event::Permission(event) => name_of(event),
            event => name_of(event),
        };
        *coverage.events.entry(name).or_default() += 1;
        // What is recorded most often changes no state.
        if matches!(entry.event, Event::NodeHeard { .. } | Event::KeysOffered { .. } | Event::BundleHeld { .. }) {
            return;
        }
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
        let authorities = state.authorities.all.iter().map(|one| (one.id, authority_word(one.state)));
        change("authority", &mut self.authorities, authorities.collect(), coverage);
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

fn authority_word(state: AuthorityState) -> &'static str {
    match state {
        AuthorityState::Prepared => "prepared",
        AuthorityState::Active => "active",
        AuthorityState::Old => "old",
        AuthorityState::Tainted => "tainted",
        AuthorityState::Withdrawn => "withdrawn",
        AuthorityState::Retired => "retired",
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

#[cfg(test)]
mod tests {
    use super::expected::BESIDE;
    use super::{EVENTS, MACHINES};

    #[test]
    fn every_transition_is_expected_or_cannot_be_and_it_is_said_why() {
        for machine in MACHINES {
            let states: Vec<_> = machine.next.iter().map(|(state, _)| *state).collect();
            for (state, next) in machine.next {
                assert!(next.iter().all(|to| states.contains(to) && to != state), "{} {state}", machine.what);
                let has_others = next.len() + 1 < states.len();
                let reasons = machine.never.iter().filter(|(from, _)| from == state).count();
                assert_eq!(reasons, usize::from(has_others), "{} {state}", machine.what);
            }
        }
    }

    #[test]
    fn every_event_is_expected() {
        expects(include_str!("../../../model/src/event.rs"), "pub enum Event");
        expects(include_str!("../../../model/src/event/permission.rs"), "pub enum PermissionEvent");
    }

    fn expects(source: &str, begin: &str) {
        let mut numbered = source.lines().filter(|line| line.starts_with("    #[n(")).count();
        let variants = source
            .lines()
            .skip_while(|line| !line.starts_with(begin))
            .filter(|line| line.strip_prefix("    ").is_some_and(|line| line.starts_with(|c: char| c.is_uppercase())));
        for variant in variants {
            let name: String = variant.trim().chars().take_while(|c| c.is_alphanumeric()).collect();
            let is_known = EVENTS.contains(&name.as_str()) || BESIDE.contains(&name.as_str());
            assert!(is_known, "{name} is not expected");
            numbered -= 1;
        }
        assert_eq!(numbered, 0, "a variant was overlooked");
    }
}
