//! What must hold after every step.

use super::coverage::{Coverage, Standing};
use super::node::Node;
use super::{Fault, server::Server};
use credence_model::event::{Entry, Event};
use credence_model::id::{ActorRef, Epoch, WorkerRef};
use credence_model::invariant::Auditor;
use credence_model::state::State;
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
    /// An entry that was acknowledged is not on the disk, or is another one.
    Lost(String),
    /// A batch is there in part.
    Torn(String),
    /// The server does not start, although nothing on its disk was damaged.
    Refused(String),
    /// The journal breaks one of the three invariants.
    Journal(String),
    /// Replaying the journal gives another state.
    Replay,
    /// Something does not come to rest although nothing goes wrong any more.
    Starved(String),
    /// A retried command was not answered as the first time.
    Retried(String),
    /// A server that was replaced went on.
    Replaced,
    /// The simulation itself cannot go on.
    Stuck(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TwoHolders(what) => write!(f, "an actor has two holders: {what}"),
            Self::SharedWorker(what) => write!(f, "a worker serves two actors: {what}"),
            Self::OutsideBinding(what) => write!(f, "a credential is served outside a live binding: {what}"),
            Self::Lost(what) => write!(f, "an acknowledged change is lost: {what}"),
            Self::Torn(what) => write!(f, "a batch is neither wholly there nor wholly absent: {what}"),
            Self::Refused(what) => write!(f, "the server refuses to start: {what}"),
            Self::Journal(what) => write!(f, "the journal breaks an invariant: {what}"),
            Self::Replay => f.write_str("replaying the journal gives another state"),
            Self::Starved(what) => write!(f, "it does not come to rest: {what}"),
            Self::Retried(what) => write!(f, "a retried command was done anew: {what}"),
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
    tampered: bool,
    standing: Standing,
}

impl Checks {
    /// Reads what was recorded since the last look. After a restart everything is read again.
    pub(super) fn read(
        &mut self,
        server: &mut Server,
        fault: Option<Fault>,
        again: bool,
        coverage: &mut Coverage,
    ) -> Result<(), Broken> {
        if let Some(broken) = server.seen.take_broken() {
            return Err(broken);
        }
        if again && server.registry.is_some() {
            let all = server.entries_after(0).map_err(Broken::Lost)?;
            if let Some((known, found)) = self.known.iter().zip(&all).find(|(known, found)| known != found) {
                return Err(Broken::Lost(format!(
                    "entry {} was {:?} and is {:?}",
                    known.index, known.event, found.event
                )));
            }
            if (all.len() as u64) < server.acknowledged {
                return Err(Broken::Lost(format!(
                    "{} entries were acknowledged, {} are there",
                    server.acknowledged,
                    all.len()
                )));
            }
        }
        let new = server.entries_after(self.known.len() as u64).map_err(Broken::Lost)?;
        let (next, recorded) = (self.known.len() as u64, std::mem::take(&mut server.recorded));
        // A server that is down cannot be asked, and yet what it recorded may have been told to a node.
        let new = if server.registry.is_some() { new } else { recorded };
        for entry in new.into_iter().filter(|entry| entry.index > next) {
            let audited = self.tamper(&entry, fault);
            self.auditor.read(audited.as_ref().unwrap_or(&entry));
            self.standing.read(&entry, &mut self.state, coverage);
            self.known.push(entry);
        }
        if server.registry.is_some() && (self.known.len() as u64) < server.acknowledged {
            let (acknowledged, there) = (server.acknowledged, self.known.len());
            return Err(Broken::Lost(format!("{acknowledged} entries were acknowledged, {there} are there")));
        }
        self.auditor.violations.first().map_or(Ok(()), |found| Err(Broken::Journal(format!("{found:?}"))))
    }

    /// Holds what the nodes serve at this moment against each other and against the journal.
    pub(super) fn served(&self, nodes: &[Node], now_ms: u64, fault: Option<Fault>) -> Result<(), Broken> {
        let mut actors: BTreeMap<ActorRef, String> = BTreeMap::new();
        let mut workers: BTreeMap<WorkerRef, ActorRef> = BTreeMap::new();
        for node in nodes {
            for mut held in node.held(now_ms) {
                if fault == Some(Fault::WorkerShared) {
                    held.worker.worker = node.workers.first().map_or(held.worker.worker, |first| first.worker.clone());
                }
                let here = format!("epoch {} on {}", held.epoch, node.name);
                if let Some(other) = actors.insert(held.actor.clone(), here.clone()) {
                    return Err(Broken::TwoHolders(format!("{}: {other}, and {here}", held.actor)));
                }
                if let Some(other) = workers.insert(held.worker.clone(), held.actor.clone()) {
                    return Err(Broken::SharedWorker(format!("{}: {other} and {}", held.worker, held.actor)));
                }
                if self.state.bindings.get(&held.binding) != Some(&held.actor) {
                    return Err(Broken::OutsideBinding(format!("{}: {here}", held.actor)));
                }
            }
        }
        Ok(())
    }

    /// The slower checks, now and then.
    pub(super) fn whole(&mut self, server: &Server) -> Result<(), Broken> {
        self.auditor.compare(&self.state);
        if let Some(found) = self.auditor.violations.first() {
            return Err(Broken::Journal(format!("{found:?}")));
        }
        let Some(registry) = &server.registry else { return Ok(()) };
        let equal = registry.state().encode().ok() == self.state.encode().ok();
        if equal { Ok(()) } else { Err(Broken::Replay) }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// A planted fault in what the journal says; the auditor must see it.
    fn tamper(&mut self, entry: &Entry, fault: Option<Fault>) -> Option<Entry> {
        if self.tampered {
            return None;
        }
        let mut entry = entry.clone();
        match (fault?, &mut entry.event) {
            (Fault::EpochRepeated, Event::ActorBound { epoch, .. }) if epoch.0 > 1 => *epoch = Epoch(epoch.0 - 1),
            (Fault::IdentityReused, Event::ActorCreated { actor, .. }) => {
                *actor = self.known.iter().find_map(|known| match &known.event {
                    Event::ActorDeleted { actor } => Some(actor.clone()),
                    _ => None,
                })?;
            }
            _ => return None,
        }
        self.tampered = true;
        Some(entry)
    }
}
