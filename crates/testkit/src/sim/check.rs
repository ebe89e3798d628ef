//! What must hold after every step.

use super::books::Books;
use super::coverage::{Coverage, Standing};
use super::ground::Ground;
use super::ledger::Ledger;
use super::node::Node;
use super::server::Server;
use credence_model::event::Entry;
use credence_model::id::{ActorRef, WorkerRef};
use credence_model::invariant::{Auditor, Invariant, Violation};
use credence_model::state::State;
use credence_node::core::LiveBinding;
use std::collections::BTreeMap;

/// What broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// An actor is served by two holders at once.
    TwoHolders(String),
    /// A worker serves two actors at once.
    SharedWorker(String),
    /// A credential is served for a binding that the registry does not say.
    OutsideBinding(String),
    /// A credential was signed that no recorded entry orders.
    Unordered(String),
    /// An entry that was acknowledged is not on the disk, or is another one.
    Lost(String),
    /// A batch is there in part.
    Torn(String),
    /// The server does not start, although nothing on its disk was damaged.
    Refused(String),
    /// The journal breaks one of the three invariants.
    Journal(Invariant, String),
    /// Replaying the journal gives another state.
    Replay,
    /// Something does not come to rest although nothing goes wrong any more.
    Starved(Unrest, String),
    /// A retried command was not answered as the first time.
    Retried(String),
    /// Something was allowed that a layer denies, or denied that none does.
    Exceeded(String),
    /// More was used than there was.
    Overspent(String),
    /// A decision that was answered is not in the journal.
    Undecided(String),
    /// A server that was replaced went on.
    Replaced,
    /// The simulation itself cannot go on.
    Stuck(String),
}

/// What does not come to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrest {
    /// A node that is not connected.
    Node,
    /// An actor that is lost, starting or being ended.
    Actor,
    /// Somebody who waits beside an idle worker.
    Beside,
    /// Somebody who waits longer than it was told.
    Waits,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TwoHolders(what) => write!(f, "an actor has two holders: {what}"),
            Self::SharedWorker(what) => write!(f, "a worker serves two actors: {what}"),
            Self::OutsideBinding(what) => write!(f, "a credential is served outside a live binding: {what}"),
            Self::Unordered(what) => write!(f, "a credential is signed that nothing orders: {what}"),
            Self::Lost(what) => write!(f, "an acknowledged change is lost: {what}"),
            Self::Torn(what) => write!(f, "a batch is neither wholly there nor wholly absent: {what}"),
            Self::Refused(what) => write!(f, "the server refuses to start: {what}"),
            Self::Journal(which, what) => write!(f, "the journal breaks the invariant {which:?}: {what}"),
            Self::Replay => f.write_str("replaying the journal gives another state"),
            Self::Starved(_, what) => write!(f, "it does not come to rest: {what}"),
            Self::Retried(what) => write!(f, "a retried command was done anew: {what}"),
            Self::Exceeded(what) => write!(f, "a decision is not what every layer says: {what}"),
            Self::Overspent(what) => write!(f, "more was used than there was: {what}"),
            Self::Undecided(what) => write!(f, "a decision was answered that is not recorded: {what}"),
            Self::Replaced => f.write_str("a server whose journal another one took over went on recording"),
            Self::Stuck(what) => write!(f, "the simulation is stuck: {what}"),
        }
    }
}

/// What is known from the journal alone.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) known: Vec<Entry>,
    state: State,
    auditor: Auditor,
    books: Books,
    pub(super) ledger: Ledger,
    standing: Standing,
}

impl Checks {
    /// Reads what was recorded since the last look. After a restart everything is read again.
    pub(super) fn read(
        &mut self,
        server: Option<&mut Server>,
        ground: &mut Ground,
        again: bool,
        coverage: &mut Coverage,
    ) -> Result<(), Broken> {
        if let Some(broken) = ground.seen.take_broken() {
            return Err(broken);
        }
        let recorded = std::mem::take(&mut ground.recorded);
        let next = self.known.len() as u64;
        let is_up = server.is_some();
        // Servers that are down cannot be asked, and yet what they recorded may have been told to a node.
        let new = match server {
            Some(server) if again => self.compare(server.entries_after(ground, 0).map_err(Broken::Lost)?)?,
            Some(server) => server.entries_after(ground, next).map_err(Broken::Lost)?,
            None => recorded,
        };
        for entry in new.into_iter().filter(|entry| entry.index > next) {
            self.auditor.read(&entry);
            self.standing.read(&entry, &mut self.state, coverage);
            self.books.read(&entry, &self.state);
            self.ledger.read(&entry)?;
            self.known.push(entry);
        }
        if is_up && (self.known.len() as u64) < ground.acknowledged {
            let (acknowledged, there) = (ground.acknowledged, self.known.len());
            return Err(Broken::Lost(format!("{acknowledged} entries were acknowledged, {there} are there")));
        }
        self.ledger.recorded()?;
        self.audited()?;
        std::mem::take(&mut ground.signed).iter().try_for_each(|signed| self.books.ordered(signed))
    }

    /// What was known must be there as it was.
    fn compare(&self, all: Vec<Entry>) -> Result<Vec<Entry>, Broken> {
        match self.known.iter().zip(&all).find(|(known, found)| known != found) {
            Some((known, found)) => {
                let (index, was, is) = (known.index, &known.event, &found.event);
                Err(Broken::Lost(format!("entry {index} was {was:?} and is {is:?}")))
            }
            None if all.len() < self.known.len() => {
                Err(Broken::Lost(format!("{} entries were there, {} are", self.known.len(), all.len())))
            }
            None => Ok(all),
        }
    }

    fn audited(&self) -> Result<(), Broken> {
        let broken = |found: &Violation| Broken::Journal(found.invariant, format!("{found:?}"));
        self.auditor.violations.first().map_or(Ok(()), |found| Err(broken(found)))
    }

    /// Holds what the nodes serve at this moment against each other and against the journal.
    pub(super) fn served(&self, nodes: &[Node], now_ms: u64) -> Result<(), Broken> {
        let mut actors: BTreeMap<ActorRef, String> = BTreeMap::new();
        let mut workers: BTreeMap<WorkerRef, ActorRef> = BTreeMap::new();
        let held = |node: &Node| node.held(now_ms);
        let held: Vec<_> = nodes.iter().flat_map(|node| held(node).into_iter().map(move |held| (node, held))).collect();
        for (node, held) in &held {
            let here = format!("epoch {} on {}", held.epoch, node.name);
            if let Some(other) = actors.insert(held.actor.clone(), here.clone()) {
                return Err(Broken::TwoHolders(format!("{}: {other}, and {here}", held.actor)));
            }
            if let Some(other) = workers.insert(held.worker.clone(), held.actor.clone()) {
                return Err(Broken::SharedWorker(format!("{}: {other} and {}", held.worker, held.actor)));
            }
        }
        match held.iter().find(|(node, held)| !self.is_registered(node, held)) {
            Some((node, held)) => {
                Err(Broken::OutsideBinding(format!("{}: epoch {} on {}", held.actor, held.epoch, node.name)))
            }
            None => Ok(()),
        }
    }

    /// Whether the registry says that this node holds this binding, in this worker.
    fn is_registered(&self, node: &Node, held: &LiveBinding) -> bool {
        let actor = self.state.actors.active(&held.actor);
        actor.and_then(|actor| actor.binding.as_ref()).is_some_and(|binding| {
            (binding.id, binding.epoch) == (held.binding, held.epoch)
                && (&binding.node, &binding.worker) == (&node.name, &held.worker)
        })
    }

    /// The slower checks, now and then.
    pub(super) fn whole(&mut self, owner: Option<&Server>) -> Result<(), Broken> {
        self.auditor.compare(&self.state);
        self.audited()?;
        let Some(registry) = owner.and_then(|owner| owner.registry.as_ref()) else { return Ok(()) };
        let equal = registry.state().encode().ok() == self.state.encode().ok();
        if equal { Ok(()) } else { Err(Broken::Replay) }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }
}
