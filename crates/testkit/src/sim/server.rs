//! The simulated server: the real registry, without threads or sockets.

use super::Fault;
use super::disk::Disk;
use super::network::{Network, ToNode, ToServer};
use super::random::Random;
use super::store::Store;
use super::witness::Seen;
use super::world::{START, settings};
use credence_control::{Answered, CellError, Opening, Openings, Registry, Turn};
use credence_journal::JournalError;
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
    pub(super) store: Store,
    pub(super) registry: Option<Registry>,
    /// Whether appends fail and the process dies now and then.
    pub(super) is_unlucky: bool,
    /// What was recorded since the last look, for when it is down by then.
    pub(super) recorded: Vec<Entry>,
    /// What was seen of its journal.
    pub(super) seen: Seen,
    /// What went wrong since the last look.
    pub(super) noted: Vec<&'static str>,
    /// Each node's present stream and session.
    sessions: BTreeMap<usize, (u64, u64)>,
    openings: Openings,
    rate_per_mille: u64,
    offset_ms: u64,
    /// Where it dies in the next turn that comes so far.
    death: Option<Death>,
    /// Until then it hears nothing: it waits for its disk, or is suspended.
    busy_until_ms: u64,
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

/// Where in a turn the server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// In one of the steps of the disk that an append takes.
    Appending { operations: u32, in_part: bool },
    /// Recorded, and nobody was told.
    Unpublished,
    /// So many directives were told, and the next is ordered but not signed.
    Unsigned(usize),
    /// The next is signed but not sent.
    Undelivered(usize),
    /// All are sent, and the caller has no answer.
    Unanswered,
}

impl Server {
    pub(super) fn new(random: &mut Random, fault: Option<Fault>) -> Self {
        let rate_per_mille = random.between(985, 1015);
        Self {
            store: Store::new(random, fault),
            registry: None,
            is_unlucky: true,
            recorded: Vec::new(),
            seen: Seen::default(),
            noted: Vec::new(),
            sessions: BTreeMap::new(),
            openings: Openings::default(),
            rate_per_mille,
            offset_ms: 0,
            death: None,
            busy_until_ms: 0,
            acknowledged: 0,
        }
    }

    pub(super) fn clock(&self, now_ms: u64) -> Timestamp {
        START.plus_ms(self.offset_ms + now_ms * self.rate_per_mille / 1000)
    }

    /// Until when it hears nothing, if so.
    pub(super) fn busy(&self, now_ms: u64) -> Option<u64> {
        (self.busy_until_ms > now_ms).then_some(self.busy_until_ms)
    }

    /// Its machine is suspended for a while, and its clock may stand meanwhile.
    pub(super) fn suspend(&mut self, now_ms: u64, pause_ms: u64, stands: bool) {
        self.busy_until_ms = self.busy_until_ms.max(now_ms) + pause_ms;
        if stands {
            self.offset_ms = self.offset_ms.saturating_sub(pause_ms * self.rate_per_mille / 1000);
        }
    }

    pub(super) fn start(&mut self, outside: &mut Outside) -> Result<(), String> {
        // The wall clock may have been set while the server was down.
        let before_ms = self.offset_ms;
        self.offset_ms = outside.random.below(100_000_000);
        self.noted.push(if self.offset_ms < before_ms { "server set back" } else { "server set forward" });
        if self.is_unlucky && self.acknowledged > 0 && outside.random.one_in(8) {
            self.store.stop_after(outside.random.below(14) as u32, outside.random.one_in(2));
        }
        let (now, entropy) = (self.clock(outside.now_ms), outside.random.bytes());
        let opened = self.store.open(&self.seen, outside.fault).map_err(CellError::from);
        let opened = opened.and_then(|journal| Registry::open(journal, settings(), now, &entropy));
        if self.store.has_stopped() {
            drop(opened);
            self.noted.push("crash: in a recovery");
            self.crash(outside);
            return Ok(());
        }
        match opened {
            Ok((registry, _)) => {
                self.registry = Some(registry);
                // An opening records, too, and the server may be down again before anybody looks.
                self.recorded = self.entries_after(self.acknowledged)?;
            }
            // The disk may fail at the start too; the server is started again later.
            Err(CellError::Journal(JournalError::Io { .. })) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// A snapshot, from which the next start begins.
    pub(super) fn snapshot(&mut self, outside: &mut Outside) -> bool {
        if self.is_unlucky && self.store.disk().is_some() && outside.random.one_in(6) {
            self.store.stop_after(outside.random.below(8) as u32, outside.random.one_in(2));
        }
        let stored = self.registry.as_mut().is_some_and(|registry| registry.snapshot_after(1).unwrap_or(false));
        if self.store.has_stopped() {
            self.noted.push("crash: in a snapshot");
            self.crash(outside);
        }
        stored
    }

    /// Another server takes the journal over, and this one goes on as if it had not noticed; or the other one is kept out.
    /// Says whether there is one in the end.
    pub(super) fn rival(&mut self, outside: &mut Outside) -> bool {
        let opened = self.store.open(&self.seen, outside.fault);
        if self.store.disk().is_some() {
            self.noted.push("rival server at the lock");
            return matches!(opened, Err(JournalError::InUse { .. }));
        }
        self.noted.push("rival server");
        let (now, entropy) = (self.clock(outside.now_ms), outside.random.bytes());
        let rival = opened.map_err(CellError::from);
        let rival = rival.and_then(|journal| Registry::open(journal, settings(), now, &entropy));
        rival.is_err() || self.ask(outside, Caller::System, Command::Expire).is_none()
    }

    /// The process is killed, or the machine loses its power.
    pub(super) fn crash(&mut self, outside: &mut Outside) {
        self.registry = None;
        self.death = None;
        self.busy_until_ms = 0;
        let loses_power = outside.random.one_in(2);
        self.noted.push(if loses_power { "server lost power" } else { "server killed" });
        match self.store.disk() {
            Some(disk) if loses_power => disk.lose_power(),
            Some(disk) => disk.revive(),
            None => {}
        }
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
        self.registry.as_ref()?;
        self.misfortune(outside);
        let registry = self.registry.as_mut()?;
        let random = &mut *outside.random;
        let turned = registry.turn(now, &mut || random.bytes(), std::slice::from_ref(request));
        let has_stopped = self.store.has_stopped();
        let last = registry.state().last_index;
        self.wait_for_disk(outside);
        match turned {
            Ok(turn) => self.publish(outside, turn),
            Err(_) if has_stopped => {
                let whole = matches!(self.death.take(), Some(Death::Appending { operations: 0, in_part: false }));
                self.noted.push(if whole { "crash: decided, not appended" } else { "crash: in the append" });
                self.crash(outside);
                None
            }
            Err(_) => {
                self.noted.push("append failed");
                if outside.fault == Some(Fault::AnswersUnrecorded) {
                    self.acknowledged = self.acknowledged.max(last);
                }
                if self.registry.as_mut().is_some_and(|registry| registry.recover().is_err()) {
                    self.registry = None;
                }
                self.drop_streams(outside);
                None
            }
        }
    }

    /// What goes wrong in a turn.
    fn misfortune(&mut self, outside: &mut Outside) {
        let (random, has_disk) = (&mut *outside.random, self.store.disk().is_some());
        if !self.is_unlucky {
            self.death = None;
            return;
        }
        if random.one_in(400) {
            self.store.fail_append(random);
        }
        if self.death.is_none() && random.one_in(700) {
            self.death = Some(match random.below(7) {
                0 if has_disk => Death::Appending { operations: 0, in_part: false },
                1 | 2 if has_disk => Death::Appending { operations: random.below(5) as u32, in_part: random.one_in(2) },
                4 => Death::Unsigned(random.below(2) as usize),
                5 => Death::Undelivered(random.below(2) as usize),
                6 => Death::Unanswered,
                _ => Death::Unpublished,
            });
        }
        if let (Some(Death::Appending { operations, in_part }), Some(disk)) = (self.death, self.store.disk()) {
            disk.stop_after(operations, in_part);
        }
    }

    fn wait_for_disk(&mut self, outside: &mut Outside) {
        let spent_ms = self.store.disk().map_or(0, Disk::take_spent_ms);
        if spent_ms > 0 {
            self.noted.push("server slow");
            outside.now_ms += spent_ms;
            self.busy_until_ms = self.busy_until_ms.max(outside.now_ms);
        }
    }

    /// Tells the nodes and the caller what was recorded; each of the steps may be the last.
    fn publish(&mut self, outside: &mut Outside, turn: Turn) -> Option<Result<Answered, Refusal>> {
        let last = self.registry.as_ref().map(|registry| registry.state().last_index)?;
        self.recorded.extend(turn.entries.iter().cloned());
        let death = self.death.filter(|death| match death {
            Death::Appending { .. } => false,
            Death::Unsigned(at) | Death::Undelivered(at) => *at < turn.directives.len(),
            Death::Unpublished | Death::Unanswered => !turn.entries.is_empty(),
        });
        for (nth, directive) in turn.directives.into_iter().enumerate() {
            let died = match death {
                Some(Death::Unpublished) => "crash: appended, not published",
                Some(Death::Unsigned(at)) if at == nth => "crash: published, not signed",
                Some(Death::Undelivered(at)) if at == nth => "crash: signed, not delivered",
                _ => {
                    self.deliver(outside, directive);
                    continue;
                }
            };
            return self.die(outside, died);
        }
        match death {
            Some(Death::Unpublished) => return self.die(outside, "crash: appended, not published"),
            Some(_) => return self.die(outside, "crash: delivered, not answered"),
            None => {}
        }
        self.acknowledged = self.acknowledged.max(last);
        turn.answers.into_iter().next()
    }

    fn die<T>(&mut self, outside: &mut Outside, wherein: &'static str) -> Option<T> {
        self.noted.push(wherein);
        self.crash(outside);
        None
    }

    pub(super) fn hear(&mut self, outside: &mut Outside, node: usize, stream: u64, message: ToServer) {
        let Some(name) = outside.names.get(node).cloned() else { return };
        let caller = Caller::Node { name: name.clone() };
        if let ToServer::Core(FromNodeMessage::Hello { workers, held }) = message {
            // Streams are numbered as they are opened, and a node says nothing before the server answered that.
            if outside.fault != Some(Fault::OldWordsBelieved) && self.openings.admit(&name, Opening(stream)).is_err() {
                self.noted.push("old hello refused");
                return;
            }
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
