//! A simulated server: the real registry, without threads or sockets. Several of them may want the same cell.

pub(super) mod judge;
mod stream;

use super::Fault;
use super::disk::Disk;
use super::ground::Ground;
use super::network::{Network, ToNode};
use super::random::Random;
use super::signature::Signed;
use super::world::START;
use credence_control::{Answered, CellError, EXPIRE_EVERY_MS, Openings, Registry, Turn};
use credence_journal::JournalError;
use credence_model::caller::Caller;
use credence_model::command::{Command, Request};
use credence_model::directive::Directive;
use credence_model::event::Entry;
use credence_model::id::NodeName;
use credence_model::refusal::Refusal;
use credence_model::time::Timestamp;
use credence_server::clock::Reckoning;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct Server {
    pub(super) index: usize,
    pub(super) registry: Option<Registry>,
    /// Raised by every start: streams of an earlier life are over.
    pub(super) life: u64,
    /// Each node's present stream.
    sessions: BTreeMap<usize, Session>,
    openings: Openings,
    /// Its machine counts time a little fast or slow, and not while it is suspended and its clock stands.
    rate_per_mille: u64,
    stood_ms: u64,
    /// How far ahead its machine's wall clock is.
    wall_off_ms: u64,
    /// What it made of the two when it started.
    reckoning: Reckoning,
    started: Duration,
    /// When it last looked at leases and queues.
    expired_at: Timestamp,
    /// Where it dies in the next turn that comes so far.
    death: Option<Death>,
    /// Until then it hears nothing: it waits for its disk, or is suspended.
    busy_until_ms: u64,
}

/// A node's stream, as the server knows it.
#[derive(Debug, Clone, Copy)]
struct Session {
    stream: u64,
    number: u64,
    /// The newest bundle that was sent on it.
    bundle: u64,
}

/// What a server acts on and with.
pub(super) struct Outside<'a> {
    pub(super) now_ms: u64,
    pub(super) random: &'a mut Random,
    pub(super) network: &'a mut Network,
    pub(super) ground: &'a mut Ground,
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
    pub(super) fn new(index: usize, random: &mut Random) -> Self {
        Self {
            index,
            registry: None,
            life: 0,
            sessions: BTreeMap::new(),
            openings: Openings::default(),
            rate_per_mille: random.between(985, 1015),
            stood_ms: 0,
            wall_off_ms: 0,
            reckoning: Reckoning::start(START),
            started: Duration::ZERO,
            expired_at: Timestamp::default(),
            death: None,
            busy_until_ms: 0,
        }
    }

    /// What its machine counts.
    fn counted(&self, now_ms: u64) -> Duration {
        Duration::from_millis((now_ms * self.rate_per_mille / 1000).saturating_sub(self.stood_ms))
    }

    fn wall(&self, now_ms: u64) -> Timestamp {
        START.plus_ms(now_ms * self.rate_per_mille / 1000 + self.wall_off_ms)
    }

    fn clock(&self, outside: &Outside) -> Timestamp {
        if outside.fault == Some(Fault::ClockStepped) {
            return self.wall(outside.now_ms);
        }
        self.reckoning.at(self.counted(outside.now_ms).saturating_sub(self.started))
    }

    /// Somebody sets its machine's wall clock.
    pub(super) fn set_wall(&mut self, off_ms: u64) -> bool {
        let before_ms = std::mem::replace(&mut self.wall_off_ms, off_ms);
        off_ms < before_ms
    }

    /// Until when it hears nothing, if so.
    pub(super) fn busy(&self, now_ms: u64) -> Option<u64> {
        (self.busy_until_ms > now_ms).then_some(self.busy_until_ms)
    }

    /// Its machine is suspended for a while, and its clock may stand meanwhile.
    pub(super) fn suspend(&mut self, now_ms: u64, pause_ms: u64, stands: bool) {
        self.busy_until_ms = self.busy_until_ms.max(now_ms) + pause_ms;
        if stands {
            self.stood_ms += (pause_ms * self.rate_per_mille / 1000).min(self.counted(now_ms).as_millis() as u64);
        }
    }

    /// Starts, and takes the journal over. Says whether it has it.
    pub(super) fn start(&mut self, outside: &mut Outside) -> Result<bool, String> {
        // The wall clock may have been set while the server was down.
        let is_back = self.set_wall(outside.random.below(100_000_000));
        outside.ground.noted.push(if is_back { "server set back" } else { "server set forward" });
        self.life += 1;
        self.openings = Openings::default();
        (self.reckoning, self.started) = (Reckoning::start(self.wall(outside.now_ms)), self.counted(outside.now_ms));
        let before = outside.ground.owner;
        if outside.ground.is_unlucky && outside.ground.acknowledged > 0 && before.is_none() && outside.random.one_in(8)
        {
            outside.ground.store.stop_after(outside.random.below(14) as u32, outside.random.one_in(2));
        }
        let (now, entropy) = (self.clock(outside), outside.random.bytes());
        let opened = outside.ground.store.open(&outside.ground.seen, outside.fault).map_err(CellError::from);
        let settings = outside.ground.settings.clone();
        if !matches!(opened, Err(CellError::Journal(JournalError::InUse { .. }))) {
            // Whoever had it has it no more.
            outside.ground.owner = None;
        }
        let opened = opened.and_then(|journal| Registry::open(journal, settings, now, &entropy));
        if outside.ground.store.has_stopped() {
            drop(opened);
            outside.ground.noted.push("crash: in a recovery");
            self.crash(outside);
            return Ok(false);
        }
        match opened {
            Ok((registry, _)) => {
                self.registry = Some(registry);
                outside.ground.owner = Some(self.index);
                if before.is_some() {
                    outside.ground.noted.push("server took the journal over");
                }
                // An opening records, too, and the server may be down again before anybody looks.
                let recorded = self.entries_after(outside.ground, outside.ground.acknowledged)?;
                outside.ground.found(recorded);
                Ok(true)
            }
            Err(CellError::Journal(JournalError::InUse { .. })) => {
                outside.ground.noted.push("rival server at the lock");
                Ok(false)
            }
            // The disk may fail at the start too; the server is started again later.
            Err(CellError::Journal(JournalError::Io { .. })) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A snapshot, from which the next start begins.
    pub(super) fn snapshot(&mut self, outside: &mut Outside) -> bool {
        if outside.ground.is_unlucky && outside.ground.store.disk().is_some() && outside.random.one_in(6) {
            outside.ground.store.stop_after(outside.random.below(8) as u32, outside.random.one_in(2));
        }
        let stored = self.registry.as_mut().is_some_and(|registry| registry.snapshot_after(1).unwrap_or(false));
        if outside.ground.store.has_stopped() {
            outside.ground.noted.push("crash: in a snapshot");
            self.crash(outside);
        }
        stored
    }

    /// The process is killed, or the machine loses its power.
    pub(super) fn crash(&mut self, outside: &mut Outside) {
        self.stop(outside);
        let loses_power = outside.random.one_in(2);
        outside.ground.noted.push(if loses_power { "server lost power" } else { "server killed" });
        match outside.ground.store.disk() {
            Some(disk) if loses_power => disk.lose_power(),
            Some(disk) => disk.revive(),
            None => {}
        }
    }

    /// The process is no more.
    fn stop(&mut self, outside: &mut Outside) {
        self.registry = None;
        self.death = None;
        self.busy_until_ms = 0;
        outside.ground.owner = outside.ground.owner.filter(|owner| *owner != self.index);
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
        let now = self.clock(outside);
        self.registry.as_ref()?;
        self.misfortune(outside);
        let registry = self.registry.as_mut()?;
        let random = &mut *outside.random;
        // As the cell does: time passes in every turn, if it has not just done so.
        let is_due = now.ms_since(self.expired_at) >= EXPIRE_EVERY_MS || now < self.expired_at;
        let expire = Request { caller: Caller::System, idempotency_key: None, command: Command::Expire };
        let expire = Some(expire).filter(|_| is_due && outside.fault != Some(Fault::NeverExpires));
        self.expired_at = if is_due { now } else { self.expired_at };
        let requests: Vec<_> = std::iter::once(request.clone()).chain(expire).collect();
        let turned = registry.turn(now, &mut || random.bytes(), &requests);
        let has_stopped = outside.ground.store.has_stopped();
        let last = registry.state().last_index;
        self.wait_for_disk(outside);
        match turned {
            Ok(turn) => self.publish(outside, request, turn),
            Err(_) if has_stopped => {
                let whole = matches!(self.death.take(), Some(Death::Appending { operations: 0, in_part: false }));
                let wherein = if whole { "crash: decided, not appended" } else { "crash: in the append" };
                self.die(outside, wherein)
            }
            Err(error) => {
                let is_replaced = matches!(error, CellError::Journal(JournalError::StaleFence { .. }));
                outside.ground.noted.push(if is_replaced { "replaced server refused" } else { "append failed" });
                if outside.fault == Some(Fault::AnswersUnrecorded) {
                    outside.ground.acknowledged = outside.ground.acknowledged.max(last);
                }
                self.recover(outside);
                None
            }
        }
    }

    /// As the cell does when recording failed.
    fn recover(&mut self, outside: &mut Outside) {
        self.drop_streams(outside);
        let goes_on = match self.registry.as_mut().map(Registry::recover) {
            Some(Ok(_)) => true,
            Some(Err(CellError::Replaced)) => outside.fault == Some(Fault::GoesOnReplaced),
            _ => false,
        };
        if !goes_on {
            return self.stop(outside);
        }
        outside.ground.owner = Some(self.index);
        // The batch whose append failed may be there after all, and the server may be down before anybody looks.
        if let Ok(recorded) = self.entries_after(outside.ground, outside.ground.acknowledged) {
            outside.ground.found(recorded);
        }
    }

    /// What goes wrong in a turn.
    fn misfortune(&mut self, outside: &mut Outside) {
        let (random, has_disk) = (&mut *outside.random, outside.ground.store.disk().is_some());
        if !outside.ground.is_unlucky {
            self.death = None;
            return;
        }
        if random.one_in(400) {
            outside.ground.store.fail_append(random);
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
        if let (Some(Death::Appending { operations, in_part }), Some(disk)) = (self.death, outside.ground.store.disk())
        {
            disk.stop_after(operations, in_part);
        }
    }

    fn wait_for_disk(&mut self, outside: &mut Outside) {
        let spent_ms = outside.ground.store.disk().map_or(0, Disk::take_spent_ms);
        if spent_ms > 0 {
            outside.ground.noted.push("server slow");
            outside.now_ms += spent_ms;
            self.busy_until_ms = self.busy_until_ms.max(outside.now_ms);
        }
    }

    /// Signs what was recorded and tells the nodes and the caller; each of the steps may be the last.
    fn publish(&mut self, outside: &mut Outside, request: &Request, turn: Turn) -> Option<Result<Answered, Refusal>> {
        let last = self.registry.as_ref().map(|registry| registry.state().last_index)?;
        outside.ground.recorded.extend(turn.entries.iter().cloned());
        let answer = turn.answers.into_iter().next();
        let orders = answer.iter().flatten().flat_map(|answered| answered.orders.iter().cloned());
        let directives: Vec<Directive> = turn.directives.into_iter().chain(orders).collect();
        let death = self.death.filter(|death| match death {
            Death::Appending { .. } => false,
            Death::Unsigned(_) | Death::Undelivered(_) => directives.iter().any(|directive| order(directive).is_some()),
            Death::Unpublished | Death::Unanswered => !turn.entries.is_empty(),
        });
        if death == Some(Death::Unpublished) {
            return self.die(outside, "crash: appended, not published");
        }
        let mut signatures = 0;
        for directive in directives {
            let signed = order(&directive);
            if signed.is_some() && death.is_some_and(|death| death == Death::Unsigned(signatures)) {
                return self.die(outside, "crash: published, not signed");
            }
            outside.ground.signed.extend(signed.clone());
            if signed.is_some() && death.is_some_and(|death| death == Death::Undelivered(signatures)) {
                return self.die(outside, "crash: signed, not delivered");
            }
            signatures += usize::from(signed.is_some());
            self.deliver(outside, directive, signed);
        }
        self.spread(outside);
        if death == Some(Death::Unanswered) {
            return self.die(outside, "crash: delivered, not answered");
        }
        self.sign_refused(outside, request, answer.as_ref());
        outside.ground.acknowledged = outside.ground.acknowledged.max(last);
        answer
    }

    fn die<T>(&mut self, outside: &mut Outside, wherein: &'static str) -> Option<T> {
        outside.ground.noted.push(wherein);
        self.crash(outside);
        None
    }

    /// Entries recorded after index `after`.
    pub(super) fn entries_after(&mut self, ground: &Ground, after: u64) -> Result<Vec<Entry>, String> {
        let Some(registry) = &mut self.registry else { return Ok(Vec::new()) };
        let mut read = |from| registry.read(from, 10_000).map_err(|error| error.to_string());
        let mut all = Vec::new();
        loop {
            let from = after + 1 + all.len() as u64;
            let page = match ground.store.disk() {
                Some(disk) => disk.checked(|| read(from)),
                None => read(from),
            }?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}

/// The signature of the order that a directive holds.
fn order(directive: &Directive) -> Option<Signed> {
    match directive {
        Directive::Bind(bind) => Some(Signed::x509(&bind.order)),
        Directive::X509 { order, .. } | Directive::NodeSvid { order, .. } => Some(Signed::x509(order)),
        Directive::Jwt { order, .. } => Some(Signed::jwt(order)),
        Directive::Unbind { .. } | Directive::Reconsider { .. } | Directive::EndSessions { .. } => None,
    }
}
