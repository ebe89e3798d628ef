//! What somebody does: clients, operators, and misfortune.

use super::Fault;
use super::check::Broken;
use super::disk::Disk;
use super::network::{Cut, ToServer};
use super::world::World;
use credence_model::caller::Caller;
use credence_model::command::{Command, Held, Request};
use credence_model::id::{ActorRef, WorkerRef};
use credence_model::label::Labels;

/// Actors at a time; those that were deleted make room for others.
const ACTORS: u64 = 8;

impl World {
    /// Somebody does something: a client, an operator, or misfortune. Says whether the server restarted.
    pub(super) fn act(&mut self) -> Result<bool, Broken> {
        self.connect();
        if self.server.registry.is_none() {
            if self.random.one_in(8) {
                self.server.store.disk().into_iter().for_each(Disk::make_room);
                self.start_server()?;
                return Ok(true);
            }
            return Ok(false);
        }
        let nth = self.random.below(100);
        if !matches!(nth, 0..=5 | 12 | 14..=15) && self.server.busy(self.now_ms).is_some() {
            // Whoever asks now has to wait.
            return Ok(false);
        }
        match nth {
            0 if self.random.one_in(4) => self.rival()?,
            0 => self.crash_server(),
            1 => self.crash_node(),
            2..=4 => self.break_stream(),
            5 => self.partition(),
            6..=11 => self.renew(),
            12 => self.end_node(),
            13 => self.snapshot(),
            14 => self.suspend_machine(),
            15 => self.disturb_disk(),
            _ => self.command()?,
        }
        Ok(false)
    }

    fn command(&mut self) -> Result<(), Broken> {
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
                ("enable", Command::EnableClass { class, revision: None, enabled })
            }
        };
        self.note(name, String::new());
        if self.random.one_in(10) {
            return self.ask_twice(command);
        }
        self.ask(command);
        Ok(())
    }

    /// A client that did not hear the answer asks again, with the same key.
    fn ask_twice(&mut self, command: Command) -> Result<(), Broken> {
        self.note("command retried", format!("{command:?}"));
        let key = format!("key-{}", self.random.below(u64::MAX));
        let caller = Caller::Local { uid: 0 };
        let mut request = Request { caller, idempotency_key: Some(key), command };
        let first = self.with_server(|server, outside| server.ask_again(outside, &request));
        if self.options.fault == Some(Fault::RetriedAnew) {
            request.idempotency_key = Some("another".into());
        }
        let recorded = self.server.registry.as_ref().map(|registry| registry.state().last_index);
        let second = self.with_server(|server, outside| server.ask_again(outside, &request));
        match (first, second) {
            (Some(Ok(first)), Some(Ok(second))) if first.answer != second.answer || Some(second.index) != recorded => {
                Err(Broken::Retried(format!("{:?}: {:?}, then {:?}", request.command, first.answer, second.answer)))
            }
            (Some(Ok(_)), Some(Err(refusal))) => Err(Broken::Retried(format!("{:?}: {refusal}", request.command))),
            _ => Ok(()),
        }
    }

    fn snapshot(&mut self) {
        if self.with_server(|server, outside| server.snapshot(outside)) {
            self.note("snapshot", String::new());
        }
    }

    fn rival(&mut self) -> Result<(), Broken> {
        if self.with_server(|server, outside| server.rival(outside)) { Ok(()) } else { Err(Broken::Replaced) }
    }

    fn renew(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        let Some(node) = self.nodes.get_mut(index) else { return };
        let held = node.held(self.now_ms);
        let Some(live) = held.first() else { return };
        let held = Held { binding: live.binding, epoch: live.epoch };
        let message = if self.random.one_in(2) { ToServer::Mint(held) } else { ToServer::Renew(held, node.key()) };
        let Some(stream) = self.network.open.get(&index).copied() else { return };
        self.note("renewal", format!("{index}"));
        self.network.send_to_server(self.now_ms, &mut self.random, index, stream, message);
    }

    fn suspend_machine(&mut self) {
        let pause_ms = self.random.between(100, 40_000);
        let index = self.random.below(self.nodes.len() as u64 + 1) as usize;
        let (now_ms, fault) = (self.now_ms, self.options.fault);
        if let Some(node) = self.nodes.get_mut(index) {
            node.pause(now_ms, pause_ms, fault);
            return self.note("node suspended", format!("{index} for {pause_ms} ms"));
        }
        let stands = self.random.one_in(2);
        self.server.suspend(now_ms, pause_ms, stands);
        let what = if stands { "server suspended, its clock stands" } else { "server suspended" };
        self.note(what, format!("for {pause_ms} ms"));
    }

    fn disturb_disk(&mut self) {
        if let Some(disk) = self.server.store.disk() {
            disk.misfortune();
        }
    }

    fn crash_server(&mut self) {
        self.with_server(|server, outside| server.crash(outside));
    }

    pub(super) fn start_server(&mut self) -> Result<(), Broken> {
        self.note("server started", String::new());
        self.with_server(|server, outside| server.start(outside)).map_err(Broken::Refused)
    }

    fn crash_node(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.note("node crashed", format!("{index}"));
        if let Some(node) = self.nodes.get_mut(index) {
            node.crash();
        }
        self.network.cut_stream(self.now_ms, &mut self.random, index);
    }

    fn end_node(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        if self.nodes.get(index).is_none_or(|node| node.paused(self.now_ms).is_some()) {
            return;
        }
        self.note("node told to end", format!("{index}"));
        self.with_node(index, |node, around| node.end(around));
    }

    fn break_stream(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.note("stream cut", format!("{index}"));
        self.network.cut_stream(self.now_ms, &mut self.random, index);
    }

    fn partition(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        if self.network.cut.remove(&index).is_some() {
            return self.note("partition ends", format!("{index}"));
        }
        let nth = self.random.below(Cut::ALL.len() as u64) as usize;
        let Some(cut) = Cut::ALL.get(nth) else { return };
        self.network.cut.insert(index, *cut);
        let name = if *cut == Cut::Both { "partition begins" } else { "one-way partition begins" };
        self.note(name, format!("{index} {cut:?}"));
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
