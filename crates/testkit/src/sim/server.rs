//! The simulated server: the real registry on a disk in memory, without threads or sockets.

use super::Fault;
use super::network::{Network, ToNode, ToServer};
use super::random::Random;
use super::world::{START, settings};
use credence_control::{Answered, CellError, Registry};
use credence_journal::{Fault as DiskFault, JournalError, MemoryDisk, MemoryJournal};
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command, Report, Request};
use credence_model::directive::Directive;
use credence_model::event::Entry;
use credence_model::id::NodeName;
use credence_model::refusal::Refusal;
use credence_model::time::Timestamp;
use credence_node::core::message::{BindNotice, FromNodeMessage};
use std::collections::BTreeMap;

pub(super) struct Server {
    pub(super) disk: MemoryDisk,
    pub(super) registry: Option<Registry>,
    /// Whether appends fail now and then.
    pub(super) disk_fails: bool,
    /// Each node's present stream and session.
    sessions: BTreeMap<usize, (u64, u64)>,
    rate_per_mille: u64,
    offset_ms: u64,
    /// Entries that were acknowledged to somebody: they must be on the disk for ever.
    pub(super) acknowledged: u64,
}

/// What the server acts on and with.
pub(super) struct Outside<'a> {
    pub(super) now_ms: u64,
    pub(super) random: &'a mut Random,
    pub(super) network: &'a mut Network,
    pub(super) names: &'a [NodeName],
    pub(super) fault: Option<Fault>,
}

impl Server {
    pub(super) fn new(random: &mut Random) -> Self {
        let rate_per_mille = random.between(985, 1015);
        Self {
            disk: MemoryDisk::new(),
            registry: None,
            disk_fails: true,
            sessions: BTreeMap::new(),
            rate_per_mille,
            offset_ms: 0,
            acknowledged: 0,
        }
    }

    pub(super) fn clock(&self, now_ms: u64) -> Timestamp {
        START.plus_ms(self.offset_ms + now_ms * self.rate_per_mille / 1000)
    }

    pub(super) fn start(&mut self, outside: &mut Outside) -> Result<(), String> {
        // The wall clock may have been set while the server was down.
        self.offset_ms = outside.random.below(100_000_000);
        let journal = Box::new(MemoryJournal::open(&self.disk));
        let (now, entropy) = (self.clock(outside.now_ms), outside.random.bytes());
        match Registry::open(journal, settings(), now, &entropy) {
            Ok((registry, _)) => self.registry = Some(registry),
            // The disk may fail at the start too; the server is started again later.
            Err(CellError::Journal(JournalError::Io { .. })) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// A snapshot, from which the next start begins.
    pub(super) fn snapshot(&mut self) -> bool {
        self.registry.as_mut().is_some_and(|registry| registry.snapshot_after(1).unwrap_or(false))
    }

    /// Another server takes the journal over, and this one goes on as if it had not noticed. Says whether it was stopped.
    pub(super) fn rival(&mut self, outside: &mut Outside) -> bool {
        let rival = Registry::open(
            Box::new(MemoryJournal::open(&self.disk)),
            settings(),
            self.clock(outside.now_ms),
            &outside.random.bytes(),
        );
        rival.is_err() || self.ask(outside, Caller::System, Command::Expire).is_none()
    }

    pub(super) fn crash(&mut self, outside: &mut Outside) {
        self.registry = None;
        self.drop_streams(outside);
    }

    /// One request of a client; `None` if the server is down or could not record it.
    pub(super) fn ask(
        &mut self,
        outside: &mut Outside,
        caller: Caller,
        command: Command,
    ) -> Option<Result<Answered, Refusal>> {
        self.ask_again(outside, &Request { caller, idempotency_key: None, command })
    }

    /// The same with a request that may have a key, and may be sent again.
    pub(super) fn ask_again(&mut self, outside: &mut Outside, request: &Request) -> Option<Result<Answered, Refusal>> {
        let now = self.clock(outside.now_ms);
        if self.disk_fails && outside.random.one_in(400) {
            let lost = if outside.random.one_in(2) { DiskFault::LoseAnswer } else { DiskFault::RefuseAppend };
            self.disk.inject(lost);
        }
        let registry = self.registry.as_mut()?;
        let random = &mut *outside.random;
        match registry.turn(now, &mut || random.bytes(), std::slice::from_ref(request)) {
            Ok(turn) => {
                self.acknowledged = self.acknowledged.max(registry.state().last_index);
                turn.directives.into_iter().for_each(|directive| self.deliver(outside, directive));
                turn.answers.into_iter().next()
            }
            Err(_) => {
                if outside.fault == Some(Fault::AnswersUnrecorded) {
                    self.acknowledged = self.acknowledged.max(registry.state().last_index);
                }
                let recovered = registry.recover();
                self.drop_streams(outside);
                if recovered.is_err() {
                    self.registry = None;
                }
                None
            }
        }
    }

    pub(super) fn hear(&mut self, outside: &mut Outside, node: usize, stream: u64, message: ToServer) {
        let Some(name) = outside.names.get(node).cloned() else { return };
        let caller = Caller::Node { name: name.clone() };
        if let ToServer::Core(FromNodeMessage::Hello { workers, held }) = message {
            let command = Command::AttachNode { node: name, workers, held };
            match self.ask(outside, caller, command) {
                Some(Ok(Answered { answer: Answer::Attached { session, unbind }, .. })) => {
                    self.sessions.insert(node, (stream, session));
                    self.send(outside, node, stream, ToNode::Welcome { session, unbind });
                }
                _ => self.close(outside, node),
            }
            return;
        }
        let Some((_, session)) = self.sessions.get(&node).copied().filter(|(open, _)| *open == stream) else { return };
        let number = match &message {
            ToServer::Core(FromNodeMessage::Heartbeat { number }) => Some(*number),
            _ => None,
        };
        let report = match message {
            ToServer::Core(message) => message.report(),
            ToServer::Keys(keys) => Some(Report::KeysOffered(keys)),
            ToServer::Renew(held, key) => Some(Report::RenewX509 { held, key }),
            ToServer::Mint(held) => Some(Report::MintJwt { held, audience: vec!["tool".into()] }),
        };
        let Some(report) = report else { return };
        let answered = self.ask(outside, caller, Command::Report { node: name, session, report });
        match (number, answered) {
            (Some(number), Some(Ok(_))) => self.send(outside, node, stream, ToNode::Ack(number)),
            // A heartbeat is refused only when the stream is over.
            (Some(_), _) => self.close(outside, node),
            (None, _) => {}
        }
    }

    pub(super) fn broken(&mut self, outside: &mut Outside, node: usize, stream: u64) {
        let Some((_, session)) = self.sessions.get(&node).copied().filter(|(open, _)| *open == stream) else { return };
        self.sessions.remove(&node);
        let Some(name) = outside.names.get(node).cloned() else { return };
        let command = Command::Report { node: name.clone(), session, report: Report::Detached };
        self.ask(outside, Caller::Node { name }, command);
    }

    /// Entries recorded after index `after`.
    pub(super) fn entries_after(&mut self, after: u64) -> Result<Vec<Entry>, String> {
        let Some(registry) = &mut self.registry else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        loop {
            let page = registry.read(after + 1 + all.len() as u64, 10_000).map_err(|error| error.to_string())?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    fn deliver(&mut self, outside: &mut Outside, directive: Directive) {
        let Some(node) = outside.names.iter().position(|name| name == directive.node()) else { return };
        let Some((stream, session)) = self.sessions.get(&node).copied() else { return };
        match directive {
            Directive::Bind(bind) if bind.session == session => {
                let notice = BindNotice::from_directive(&bind, Vec::new());
                self.send(outside, node, stream, ToNode::Bind(Box::new(notice)));
            }
            Directive::Unbind { unbind, .. } => self.send(outside, node, stream, ToNode::Unbind(unbind)),
            Directive::EndSessions { before, .. } if session < before => self.close(outside, node),
            _ => {}
        }
    }

    fn send(&mut self, outside: &mut Outside, node: usize, stream: u64, message: ToNode) {
        outside.network.send_to_node(outside.now_ms, outside.random, node, stream, message);
    }

    fn close(&mut self, outside: &mut Outside, node: usize) {
        if let Some((stream, _)) = self.sessions.remove(&node)
            && outside.network.open.get(&node) != Some(&stream)
        {
            return;
        }
        outside.network.cut_stream(outside.now_ms, outside.random, node);
    }

    fn drop_streams(&mut self, outside: &mut Outside) {
        self.sessions.clear();
        for node in 0..outside.names.len() {
            outside.network.cut_stream(outside.now_ms, outside.random, node);
        }
    }
}
