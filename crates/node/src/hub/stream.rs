//! What the hub hears from the control plane and asks of it.

use super::{ASKED_MAX, Hub, PROGRAMS, TOKENS, away, busy, refuse};
use crate::core::Input;
use crate::event::{LocalRun, Renewed, StreamEvent};
use crate::identity::read_bundle;
use crate::judge::keeper::Told;
use crate::protocol;
use crate::reservoir::OFFER_KEYS_MAX;
use crate::session::OUTGOING;
use crate::signing::Signing;
use credence_model::command::Held;
use credence_model::id::{BindingId, Digest};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_telemetry::span::Trace;
use credence_telemetry::trace::TraceContext;
use credence_wire::node as wire;
use credence_wire::node::{bind_process_result, from_node, to_node};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// A stream that is open.
pub(super) struct OpenStream {
    number: u64,
    pub(super) out: mpsc::Sender<wire::FromNode>,
    /// Dropping it cuts the stream.
    _cut: oneshot::Sender<()>,
}

impl OpenStream {
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

// What happens on a stream.
impl Hub {
    pub(super) fn streamed(&mut self, stream: u64, event: StreamEvent) {
        match event {
            // Dropping it cuts the stream: the next program of this process opens its own.
            StreamEvent::Opened { .. } if self.is_leaving() => {}
            StreamEvent::Opened { out, cut } => {
                self.forget_asked();
                self.stream = Some(OpenStream { number: stream, out, _cut: cut });
                self.step(Input::Opened { stream });
            }
            StreamEvent::Closed => {
                if self.stream.take_if(|open| open.number == stream).is_some() {
                    self.forget_asked();
                }
                self.step(Input::Closed { stream });
            }
            // What comes behind something that was not understood is not heard: it could say that all was told.
            StreamEvent::Heard { .. } if self.stream.as_ref().is_none_or(|open| open.number != stream) => {}
            StreamEvent::Heard { message, said } => {
                if let Err(refusal) = self.heard(stream, *message, said) {
                    tracing::error!(%refusal, "the control plane said something that cannot be understood");
                    self.disconnect(stream);
                }
            }
        }
    }

    fn heard(&mut self, stream: u64, message: to_node::Message, said: Option<TraceContext>) -> Result<(), Refusal> {
        match message {
            to_node::Message::Welcome(welcome) => self.welcomed(stream, welcome)?,
            to_node::Message::HeartbeatAck(ack) => {
                self.marks.keep(ack.mark);
                self.step(Input::HeartbeatAck { stream, number: ack.number });
                let as_of = self.core.lease().map(|(_, sent)| sent);
                self.completed(stream, as_of, Timestamp(ack.now_ms));
            }
            to_node::Message::Bind(mut bind) => {
                self.marks.take(bind.mark.take());
                let bind = Box::new(protocol::bind(bind)?);
                self.claim(&bind);
                self.note_request(bind.binding, said);
                self.parts.workshop.judge.known.begin(bind.binding);
                self.trace_start(&bind, said);
                self.step(Input::Bind { stream, bind });
            }
            to_node::Message::Unbind(unbind) => {
                let unbind = protocol::unbind(&unbind)?;
                self.note_request(unbind.binding, said);
                self.step(Input::Unbind { stream, unbind });
            }
            to_node::Message::X509Svid(svid) => {
                let binding =
                    BindingId::parse(&svid.binding).map_err(|error| protocol::malformed("x509_svid.binding", error))?;
                answer(self.renewals.remove(&binding), renewed(svid.x509_svid, svid.refused));
            }
            to_node::Message::NodeSvid(svid) => {
                answer(self.node_renewal.take(), renewed(svid.x509_svid, svid.refused));
            }
            to_node::Message::JwtSvid(svid) => {
                let refused = svid.refused.map(protocol::refusal);
                answer(self.mints.remove(&svid.request), refused.map_or(Ok(svid.svid), Err));
            }
            to_node::Message::Bundle(bundle) => self.take_bundle(&bundle)?,
            to_node::Message::BindProcessResult(result) => self.bound(result)?,
            to_node::Message::KeysWanted(wanted) => {
                self.offer_keys(usize::try_from(wanted.count).unwrap_or(OFFER_KEYS_MAX));
            }
            to_node::Message::Brief(brief) => self.briefed(stream, &brief)?,
            to_node::Message::Guards(guards) => self.guarded(stream, &guards)?,
            to_node::Message::Decisions(decisions) => self.decided(decisions),
            to_node::Message::Recorded(recorded) => self.recorded(recorded),
            to_node::Message::Call(call) => self.called(call),
            to_node::Message::Refused(refused) => {
                tracing::warn!(refusal = %protocol::refusal(refused), "the control plane refused a report");
            }
        }
        Ok(())
    }

    fn welcomed(&mut self, stream: u64, welcome: wire::Welcome) -> Result<(), Refusal> {
        if welcome.trust_domain != self.parts.trust_domain.as_str() {
            let message = format!("{:?} is not {}", welcome.trust_domain, self.parts.trust_domain);
            return Err(protocol::malformed("welcome.trust_domain", message));
        }
        if let Some(bundle) = &welcome.bundle {
            self.take_bundle(bundle)?;
        }
        let input = protocol::welcome(stream, &welcome)?;
        let wire::Welcome { session, lease_ms, reservoir_keys, mark, decision_age_ms, .. } = welcome;
        self.decision_age_ms = Some(decision_age_ms);
        self.guards = None;
        self.keep(stream, Told::Anew);
        self.marks.keep(mark);
        self.step(input);
        self.parts.meters.welcomed();
        tracing::info!(session, lease_ms, "connected to the control plane");
        self.reservoir.begin();
        self.offer_keys(usize::try_from(reservoir_keys).unwrap_or(OFFER_KEYS_MAX));
        Ok(())
    }

    fn take_bundle(&mut self, bundle: &wire::Bundle) -> Result<(), Refusal> {
        let read = read_bundle(&self.parts.trust_domain, &bundle.document);
        let read = Arc::new(read.map_err(|error| protocol::malformed("bundle.document", error))?);
        let (sequence, newest) = (read.sequence, Arc::clone(&read));
        let is_newer = self.parts.bundles.send_if_modified(|present| {
            let is_newer = **present != *read && read.sequence >= present.sequence;
            if is_newer {
                *present = read;
            }
            is_newer
        });
        if is_newer {
            self.holders.values().for_each(|held| held.reins.take_bundle(&newest));
        }
        let digest = |bytes: &Vec<u8>| <[u8; 32]>::try_from(bytes.as_slice()).map(Digest).ok();
        if self.parts.bundles.borrow().sequence == sequence {
            let tainted = bundle.tainted.iter().filter_map(digest).collect();
            // Said on every stream anew, though nothing may have changed: the control plane wants to be told on each.
            self.parts.signing.send_replace(Signing { sequence, active: digest(&bundle.active), tainted });
        }
        Ok(())
    }

    fn offer_keys(&mut self, count: usize) {
        match self.reservoir.fill(count) {
            Ok(csrs) => self.send(from_node::Message::KeyOffer(wire::KeyOffer { csrs })).unwrap_or_default(),
            Err(error) => tracing::error!(%error, "no keys for coming bindings"),
        }
    }

    fn bound(&mut self, result: wire::BindProcessResult) -> Result<(), Refusal> {
        let Some(run) = self.runs.remove(&result.request) else { return Ok(()) };
        match result.result.ok_or_else(|| protocol::malformed("bind_process_result.result", "it is missing"))? {
            bind_process_result::Result::Refused(refused) => refuse(&run, protocol::refusal(refused)),
            bind_process_result::Result::Binding(binding) => {
                let binding = BindingId::parse(&binding)
                    .map_err(|error| protocol::malformed("bind_process_result.binding", error))?;
                match self.unclaimed.remove(&binding) {
                    Some(notice) => self.hold_process(notice, run),
                    None => refuse(&run, Refusal::new(Kind::Unavailable, "this node could not take the actor on")),
                }
            }
        }
        Ok(())
    }
}

// What is asked.
impl Hub {
    pub(super) fn bundle_kept(&mut self, sequence: u64, reissued: bool) {
        // Said again on the next stream if there is none now.
        let _ = self.send(from_node::Message::BundleHeld(wire::BundleHeld { sequence, reissued }));
    }

    pub(super) fn renew(&mut self, held: Held, csr: Vec<u8>, to: oneshot::Sender<Renewed>) {
        let renew = wire::RenewX509 { held: Some(protocol::held(held)), csr };
        match self.send(from_node::Message::RenewX509(renew)) {
            Ok(()) => drop(self.renewals.insert(held.binding, to)),
            Err(refusal) => answer(Some(to), Err(refusal)),
        }
    }

    pub(super) fn renew_node(&mut self, csr: Vec<u8>, to: oneshot::Sender<Renewed>) {
        match self.send(from_node::Message::RenewNode(wire::RenewNode { csr })) {
            Ok(()) => self.node_renewal = Some(to),
            Err(refusal) => answer(Some(to), Err(refusal)),
        }
    }

    pub(super) fn mint(
        &mut self,
        held: Held,
        audience: Vec<String>,
        trace: &Trace,
        answer: oneshot::Sender<Result<String, Refusal>>,
    ) {
        self.mints.retain(|_, waiting| !waiting.is_closed());
        let request = self.next_request();
        let mint = wire::MintJwt { request, held: Some(protocol::held(held)), audience };
        let mint = from_node::Message::MintJwt(mint);
        let has_room = self.mints.len() < ASKED_MAX;
        let asked = if has_room { self.send_traced(mint, trace) } else { Err(busy(&TOKENS)) };
        match asked {
            Ok(()) => drop(self.mints.insert(request, answer)),
            // Whoever asked may have gone away.
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
    }

    pub(super) fn run(&mut self, run: Box<LocalRun>) {
        if let Some(binding) = run.binding {
            return self.rejoin(binding, run);
        }
        // INVARIANT: who is an actor here does not become another one, whatever user it runs as.
        if let Some(actor) = self.actor_of(&run.peer) {
            let message = format!("this program is part of actor {actor} already and cannot become another one");
            return refuse(&run, Refusal::new(Kind::Denied, message).hint("Start it outside of that actor"));
        }
        self.runs.retain(|_, waiting| !waiting.notices.is_closed());
        let request = self.next_request();
        let bind = wire::BindProcess { request, class: run.class.clone(), actor: run.actor.clone() };
        let is_welcome = self.core.connected().is_some() && self.ends_by.is_none();
        let asked = match self.runs.len() {
            _ if !is_welcome => Err(away()),
            ASKED_MAX.. => Err(busy(&PROGRAMS)),
            _ => self.send_traced(from_node::Message::BindProcess(bind), &run.part.trace()),
        };
        match asked {
            Ok(()) => drop(self.runs.insert(request, run)),
            Err(refusal) => refuse(&run, refusal),
        }
    }
}

// Coming back.
impl Hub {
    /// The caller of a tree that is an actor already, since before the program of this node was replaced.
    fn rejoin(&mut self, binding: BindingId, run: Box<LocalRun>) {
        let held = self.holders.get_mut(&binding).filter(|held| held.root == Some(run.root));
        let gone = || Refusal::new(Kind::NotFound, "this binding is over, or another process is its root");
        match held.and_then(|held| held.rejoin.take()) {
            // There is room: it is the first.
            Some(rejoin) => drop(rejoin.try_send(run)),
            None => refuse(&run, gone()),
        }
    }
}

// Sending.
impl Hub {
    /// Sends on the present stream.
    pub(super) fn send(&mut self, message: from_node::Message) -> Result<(), Refusal> {
        self.send_traced(message, &Trace::default())
    }

    pub(super) fn send_traced(&mut self, message: from_node::Message, trace: &Trace) -> Result<(), Refusal> {
        let Some(number) = self.stream.as_ref().map(|open| open.number) else { return Err(away()) };
        self.send_on(number, message, trace);
        // It was cut if it did not take this.
        self.stream.as_ref().map(drop).ok_or_else(away)
    }

    /// The control plane is told which request a message is a part of if that is recorded here.
    pub(super) fn send_on(&mut self, stream: u64, message: from_node::Message, trace: &Trace) {
        let Some(open) = self.stream.as_ref().filter(|open| open.number == stream) else { return };
        let traceparent = if trace.is_recorded() { trace.traceparent() } else { String::new() };
        match open.out.try_send(wire::FromNode { traceparent, message: Some(message) }) {
            // One that is closed says so itself.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                OUTGOING.hit();
                tracing::warn!("the control plane does not read; its stream is cut");
                self.disconnect(stream);
            }
        }
    }

    /// Cuts a stream; that it is closed is heard afterwards.
    pub(super) fn disconnect(&mut self, stream: u64) {
        if self.stream.take_if(|open| open.number == stream).is_some() {
            self.forget_asked();
        }
    }

    /// What was asked on a stream that is over will not be answered.
    pub(super) fn forget_asked(&mut self) {
        for (_, mint) in self.mints.drain() {
            // Whoever asked may have gone away.
            let _ = mint.send(Err(away()));
        }
        for (_, decision) in self.decisions.drain() {
            // Whoever asked may have gone away.
            let _ = decision.answer.send(Err(away()));
        }
        self.records.clear();
        self.renewals.clear();
        self.node_renewal = None;
        self.runs.drain().for_each(|(_, run)| refuse(&run, away()));
        for (binding, _) in std::mem::take(&mut self.unclaimed) {
            let reason = "the stream to the control plane broke before it said whose binding this is".to_owned();
            self.step(Input::StartFailed { binding, reason });
        }
    }
}

fn renewed(chain: Vec<Vec<u8>>, refused: Option<wire::Refused>) -> Renewed {
    refused.map(protocol::refusal).map_or(Ok(chain), Err)
}

fn answer<T>(to: Option<oneshot::Sender<T>>, what: T) {
    // Whoever asked may have gone away.
    let _ = to.map(|to| to.send(what));
}
