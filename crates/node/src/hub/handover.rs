//! The end of a hub whose process goes on as another program.

use super::{Held, Hub};
use crate::clock::{MonoClock, machine_ns};
use crate::core::Input;
use crate::core::message::BindNotice;
use crate::endpoint::Identity;
use crate::event::Left;
use crate::freshness;
use crate::handover::{Estate, LEAVE_MS_MAX, LeftBinding, STEADY_MS_MAX};
use crate::holder::adopt;
use credence_credential::key::KeyPair;
use credence_model::id::BindingId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// A hub that is about to make way.
pub(super) struct Handing {
    answer: oneshot::Sender<Option<Left>>,
    pub(super) by: Instant,
    /// What was left so far; nothing is before every binding is at rest.
    left: Option<BTreeMap<BindingId, LeftBinding>>,
}

impl Hub {
    /// Begins to make way: as soon as no binding is being started or ended.
    pub(super) fn make_way(&mut self, answer: oneshot::Sender<Option<Left>>) {
        if self.ends_by.is_some() || self.handing.is_some() {
            // Whoever asked may have gone away.
            let _ = answer.send(None);
            return;
        }
        let by = Instant::now() + Duration::from_millis(STEADY_MS_MAX);
        self.handing = Some(Handing { answer, by, left: None });
    }

    /// Whether nothing is heard from the control plane any more.
    pub(super) fn is_leaving(&self) -> bool {
        self.handing.as_ref().is_some_and(|handing| handing.left.is_some())
    }

    pub(super) fn take_left(&mut self, binding: BindingId, left: LeftBinding) {
        if let Some(all) = self.handing.as_mut().and_then(|handing| handing.left.as_mut()) {
            all.insert(binding, left);
        }
    }

    /// Goes on with making way; true when there is nothing left to do for this hub.
    pub(super) fn has_made_way(&mut self) -> bool {
        let Some(handing) = &self.handing else { return false };
        let (is_late, begun) = (handing.by <= Instant::now(), handing.left.as_ref().map(BTreeMap::len));
        match begun {
            None if self.is_steady() && self.has_recorded() => {
                self.begin_to_leave();
                self.holders.is_empty() && self.finish()
            }
            None if is_late => {
                let Some(handing) = self.handing.take() else { return false };
                self.parts.workshop.judge.records().close(false);
                // Whoever asked may have gone away.
                let _ = handing.answer.send(None);
                false
            }
            Some(left) if left == self.holders.len() || is_late => self.finish(),
            _ => false,
        }
    }

    fn is_steady(&self) -> bool {
        self.core.is_steady() && self.holders.len() == self.core.len() && self.holders.values().all(|held| held.started)
    }

    /// Whether everything is recorded that was decided here. Nothing is added to it any more: actors that are denied all the time
    /// would keep the next program waiting, and what they are told last would be lost.
    fn has_recorded(&self) -> bool {
        let records = self.parts.workshop.judge.records();
        records.close(true);
        records.left() == 0
    }

    fn begin_to_leave(&mut self) {
        if let Some(open) = self.stream.take() {
            self.forget_asked();
            self.step(Input::Closed { stream: open.number() });
        }
        if let Some(handing) = &mut self.handing {
            handing.by = Instant::now() + Duration::from_millis(LEAVE_MS_MAX);
            handing.left = Some(BTreeMap::new());
        }
        self.holders.values().for_each(|held| held.reins.leave());
    }

    fn finish(&mut self) -> bool {
        let Some(handing) = self.handing.take() else { return false };
        let bindings: Vec<_> = handing.left.into_iter().flat_map(BTreeMap::into_values).collect();
        if bindings.len() < self.holders.len() {
            tracing::warn!(left = bindings.len(), held = self.holders.len(), "not every binding could be left in time");
        }
        let estate = Estate {
            clock: self.clock.now(),
            at_ns: machine_ns(),
            lease: self.core.lease(),
            ends: self.core.ends(),
            bindings: Vec::new(),
        };
        // Whoever asked is gone: then nobody goes on, and the leases tell it.
        let _ = handing.answer.send(Some((estate, bindings)));
        true
    }

    /// Goes on with a binding that an earlier program of this process held.
    pub(crate) fn adopt(&mut self, left: LeftBinding) {
        let LeftBinding { state, socket, tree, .. } = left;
        let (notice, root) = (state.notice.clone(), state.root);
        let binding = notice.binding;
        let identity = self.inherited_identity(&notice, &state.chain, &state.key_pkcs8);
        match identity {
            Ok(identity) => {
                tracing::info!(%binding, actor = %notice.actor, epoch = notice.epoch.0, "taken over");
                let actor = notice.actor.clone();
                let (rejoin, rejoined) = mpsc::channel(1);
                let rejoin = tree.is_none().then_some(rejoin);
                let reins = adopt(Arc::clone(&self.parts.workshop), notice, identity, (root, socket, tree), rejoined);
                let held = Held { actor, root: Some(root), reins, running: None, started: true, request: None, rejoin };
                self.parts.workshop.judge.known.serve(binding, held.reins.served());
                self.holders.insert(binding, held);
            }
            Err(reason) => {
                tracing::error!(%binding, reason, "a binding cannot be taken over");
                self.step(Input::StartFailed { binding, reason });
            }
        }
    }

    fn inherited_identity(&self, notice: &BindNotice, chain: &[Vec<u8>], key: &[u8]) -> Result<Identity, String> {
        let key = KeyPair::from_pkcs8(key).map_err(|error| error.to_string())?;
        let bundle = Arc::clone(&self.parts.bundles.borrow());
        let identity = freshness::identity(notice.held(), &notice.spiffe_id, chain.to_vec(), &key, &bundle);
        identity.map_err(|error| error.to_string())
    }

    /// The clock of an earlier program goes on in this one.
    pub(crate) fn clock_of(estate: &Estate) -> MonoClock {
        MonoClock::resume(estate.clock, estate.at_ns)
    }
}
