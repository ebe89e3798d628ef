//! What the node knows of what its actors may do, and how fresh that is.

use crate::clock::MonoClock;
use crate::core::MonoMs;
use crate::endpoint::{Identity, Served};
use credence_model::command::Held;
use credence_model::guards::Guards;
use credence_model::id::BindingId;
use credence_model::time::Timestamp;
use credence_policy::brief::Brief;
use credence_policy::inquiry::Subject;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// What the node knows. Nothing of an actor that it does not hold.
pub(crate) struct Known {
    clock: MonoClock,
    holdings: RwLock<HashMap<BindingId, Holding>>,
    complete: RwLock<Option<Complete>>,
    /// What owners of resources say; nothing is decided before that was told.
    guards: RwLock<Option<Guards>>,
}

#[derive(Default)]
struct Holding {
    /// What its endpoint serves; nothing is served yet if missing.
    served: Option<watch::Receiver<Served>>,
    /// What it may do, if that was told.
    brief: Option<Arc<Brief>>,
}

/// When what is known was complete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Complete {
    /// When the newest acknowledged heartbeat was sent.
    pub(crate) as_of: MonoMs,
    /// When its acknowledgement came, and what the control plane's clock showed a little earlier.
    pub(crate) heard: MonoMs,
    pub(crate) server_now: Timestamp,
    /// How old it may be, in milliseconds.
    pub(crate) age_ms_max: u64,
}

/// What is known is fresh.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fresh {
    /// How long ago it was certainly complete, in milliseconds.
    pub(crate) age_ms: u64,
    /// What the control plane's clock shows, or a little less: delegations begin and end by that one.
    pub(crate) now: Timestamp,
}

impl Known {
    pub(crate) fn new(clock: MonoClock) -> Self {
        Self { clock, holdings: RwLock::default(), complete: RwLock::default(), guards: RwLock::default() }
    }

    /// A binding begins: what is told of it is kept from now on.
    pub(crate) fn begin(&self, binding: BindingId) {
        self.change(|holdings| {
            holdings.entry(binding).or_default();
        });
    }

    /// Its identity is served here.
    pub(crate) fn serve(&self, binding: BindingId, served: watch::Receiver<Served>) {
        self.change(|holdings| holdings.entry(binding).or_default().served = Some(served));
    }

    /// A binding is over.
    pub(crate) fn end(&self, binding: BindingId) {
        self.change(|holdings| drop(holdings.remove(&binding)));
    }

    /// What an actor may do was told; nothing if it is too large to be.
    pub(super) fn tell(&self, binding: BindingId, brief: Option<Arc<Brief>>) {
        self.change(|holdings| {
            if let Some(holding) = holdings.get_mut(&binding) {
                holding.brief = brief;
            }
        });
    }

    /// A new stream begins: nothing that was told before it counts.
    pub(super) fn begin_anew(&self) {
        *self.complete.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.guards.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.change(|holdings| holdings.values_mut().for_each(|holding| holding.brief = None));
    }

    /// What owners of resources say was told.
    pub(super) fn guard(&self, guards: Guards) {
        *self.guards.write().unwrap_or_else(PoisonError::into_inner) = Some(guards);
    }

    /// What owners of resources say, if that was told.
    pub(super) fn guards(&self) -> Option<Guards> {
        self.guards.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything was told that was recorded until then.
    pub(super) fn complete(&self, complete: Complete) {
        *self.complete.write().unwrap_or_else(PoisonError::into_inner) = Some(complete);
    }

    /// How fresh it is; nothing if it is not fresh enough.
    pub(super) fn fresh(&self) -> Option<Fresh> {
        let complete = (*self.complete.read().unwrap_or_else(PoisonError::into_inner))?;
        let now = self.clock.now();
        let age_ms = now.0.saturating_sub(complete.as_of.0);
        let fresh = Fresh { age_ms, now: complete.server_now.plus_ms(now.0.saturating_sub(complete.heard.0)) };
        (age_ms <= complete.age_ms_max).then_some(fresh)
    }

    /// What the actor may do that acts in this binding, if it is served here and that is known.
    pub(super) fn brief(&self, held: Held) -> Option<Arc<Brief>> {
        self.brief_if(held, |_| true)
    }

    /// The same of a subject, if it is whose identity is served in its binding.
    pub(super) fn brief_of(&self, Subject { spiffe_id, held }: &Subject) -> Option<Arc<Brief>> {
        self.brief_if(*held, |identity| identity.spiffe_id == *spiffe_id)
    }

    fn brief_if(&self, held: Held, is: impl FnOnce(&Identity) -> bool) -> Option<Arc<Brief>> {
        let holdings = self.holdings.read().unwrap_or_else(PoisonError::into_inner);
        let Holding { served, brief } = holdings.get(&held.binding)?;
        let is_live = match &*served.as_ref()?.borrow() {
            Served::Live { identity, .. } => identity.claims.epoch == held.epoch && is(identity),
            Served::Ended => false,
        };
        brief.clone().filter(|_| is_live)
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<BindingId, Holding>)) {
        // Every change is one insert or remove, so the map is whole even if somebody panicked while holding it.
        change(&mut self.holdings.write().unwrap_or_else(PoisonError::into_inner));
    }
}
