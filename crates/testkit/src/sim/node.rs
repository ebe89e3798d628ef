//! A simulated node: the real state machine, a clock of its own, and processes that take their time.

use super::Fault;
use super::network::{Arrival, Network, ToNode, ToServer};
use super::random::Random;
use super::world::LEASE_MS;
use credence_model::actor::UnbindMode;
use credence_model::id::{Digest, NodeName, WorkerRef};
use credence_node::core::message::FromNodeMessage;
use credence_node::core::{Core, Effect, Input, LiveBinding, MonoMs};

pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) workers: Vec<WorkerRef>,
    pub(super) core: Option<Core>,
    /// Raised by every crash: what an earlier life's processes did is over.
    pub(super) life: u64,
    /// Told to end in order: it leaves, and is gone once everything has ended and was heard.
    ending: bool,
    index: usize,
    /// Its clock shows this at the beginning, and runs by this many thousandths.
    offset_ms: u64,
    rate_per_mille: u64,
    keys: u64,
    /// Until then its machine is suspended: nothing runs there, and its clock goes on.
    paused_until_ms: u64,
}

/// What a node acts on and with.
pub(super) struct Around<'a> {
    pub(super) now_ms: u64,
    pub(super) random: &'a mut Random,
    pub(super) network: &'a mut Network,
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
            ending: false,
            index,
            offset_ms,
            rate_per_mille,
            keys: 0,
            paused_until_ms: 0,
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
    }

    pub(super) fn end(&mut self, around: &mut Around) {
        self.ending = true;
        self.input(around, Input::Shutdown);
    }

    /// Whether it has ended in order.
    pub(super) fn has_ended(&self) -> bool {
        self.ending && self.core.as_ref().is_some_and(Core::is_settled)
    }

    /// The bindings whose identity it serves at this moment.
    pub(super) fn held(&self, now_ms: u64) -> Vec<LiveBinding> {
        let core = self.core.as_ref().filter(|_| self.paused(now_ms).is_none());
        core.map(|core| core.held(self.mono(now_ms))).unwrap_or_default()
    }

    pub(super) fn input(&mut self, around: &mut Around, input: Input) {
        let now = self.mono(around.now_ms);
        let Some(core) = &mut self.core else { return };
        let effects = core.step(now, input);
        effects.into_iter().for_each(|effect| self.take_effect(around, effect));
    }

    pub(super) fn hear(&mut self, around: &mut Around, stream: u64, message: ToNode) {
        let input = match message {
            ToNode::Welcome { session, unbind } => {
                let longer = match around.fault {
                    Some(Fault::LeaseTooLong) => 3,
                    Some(Fault::LeaseIgnored) => 1_000_000,
                    _ => 1,
                };
                let lease_ms = LEASE_MS * longer;
                Input::Welcome { stream, session, lease_ms, heartbeat_ms: 2_000, unbind }
            }
            ToNode::Ack(number) => Input::HeartbeatAck { stream, number },
            ToNode::Bind(bind) => Input::Bind { stream, bind },
            ToNode::Unbind(unbind) => Input::Unbind { stream, unbind },
        };
        let keys = match input {
            _ if around.fault == Some(Fault::KeysLost) => 0,
            Input::Welcome { .. } => 4,
            Input::Bind { .. } => 1,
            _ => 0,
        };
        self.input(around, input);
        if keys > 0 {
            // The first keys of a stream replace all that were offered before: none is ever certified twice.
            let keys = (0..keys).map(|_| self.key()).collect();
            around.network.send_to_server(around.now_ms, around.random, self.index, stream, ToServer::Keys(keys));
        }
    }

    pub(super) fn key(&mut self) -> Digest {
        self.keys += 1;
        Digest::of(format!("{} {} {}", self.name, self.life, self.keys).as_bytes())
    }

    fn take_effect(&mut self, around: &mut Around, effect: Effect) {
        match effect {
            Effect::Send { stream, message } => {
                let hello = matches!(message, FromNodeMessage::Hello { .. });
                debug_assert!(!hello || around.network.open.get(&self.index) == Some(&stream));
                let message = ToServer::Core(message);
                around.network.send_to_server(around.now_ms, around.random, self.index, stream, message);
            }
            Effect::Start(bind) => {
                let binding = bind.binding;
                let reason = "no such program".to_owned();
                let fails = around.random.one_in(30);
                let input = if fails { Input::StartFailed { binding, reason } } else { Input::Started { binding } };
                self.below(around, (5, 200), input);
                if !fails && around.random.one_in(10) {
                    self.below(around, (500, 20_000), Input::Exited { binding, code: 0 });
                }
            }
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

    fn below(&mut self, around: &mut Around, (from, to): (u64, u64), input: Input) {
        let at = around.now_ms + around.random.between(from, to);
        let arrival = Arrival::Below { node: self.index, life: self.life, input: Box::new(input) };
        around.network.at(at, arrival);
    }
}
