//! The node's state machine: which bindings it holds, until when, and what it tells the control plane.
//!
//! It has no clock and does no input or output: [`Core::step`] takes a time and an input and answers with effects. The
//! daemon and the simulator run the same machine.
//!
//! INVARIANTS
//! - When the lease is over, every binding is ended at once, whether or not the control plane can be reached, and nothing
//!   is served from that instant. A new lease needs a new stream.
//! - A worker is held by one binding until nothing of it is left. A bind for a worker whose last holder is still being
//!   ended waits for that end; for a worker whose holder lives it is refused.
//! - Only the newest stream is listened to. A broken stream ends no binding; the lease does.
//! - A binding's end is reported once everything is gone, and again on every later stream until it was heard: a
//!   heartbeat that was sent after the report and acknowledged proves that. Until then Hello names the binding, because
//!   the server would otherwise record its end without the archive and the outcome. Ends that carry neither
//!   (`Dropped`) are not named.
//!
//! It does not know keys, credentials, sockets or processes.

mod binding;
mod handover;
pub mod message;
mod stream;
#[cfg(test)]
mod tests;

pub use handover::Ended;
pub use stream::MonoMs;

use binding::{Binding, End, Heard, Phase, harshness};
use credence_model::actor::{Outcome, UnbindMode};
use credence_model::command::{Held, Unbind};
use credence_model::id::{ActorRef, BindingId, Digest, Epoch, WorkerRef};
use credence_model::worker::WorkerKind;
use credence_telemetry::limit::Limit;
use message::{BindNotice, FromNodeMessage};
use std::collections::BTreeMap;
use stream::{Beat, Lease, Stream};

/// Most bindings that a node holds at once.
pub const BINDINGS_MAX: usize = 8192;
/// Most ends that are kept until they were heard; of more, those of the oldest bindings are forgotten.
pub const ENDS_MAX: usize = 8192;
/// The server wants more to be held.
pub(crate) static BINDINGS: Limit = Limit::new("node_bindings", BINDINGS_MAX as u64, "bindings", "a further one fails");
/// The server has not heard of more ends.
pub(crate) static ENDS: Limit = Limit::new("node_ends", ENDS_MAX as u64, "untold ends", "the oldest is forgotten");

/// What can happen to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A stream was opened; it is the newest if its number is the highest so far. Leads to a Hello.
    Opened {
        /// Its number: higher than that of every earlier one.
        stream: u64,
    },
    /// A stream broke.
    Closed {
        /// Which.
        stream: u64,
    },
    /// The server's answer to Hello.
    Welcome {
        /// On which stream.
        stream: u64,
        /// The server's number for it.
        session: u64,
        /// Length of the lease.
        lease_ms: u64,
        /// Time between heartbeats.
        heartbeat_ms: u64,
        /// What is to be ended.
        unbind: Vec<Unbind>,
    },
    /// The server recorded a heartbeat, and everything that was sent before it.
    HeartbeatAck {
        /// On which stream.
        stream: u64,
        /// The heartbeat's number.
        number: u64,
    },
    /// The server wants a binding to be held.
    Bind {
        /// On which stream.
        stream: u64,
        /// What to hold.
        bind: Box<BindNotice>,
    },
    /// The server wants a binding to be ended.
    Unbind {
        /// On which stream.
        stream: u64,
        /// What to end.
        unbind: Unbind,
    },
    /// What was started runs and its identity is served.
    Started {
        /// The binding.
        binding: BindingId,
    },
    /// What was to be started could not be, and nothing of it is left.
    StartFailed {
        /// The binding.
        binding: BindingId,
        /// Why, safe to show.
        reason: String,
    },
    /// The program ended by itself. It is still to be stopped: its state is kept and its identity taken away.
    Exited {
        /// The binding.
        binding: BindingId,
        /// Exit code; 128 + signal if a signal ended it.
        code: i32,
    },
    /// What was to be stopped is gone: processes, socket and keys.
    Stopped {
        /// The binding.
        binding: BindingId,
        /// The archive that was put, if one was made.
        archive: Option<Digest>,
        /// What kept the actor's state from being kept, safe to show.
        trouble: Option<String>,
    },
    /// The node is to end: every binding is suspended and none is taken on.
    Shutdown,
    /// Time has passed; wanted when [`Core::next_deadline`] is reached.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this on the stream.
    Send {
        /// Which: always the newest.
        stream: u64,
        /// What.
        message: FromNodeMessage,
    },
    /// Start an actor and serve its identity. Leads to `Started` or `StartFailed`.
    Start(Box<BindNotice>),
    /// End it. Leads to `Stopped`, or to `StartFailed` if it had not started. May come again with a mode that is harsher;
    /// under `Quarantine` and `Drop` the identity must not be served from this instant.
    Stop {
        /// The binding.
        binding: BindingId,
        /// How.
        mode: UnbindMode,
    },
    /// Nothing is heard on this stream for a whole lease: close it and open another one.
    Disconnect {
        /// Which.
        stream: u64,
    },
}

/// A binding whose identity may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBinding {
    /// The actor.
    pub actor: ActorRef,
    /// The binding.
    pub binding: BindingId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The worker.
    pub worker: WorkerRef,
}

/// The node's state.
#[derive(Debug)]
pub struct Core {
    workers: Vec<WorkerRef>,
    stream: Option<Stream>,
    newest_stream: Option<u64>,
    lease: Lease,
    bindings: BTreeMap<BindingId, Binding>,
    ends: BTreeMap<BindingId, End>,
    shutting_down: bool,
}

impl Core {
    /// A node that holds nothing and was never connected.
    pub fn new(workers: Vec<WorkerRef>) -> Self {
        Self {
            workers,
            stream: None,
            newest_stream: None,
            lease: Lease::default(),
            bindings: BTreeMap::new(),
            ends: BTreeMap::new(),
            shutting_down: false,
        }
    }

    /// Takes an input at a time and says what is to be done, in this order. `now` never goes back.
    pub fn step(&mut self, now: MonoMs, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.expire(now, &mut effects);
        match input {
            Input::Opened { stream } => self.opened(now, stream, &mut effects),
            Input::Closed { stream } => drop(self.stream.take_if(|open| open.id == stream)),
            Input::Welcome { stream, session: _, lease_ms, heartbeat_ms, unbind } => {
                self.welcome(now, stream, (lease_ms, heartbeat_ms), &unbind, &mut effects);
            }
            Input::HeartbeatAck { stream, number } => self.acknowledged(stream, number),
            Input::Bind { stream, bind } if self.listens_to(stream) => self.bind(bind, &mut effects),
            Input::Unbind { stream, unbind } if self.listens_to(stream) => self.unbind(unbind, &mut effects),
            Input::Bind { .. } | Input::Unbind { .. } => {}
            Input::Started { binding } => self.started(binding, &mut effects),
            Input::StartFailed { binding, reason } => {
                self.gone(binding, Some(Outcome::Failed { reason }), None, &mut effects);
            }
            Input::Exited { binding, code } => self.exited(binding, code, &mut effects),
            Input::Stopped { binding, archive, trouble } => {
                let failed = trouble.map(|reason| Outcome::Failed { reason });
                self.gone(binding, failed, archive, &mut effects);
            }
            Input::Shutdown => self.shut_down(&mut effects),
            Input::Tick => {}
        }
        self.beat(now, &mut effects);
        effects
    }

    /// When [`Input::Tick`] is wanted next.
    pub fn next_deadline(&self) -> Option<MonoMs> {
        let beat = self.stream.as_ref().and_then(|stream| stream.beat.as_ref()).map(Beat::next_at);
        beat.into_iter().chain(self.lease.until()).min()
    }

    /// The bindings whose identity may be served at this moment.
    pub fn held(&self, now: MonoMs) -> Vec<LiveBinding> {
        let served = |phase: &Phase| match phase {
            Phase::Starting | Phase::Running => true,
            Phase::Waiting => false,
            Phase::Stopping(mode, _) => matches!(mode, UnbindMode::Suspend | UnbindMode::Terminate),
        };
        let live = self.bindings.values().filter(|binding| self.lease.covers(now) && served(&binding.phase));
        live.map(|Binding { notice, .. }| LiveBinding {
            actor: notice.actor.clone(),
            binding: notice.binding,
            epoch: notice.epoch,
            worker: notice.worker.clone(),
        })
        .collect()
    }

    /// Whether something of this binding is left.
    pub fn holds(&self, binding: BindingId) -> bool {
        self.bindings.contains_key(&binding)
    }

    /// Whether nothing of any binding is left, and the server heard of every end.
    pub fn is_settled(&self) -> bool {
        self.bindings.is_empty() && self.ends.is_empty()
    }

    /// When the lease is over; `None` if there is none.
    pub fn lease_until(&self) -> Option<MonoMs> {
        self.lease.until()
    }

    /// The stream on which the node was welcomed, if it is still open.
    pub fn connected(&self) -> Option<u64> {
        self.stream.as_ref().filter(|stream| stream.beat.is_some()).map(|stream| stream.id)
    }
}

// The stream.
impl Core {
    fn opened(&mut self, now: MonoMs, id: u64, effects: &mut Vec<Effect>) {
        if self.newest_stream.is_some_and(|newest| id <= newest) {
            return;
        }
        self.newest_stream = Some(id);
        self.stream = Some(Stream { id, hello_at: now, beat: None });
        // What was sent on an older stream may not have been heard.
        let heard = self.bindings.values_mut().map(|binding| &mut binding.heard);
        let heard = heard.chain(self.ends.values_mut().map(|end| &mut end.heard));
        heard.filter(|heard| matches!(heard, Heard::By(_))).for_each(|heard| *heard = Heard::No);
        let untold = self.ends.values().filter(|end| end.outcome != Outcome::Dropped).map(|end| end.held);
        let held = self.bindings.values().map(|binding| binding.notice.held()).chain(untold).collect();
        let message = FromNodeMessage::Hello { workers: self.workers.clone(), held };
        effects.push(Effect::Send { stream: id, message });
    }

    fn welcome(
        &mut self,
        now: MonoMs,
        id: u64,
        (lease_ms, heartbeat_ms): (u64, u64),
        unbind: &[Unbind],
        effects: &mut Vec<Effect>,
    ) {
        let Some(stream) = self.stream.as_mut().filter(|open| open.id == id && open.beat.is_none()) else { return };
        stream.beat = Some(Beat::new(heartbeat_ms, now));
        self.lease.begin(lease_ms, stream.hello_at);
        // A Welcome can be so late that the lease it gives is over already.
        self.expire(now, effects);
        self.leave(effects);
        unbind.iter().for_each(|unbind| self.unbind(*unbind, effects));
        self.tell(effects);
    }

    fn acknowledged(&mut self, id: u64, number: u64) {
        let beat = self.stream.as_mut().filter(|open| open.id == id).and_then(|open| open.beat.as_mut());
        let Some(sent_at) = beat.and_then(|beat| beat.acknowledged(number)) else { return };
        self.lease.renew(sent_at);
        let told = |heard: Heard| matches!(heard, Heard::By(by) if by <= number);
        self.ends.retain(|_, end| !told(end.heard));
        let reports = self.bindings.values_mut().map(|binding| &mut binding.heard);
        reports.filter(|heard| told(**heard)).for_each(|heard| *heard = Heard::Yes);
    }

    fn listens_to(&self, id: u64) -> bool {
        self.connected() == Some(id)
    }

    fn beat(&mut self, now: MonoMs, effects: &mut Vec<Effect>) {
        if let Some(stream) = self.stream.as_mut()
            && let Some(number) = stream.beat.as_mut().and_then(|beat| beat.due(now))
        {
            effects.push(Effect::Send { stream: stream.id, message: FromNodeMessage::Heartbeat { number } });
        }
    }

    /// Sends every report that was not sent on the present stream.
    fn tell(&mut self, effects: &mut Vec<Effect>) {
        let Some(stream) = &self.stream else { return };
        let Some(by) = stream.beat.as_ref().map(Beat::next_number) else { return };
        for end in self.ends.values_mut().filter(|end| end.heard == Heard::No) {
            end.heard = Heard::By(by);
            let (held, outcome, archive) = (end.held, end.outcome.clone(), end.archive);
            let message = FromNodeMessage::Ended { held, outcome, archive };
            effects.push(Effect::Send { stream: stream.id, message });
        }
        let unheard = |binding: &&mut Binding| binding.phase == Phase::Running && binding.heard == Heard::No;
        for binding in self.bindings.values_mut().filter(unheard) {
            binding.heard = Heard::By(by);
            let message = FromNodeMessage::Running(binding.notice.held());
            effects.push(Effect::Send { stream: stream.id, message });
        }
    }
}

// The bindings.
impl Core {
    fn bind(&mut self, notice: Box<BindNotice>, effects: &mut Vec<Effect>) {
        if self.bindings.contains_key(&notice.binding) || self.ends.contains_key(&notice.binding) {
            return;
        }
        let holders = self.bindings.values().filter(|binding| binding.notice.worker == notice.worker);
        let (mut phase, mut refused) = (Phase::Starting, None);
        for holder in holders {
            match holder.phase {
                Phase::Stopping(..) => phase = Phase::Waiting,
                Phase::Waiting | Phase::Starting | Phase::Running => {
                    refused = Some(format!("worker {} still holds binding {}", notice.worker, holder.notice.binding));
                }
            }
        }
        if notice.kind == WorkerKind::Slot && !self.workers.contains(&notice.worker) {
            refused = Some(format!("worker {} does not belong to this node", notice.worker));
        } else if self.bindings.len() >= BINDINGS_MAX {
            BINDINGS.hit();
            refused = Some(format!("the node holds {BINDINGS_MAX} bindings, which is its limit"));
        }
        if self.shutting_down {
            self.end(notice.held(), Outcome::Dropped, None, effects);
            return;
        }
        if let Some(reason) = refused {
            self.end(notice.held(), Outcome::Failed { reason }, None, effects);
            return;
        }
        if phase == Phase::Starting {
            effects.push(Effect::Start(notice.clone()));
        }
        self.bindings.insert(notice.binding, Binding { notice, phase, heard: Heard::No });
    }

    fn unbind(&mut self, Unbind { binding: id, mode }: Unbind, effects: &mut Vec<Effect>) {
        let outcome = if mode == UnbindMode::Drop { Outcome::Dropped } else { Outcome::Stopped };
        self.stop(id, mode, outcome, effects);
    }

    /// Ends a binding, or ends it more harshly than before. Of several reasons the first one names the end, except that
    /// what was dropped was dropped unless it had ended by itself.
    fn stop(&mut self, id: BindingId, mode: UnbindMode, outcome: Outcome, effects: &mut Vec<Effect>) {
        let Some(binding) = self.bindings.get_mut(&id) else { return };
        let outcome = match &binding.phase {
            Phase::Waiting => {
                let held = binding.notice.held();
                self.bindings.remove(&id);
                self.end(held, outcome, None, effects);
                return;
            }
            Phase::Starting | Phase::Running => outcome,
            Phase::Stopping(before, _) if harshness(*before) >= harshness(mode) => return,
            Phase::Stopping(_, Outcome::Stopped) if mode == UnbindMode::Drop => Outcome::Dropped,
            Phase::Stopping(_, before) => before.clone(),
        };
        binding.phase = Phase::Stopping(mode, outcome);
        effects.push(Effect::Stop { binding: id, mode });
    }

    fn started(&mut self, id: BindingId, effects: &mut Vec<Effect>) {
        if let Some(binding) = self.bindings.get_mut(&id).filter(|binding| binding.phase == Phase::Starting) {
            binding.phase = Phase::Running;
            self.tell(effects);
        }
    }

    fn exited(&mut self, id: BindingId, code: i32, effects: &mut Vec<Effect>) {
        let lives = |binding: &Binding| matches!(binding.phase, Phase::Starting | Phase::Running);
        if self.bindings.get(&id).is_some_and(lives) {
            self.stop(id, UnbindMode::Suspend, Outcome::Exited { code }, effects);
        }
    }

    /// Nothing of a binding is left. `failed` overrules what its end was to be called, unless it was to be dropped.
    fn gone(&mut self, id: BindingId, failed: Option<Outcome>, archive: Option<Digest>, effects: &mut Vec<Effect>) {
        let Some(binding) = self.bindings.remove(&id) else { return };
        let outcome = match (binding.phase, failed) {
            (Phase::Stopping(_, Outcome::Dropped), _) => Outcome::Dropped,
            (_, Some(failed)) => failed,
            (Phase::Stopping(_, outcome), None) => outcome,
            (Phase::Waiting | Phase::Starting | Phase::Running, None) => Outcome::Stopped,
        };
        self.end(binding.notice.held(), outcome, archive, effects);
        self.start_waiting(&binding.notice.worker, effects);
    }

    fn start_waiting(&mut self, worker: &WorkerRef, effects: &mut Vec<Effect>) {
        if self.bindings.values().any(|other| other.notice.worker == *worker && other.phase != Phase::Waiting) {
            return;
        }
        let waits = |other: &&mut Binding| other.notice.worker == *worker && other.phase == Phase::Waiting;
        if let Some(next) = self.bindings.values_mut().find(waits) {
            next.phase = Phase::Starting;
            effects.push(Effect::Start(next.notice.clone()));
        }
    }

    fn end(&mut self, held: Held, outcome: Outcome, archive: Option<Digest>, effects: &mut Vec<Effect>) {
        if self.ends.len() >= ENDS_MAX {
            ENDS.hit();
            self.ends.pop_first();
        }
        self.ends.insert(held.binding, End { held, outcome, archive, heard: Heard::No });
        self.tell(effects);
        self.hurry();
    }

    fn shut_down(&mut self, effects: &mut Vec<Effect>) {
        self.shutting_down = true;
        self.leave(effects);
        let held: Vec<_> = self.bindings.keys().copied().collect();
        held.into_iter().for_each(|id| self.stop(id, UnbindMode::Suspend, Outcome::Stopped, effects));
        self.hurry();
    }

    /// Nothing is to be bound here any more: said once on every stream.
    fn leave(&self, effects: &mut Vec<Effect>) {
        if let Some(stream) = self.connected().filter(|_| self.shutting_down) {
            effects.push(Effect::Send { stream, message: FromNodeMessage::Leaving });
        }
    }

    /// A node that has ended everything wants to hear soon that this was heard.
    fn hurry(&mut self) {
        let beat = self.stream.as_mut().and_then(|stream| stream.beat.as_mut());
        beat.filter(|_| self.shutting_down && self.bindings.is_empty()).into_iter().for_each(Beat::hurry);
    }

    /// If the lease is over, drops everything and the stream that did not renew it.
    fn expire(&mut self, now: MonoMs, effects: &mut Vec<Effect>) {
        if self.lease.until().is_none_or(|until| now < until) {
            return;
        }
        self.lease.end();
        let silent = self.stream.take();
        let held: Vec<_> = self.bindings.keys().copied().collect();
        held.into_iter().for_each(|id| self.stop(id, UnbindMode::Drop, Outcome::Dropped, effects));
        effects.extend(silent.map(|stream| Effect::Disconnect { stream: stream.id }));
    }
}
