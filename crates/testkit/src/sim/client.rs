//! What clients and programs on nodes ask for.

use super::Fault;
use super::check::Broken;
use super::network::ToServer;
use super::world::World;
use credence_model::caller::Caller;
use credence_model::command::{Command, Held, Request};
use credence_model::event::Entry;
use credence_model::id::{ActorRef, WorkerRef};
use credence_model::label::Labels;

/// Actors at a time; those that were deleted make room for others.
const ACTORS: u64 = 8;

impl World {
    pub(super) fn command(&mut self) -> Result<(), Broken> {
        let actor = self.some_actor();
        let (name, command) = match self.random.below(30) {
            0..=2 => {
                // A new id, or one that was used before and must be refused.
                let known = self.checks.state().actors.len() as u64;
                let again = known >= ACTORS || self.random.one_in(5);
                let number = if again { self.random.below(self.created + 1) } else { self.created };
                self.created += u64::from(!again);
                let id = format!("actor-{number}").parse().ok();
                let Ok(class) = "ns/class".parse() else { return Ok(()) };
                ("create", Command::CreateActor { class, id, labels: Labels::new() })
            }
            3..=14 => {
                let wait_ms = Some(self.random.between(0, 60_000));
                let worker = self.random.one_in(5).then(|| self.some_worker()).flatten();
                ("resume", Command::ResumeActor { actor, worker, wait_ms })
            }
            15..=24 => ("suspend", Command::SuspendActor { actor }),
            25 if self.random.one_in(2) => ("terminate", Command::TerminateActor { actor, reason: None }),
            25 => ("quarantine", Command::QuarantineActor { actor, reason: None }),
            26..=27 => ("delete", Command::DeleteActor { actor }),
            28 => {
                let Some(worker) = self.some_worker().filter(|_| self.random.one_in(4)) else { return Ok(()) };
                ("drain", Command::DrainWorker { worker })
            }
            _ => {
                let (Ok(class), enabled) = ("ns/class".parse(), !self.random.one_in(3)) else { return Ok(()) };
                let revision = self.random.one_in(3).then_some(1);
                ("enable", Command::EnableClass { class, revision, enabled })
            }
        };
        self.note(name, String::new());
        if self.random.one_in(10) {
            return self.ask_twice(command);
        }
        self.ask(command);
        Ok(())
    }

    /// A client that did not hear the answer asks again, with the same key, and whichever server there is.
    fn ask_twice(&mut self, command: Command) -> Result<(), Broken> {
        self.note("command retried", format!("{command:?}"));
        let key = format!("key-{}", self.random.below(u64::MAX));
        let caller = Caller::Local { uid: 0 };
        let mut request = Request { caller, idempotency_key: Some(key), command };
        let Some(server) = self.some_server() else { return Ok(()) };
        let first = self.with_server(server, |server, outside| server.ask_again(outside, &request)).flatten();
        if self.options.fault == Some(Fault::RetriedAnew) {
            request.idempotency_key = Some("another".into());
        }
        let Some(again) = self.some_server() else { return Ok(()) };
        let recorded =
            self.servers.get(again).and_then(|server| server.registry.as_ref()).map(|r| r.state().last_index);
        let second = self.with_server(again, |server, outside| server.ask_again(outside, &request)).flatten();
        match (first, second) {
            (Some(Ok(first)), Some(Ok(second))) if first.answer != second.answer || Some(second.index) != recorded => {
                Err(Broken::Retried(format!("{:?}: {:?}, then {:?}", request.command, first.answer, second.answer)))
            }
            (Some(Ok(_)), Some(Err(refusal))) => Err(Broken::Retried(format!("{:?}: {refusal}", request.command))),
            _ => Ok(()),
        }
    }

    /// Somebody reads the journal: what is answered is what was recorded.
    pub(super) fn read_journal(&mut self, server: usize) -> Result<(), Broken> {
        let from = self.now_ms % self.checks.known.len().max(1) as u64 + 1;
        let read = self.servers.get_mut(server).and_then(|server| server.registry.as_mut()).map(|r| r.read(from, 50));
        self.note("journal read", format!("from {from}"));
        // A disk that cannot be read is said to be so.
        let Some(Ok(read)) = read else { return Ok(()) };
        let differs =
            |entry: &Entry| self.checks.known.get(entry.index as usize - 1).is_some_and(|known| known != entry);
        match read.iter().find(|entry| differs(entry)) {
            Some(entry) => Err(Broken::Lost(format!("entry {} is read as {:?}", entry.index, entry.event))),
            None => Ok(()),
        }
    }

    /// Something that a node asks for by itself: credentials, or to bind a process.
    pub(super) fn of_node(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        let fault = self.options.fault;
        let Some(stream) = self.network.open.get(&index).copied() else { return };
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.paused(self.now_ms).is_none()) else { return };
        let Some(core) = node.core.as_ref() else { return };
        if core.connected() != Some(stream) {
            return;
        }
        let live = node.held(self.now_ms).into_iter().next();
        let held = live.map(|live| Held { binding: live.binding, epoch: live.epoch });
        let (name, message) = match (self.random.below(8), held) {
            (0, _) => {
                let Ok(class) = "ns/class".parse() else { return };
                // A new actor, or one that is there and may be bound elsewhere.
                let actor = self.random.one_in(2).then(|| self.some_actor().actor);
                ("process bound", ToServer::BindProcess(class, actor))
            }
            (1, _) => ("node renewed", ToServer::RenewNode(node.key(fault))),
            (2..=4, Some(held)) => ("token", ToServer::Mint(held)),
            (_, Some(held)) => ("renewal", ToServer::Renew(held, node.key(fault))),
            (_, None) => return,
        };
        self.note(name, format!("{index}"));
        self.network.send_to_server(self.now_ms, &mut self.random, index, stream, message);
    }

    fn some_actor(&mut self) -> ActorRef {
        let known: Vec<_> = self.checks.state().actors.names().collect();
        let nth = self.random.below(known.len() as u64 + 1) as usize;
        let nobody = || "ns/nobody".parse().unwrap_or_else(|_| unreachable!());
        known.into_iter().nth(nth).unwrap_or_else(nobody)
    }

    fn some_worker(&mut self) -> Option<WorkerRef> {
        let nodes: Vec<_> = self.nodes.iter().flat_map(|node| node.workers.clone()).collect();
        let nth = self.random.below(nodes.len() as u64) as usize;
        nodes.into_iter().nth(nth)
    }
}
