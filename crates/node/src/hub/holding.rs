//! What the hub starts and stops.

use super::{Held, Hub, refuse};
use crate::core::Input;
use crate::core::message::BindNotice;
use crate::endpoint::Identity;
use crate::event::LocalRun;
use crate::freshness;
use crate::holder::{Tenant, hold};
use credence_attest::process_tree::Peer;
use credence_credential::x509_svid;
use credence_model::actor::UnbindMode;
use credence_model::id::{ActorRef, BindingId};
use credence_model::refusal::{Kind, Refusal};
use credence_model::worker::WorkerKind;
use credence_telemetry::span::{Span, SpanKind};
use credence_telemetry::trace::TraceContext;
use std::sync::Arc;

impl Hub {
    /// Sets the key aside that a binding's first certificate is for.
    pub(super) fn claim(&mut self, notice: &BindNotice) {
        let key = notice.chain.first().and_then(|leaf| x509_svid::inspect(leaf).ok()).map(|leaf| leaf.key);
        if !key.is_some_and(|key| self.reservoir.claim(notice.binding, &key)) {
            tracing::error!(binding = %notice.binding, "a binding came with a certificate for a key that is not ours");
        }
    }

    /// Nothing is left of a binding.
    pub(super) fn forget(&mut self, binding: BindingId) {
        self.holders.remove(&binding);
        self.parts.workshop.judge.known.end(binding);
    }

    /// From the order to hold a binding until it is reported to run is a part of whatever request led to it.
    pub(super) fn trace_start(&mut self, notice: &BindNotice, said: Option<TraceContext>) {
        if self.parts.workshop.tracer.is_off() {
            return;
        }
        let mut part = self.parts.workshop.tracer.begin(said, "binding.start", SpanKind::Consumer);
        part.set("credence.actor", || notice.actor.to_string());
        part.set("credence.binding", || notice.binding.to_string());
        part.set("credence.epoch", || notice.epoch.0);
        part.set("credence.worker", || notice.worker.to_string());
        self.starting.insert(notice.binding, part);
    }

    pub(super) fn start(&mut self, notice: Box<BindNotice>) {
        match notice.kind {
            WorkerKind::Slot => self.hold(notice, Tenant::Slot),
            WorkerKind::Process => drop(self.unclaimed.insert(notice.binding, notice)),
        }
    }

    /// What is heard about a binding from now on is because of this request.
    pub(super) fn note_request(&mut self, binding: BindingId, said: Option<TraceContext>) {
        let Some(said) = said else { return };
        match self.holders.get_mut(&binding) {
            Some(held) => held.request = Some(said.id()),
            None => drop(self.requests.insert(binding, said.id())),
        }
    }

    /// The caller of a process binding is known now.
    pub(super) fn hold_process(&mut self, notice: Box<BindNotice>, run: Box<LocalRun>) {
        self.hold(notice, Tenant::Process(run));
    }

    fn hold(&mut self, notice: Box<BindNotice>, tenant: Tenant) {
        let (binding, request) = (notice.binding, self.requests.remove(&notice.binding));
        match self.identity(&notice) {
            Ok(identity) => {
                let (epoch, worker) = (notice.epoch.0, &notice.worker);
                tracing::info!(%binding, request, actor = %notice.actor, epoch, %worker, "bound");
                let actor = notice.actor.clone();
                let root = match &tenant {
                    Tenant::Process(run) => Some(run.root),
                    Tenant::Slot => None,
                };
                // What is done for a binding is a part of the request that led to it.
                let span = tracing::info_span!("binding", id = %binding, request);
                let trace = self.starting.get(&binding).map(Span::trace).unwrap_or_default();
                let reins = span.in_scope(|| hold(Arc::clone(&self.parts.workshop), notice, identity, tenant, trace));
                let held = Held { actor, root, reins, running: None, started: false, request, rejoin: None };
                self.parts.workshop.judge.known.serve(binding, held.reins.served());
                self.holders.insert(binding, held);
            }
            Err(reason) => {
                tracing::error!(%binding, request, reason, "a binding cannot be held");
                self.forget(binding);
                if let Tenant::Process(run) = tenant {
                    refuse(&run, Refusal::new(Kind::Unavailable, reason.clone()));
                }
                self.step(Input::StartFailed { binding, reason });
            }
        }
    }

    fn identity(&mut self, notice: &BindNotice) -> Result<Identity, String> {
        let key = self.reservoir.take(notice.binding).ok_or("its certificate is for a key that is not this node's")?;
        let bundle = Arc::clone(&self.parts.bundles.borrow());
        let identity = freshness::identity(notice.held(), &notice.spiffe_id, notice.chain.clone(), &key, &bundle);
        identity.map_err(|error| error.to_string())
    }

    /// The actor whose process tree somebody belongs to. Where that cannot be told, it is one.
    pub(super) fn actor_of(&self, peer: &Peer) -> Option<&ActorRef> {
        let belongs = |held: &&Held| held.root.is_some_and(|root| root.contains(peer).unwrap_or(true));
        self.holders.values().find(belongs).map(|held| &held.actor)
    }

    pub(super) fn stop(&mut self, binding: BindingId, mode: UnbindMode) {
        if let Some(held) = self.holders.get(&binding) {
            held.reins.stop(mode);
        } else if self.unclaimed.remove(&binding).is_some() {
            self.forget(binding);
            self.step(Input::Stopped { binding, archive: None, trouble: None });
        }
    }
}
