//! A simulated node: the real state machine, clocks of its own, and below it workers and programs that take their time.

use super::Fault;
use super::network::{Arrival, Network, ToNode, ToServer};
use super::random::Random;
use super::signature::Signed;
use credence_model::actor::UnbindMode;
use credence_model::command::Held;
use credence_model::id::{BindingId, Digest, NodeName, WorkerRef};
use credence_model::time::Timestamp;
use credence_node::core::message::{BindNotice, FromNodeMessage};
use credence_node::core::{Core, Effect, Input, LiveBinding, MonoMs};
use std::collections::BTreeMap;

pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) workers: Vec<WorkerRef>,
    pub(super) core: Option<Core>,
    /// Raised by every crash: what an earlier life's processes did is over.
    pub(super) life: u64,
    /// How far its wall clock is from the right time, in milliseconds.
    pub(super) wall_off_ms: i64,
    /// Told to end in order: it leaves, and is gone once everything has ended and was heard.
    ending: bool,
    index: usize,
    /// Its clock shows this at the beginning, and runs by this many thousandths.
    offset_ms: u64,
    rate_per_mille: u64,
    keys: u64,
    /// Until then its machine is suspended: nothing runs there, and its clock goes on.
    paused_until_ms: u64,
    /// What serves each binding: the worker that was started, and its X.509-SVID.
    served: BTreeMap<BindingId, (WorkerRef, Signed)>,
    /// The newest bundle that it was told, and the authorities whose signatures are to be replaced.
    bundle: (u64, Vec<Digest>),
}

/// What a node acts on and with.
pub(super) struct Around<'a> {
    pub(super) now_ms: u64,
    /// The right time of day, as the server shows it.
    pub(super) wall: Timestamp,
    pub(super) random: &'a mut Random,
    pub(super) network: &'a mut Network,
    pub(super) noted: &'a mut Vec<&'static str>,
    pub(super) fault: Option<Fault>,
}

impl Node {
    pub(super) fn new(index: usize, name: NodeName, workers: Vec<WorkerRef>, random: &mut Random) -> Self {
        let (offset_ms, rate_per_mille) = (random.below(1 << 40), random.between(985, 1015));
        Self {
            name,
            workers,
            core: None,
            life: 0,
            wall_off_ms: 0,
            ending: false,
            index,
            offset_ms,
            rate_per_mille,
            keys: 0,
            paused_until_ms: 0,
            served: BTreeMap::new(),
            bundle: (0, Vec::new()),
        }
    }

    pub(super) fn mono(&self, now_ms: u64) -> MonoMs {
        MonoMs(self.offset_ms + now_ms * self.rate_per_mille / 1000)
    }

    /// When its next deadline is, on the world's clock.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let at = self.core.as_ref()?.next_deadline()?.0.saturating_sub(self.offset_ms);
        Some((at * 1000).div_ceil(self.rate_per_mille).max(self.paused_until_ms))
    }

    /// Its machine is suspended for a while.
    pub(super) fn pause(&mut self, now_ms: u64, pause_ms: u64, fault: Option<Fault>) {
        self.paused_until_ms = now_ms + pause_ms;
        if fault == Some(Fault::ClockStands) {
            self.offset_ms = self.offset_ms.saturating_sub(pause_ms * self.rate_per_mille / 1000);
        }
    }

    /// Until when it hears nothing, if so.
    pub(super) fn paused(&self, now_ms: u64) -> Option<u64> {
        (self.paused_until_ms > now_ms).then_some(self.paused_until_ms)
    }

    pub(super) fn start(&mut self) {
        self.life += 1;
        self.ending = false;
        self.core = Some(Core::new(self.workers.clone()));
    }

    /// Everything in its memory is gone, and its processes with it.
    pub(super) fn crash(&mut self) {
        self.paused_until_ms = 0;
        self.life += 1;
        self.core = None;
        self.served.clear();
        self.bundle = (0, Vec::new());
    }

    pub(super) fn end(&mut self, around: &mut Around) {
        self.ending = true;
        self.input(around, Input::Shutdown);
    }

    /// Whether it has ended in order.
    pub(super) fn has_ended(&self) -> bool {
        self.ending && self.core.as_ref().is_some_and(Core::is_settled)
    }

    /// The bindings whose identity it serves at this moment, each with the worker where it really is.
    pub(super) fn held(&self, now_ms: u64) -> Vec<LiveBinding> {
        let core = self.core.as_ref().filter(|_| self.paused(now_ms).is_none());
        let mut held = core.map(|core| core.held(self.mono(now_ms))).unwrap_or_default();
        // What waits for its first identity serves none.
        held.retain_mut(|live| {
            let Some((worker, _)) = self.served.get(&live.binding) else { return false };
            live.worker.clone_from(worker);
            true
        });
        held
    }

    pub(super) fn input(&mut self, around: &mut Around, input: Input) {
        let now = self.mono(around.now_ms);
        let Some(core) = &mut self.core else { return };
        let effects = core.step(now, input);
        // It may die between any two of the things that it is to do.
        let dies = !effects.is_empty() && !around.network.is_calm && around.random.one_in(2_000);
        let last = if dies { around.random.below(effects.len() as u64) as usize } else { effects.len() };
        effects.into_iter().take(last).for_each(|effect| self.take_effect(around, effect));
        if dies {
            around.noted.push("node crashed within a step");
            self.crash();
            around.network.cut_stream(around.now_ms, around.random, self.index);
        }
    }

    pub(super) fn hear(&mut self, around: &mut Around, stream: u64, message: ToNode) {
        let mut keys = 0;
        let input = match message {
            ToNode::Welcome { session, lease_ms, heartbeat_ms, unbind } => {
                let longer = match around.fault {
                    Some(Fault::LeaseTooLong) => 3,
                    Some(Fault::LeaseIgnored) => 1_000_000,
                    _ => 1,
                };
                keys = 4;
                Input::Welcome { stream, session, lease_ms: lease_ms * longer, heartbeat_ms, unbind }
            }
            ToNode::Ack(number) => Input::HeartbeatAck { stream, number },
            ToNode::Bind(bind) => {
                keys = 1;
                Input::Bind { stream, bind }
            }
            ToNode::Unbind(unbind) => Input::Unbind { stream, unbind },
            ToNode::X509(binding, signed) => return self.renewed(around, stream, binding, *signed),
            ToNode::Other => return,
            ToNode::Bundle { sequence, tainted } => {
                self.bundle = (sequence, tainted);
                return self.follow(around, stream);
            }
        };
        let is_new = self.core.as_ref().is_some_and(|core| core.connected() != Some(stream));
        self.input(around, input);
        // A Welcome that was said twice leads to nothing the second time.
        let is_listening = self.core.as_ref().is_some_and(|core| core.connected() == Some(stream));
        let keys =
            if !is_listening || keys == 4 && !is_new || around.fault == Some(Fault::KeysLost) { 0 } else { keys };
        if keys > 0 {
            // The first keys of a stream replace all that were offered before: none is ever certified twice.
            let keys = (0..keys).map(|_| self.key(around.fault)).collect();
            self.say(around, stream, ToServer::Keys(keys));
        }
    }

    pub(super) fn key(&mut self, fault: Option<Fault>) -> Digest {
        self.keys += u64::from(fault != Some(Fault::KeyReused));
        Digest::of(format!("{} {} {}", self.name, self.life, self.keys).as_bytes())
    }

    /// What its wall clock shows.
    fn wall(&self, around: &Around) -> Timestamp {
        Timestamp(around.wall.as_ms().saturating_add_signed(self.wall_off_ms))
    }

    /// A fresh X.509-SVID is served if it is valid here and now.
    fn renewed(&mut self, around: &mut Around, stream: u64, binding: BindingId, signed: Signed) {
        let at = self.wall(around);
        let Some((_, served)) = self.served.get_mut(&binding) else { return };
        let is_fit = served.held.is_some_and(|held| signed.is_identity(held, at));
        if !is_fit {
            return around.noted.push("identity refused by a wrong wall clock");
        }
        *served = signed;
        self.follow(around, stream);
    }

    /// Says which bundle it holds; what a tainted authority signed is renewed first.
    fn follow(&mut self, around: &mut Around, stream: u64) {
        let (sequence, tainted) = self.bundle.clone();
        let bad = |signed: &Signed| signed.authority.is_some_and(|by| tainted.contains(&by));
        let spoilt: Vec<_> =
            self.served.values().filter(|(_, signed)| bad(signed)).filter_map(|(_, s)| s.held).collect();
        let message = ToServer::BundleHeld { sequence, reissued: spoilt.is_empty() };
        self.say(around, stream, message);
        for (binding, epoch) in spoilt {
            let key = self.key(around.fault);
            self.say(around, stream, ToServer::Renew(Held { binding, epoch }, key));
        }
    }

    fn say(&self, around: &mut Around, stream: u64, message: ToServer) {
        around.network.send_to_server(around.now_ms, around.random, self.index, stream, message);
    }

    fn take_effect(&mut self, around: &mut Around, effect: Effect) {
        match effect {
            Effect::Send { stream, message } => {
                let hello = matches!(message, FromNodeMessage::Hello { .. });
                debug_assert!(!hello || around.network.open.get(&self.index) == Some(&stream));
                self.say(around, stream, ToServer::Core(message));
            }
            Effect::Start(bind) => self.launch(around, &bind),
            Effect::Stop { .. } if around.fault == Some(Fault::NeverEnds) => {}
            Effect::Stop { binding, mode } => {
                let archive = (mode == UnbindMode::Suspend).then(|| Digest(around.random.bytes()));
                let slowest = if mode == UnbindMode::Suspend { 5_000 } else { 100 };
                self.below(around, (1, slowest), Input::Stopped { binding, archive, trouble: None });
            }
            Effect::Disconnect { stream } => {
                if around.network.open.get(&self.index) == Some(&stream) {
                    around.network.cut_stream(around.now_ms, around.random, self.index);
                }
            }
        }
    }

    /// Starts an actor, unless its identity is not valid here and now.
    fn launch(&mut self, around: &mut Around, bind: &BindNotice) {
        let binding = bind.binding;
        let at = self.wall(around);
        let signed = Signed::read(&bind.chain).filter(|signed| signed.is_identity((binding, bind.epoch), at));
        let Some(signed) = signed else {
            around.noted.push("identity refused by a wrong wall clock");
            let reason = "the identity that came is not valid here and now".to_owned();
            return self.below(around, (5, 200), Input::StartFailed { binding, reason });
        };
        let first = self.workers.first().filter(|_| around.fault == Some(Fault::WorkerShared));
        self.served.insert(binding, (first.unwrap_or(&bind.worker).clone(), signed));
        let reason = "no such program".to_owned();
        let fails = around.random.one_in(30);
        let input = if fails { Input::StartFailed { binding, reason } } else { Input::Started { binding } };
        self.below(around, (5, 200), input);
        if !fails && around.random.one_in(10) {
            self.below(around, (500, 20_000), Input::Exited { binding, code: 0 });
        }
    }

    fn below(&mut self, around: &mut Around, (from, to): (u64, u64), input: Input) {
        let at = around.now_ms + around.random.between(from, to);
        let arrival = Arrival::Below { node: self.index, life: self.life, input: Box::new(input) };
        around.network.at(at, arrival);
    }
}
