//! What the node counts itself; limits count where they are.

use crate::clock::MonoClock;
use crate::core::MonoMs;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex, PoisonError};

/// What the node counts. Clones are the same meters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    connected: Gauge,
    held: Gauge,
    welcomes: Counter,
    lease_left: Gauge,
    lease: Arc<Mutex<Option<(MonoClock, MonoMs)>>>,
}

impl Meters {
    /// Puts them on a page.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("node_connected", "1 while the stream to the server is open", self.connected.clone());
        registry.register("node_welcomes", "Streams that the server welcomed", self.welcomes.clone());
        registry.register("node_bindings", "Bindings that the node holds or is ending", self.held.clone());
        let help = "How long the lease still is, in milliseconds: it shrinks while the server is silent; 0 without one";
        registry.register("node_lease_left_ms", help, self.lease_left.clone());
    }

    pub(crate) fn welcomed(&self) {
        self.welcomes.inc();
    }

    /// The hub has done something.
    pub(crate) fn stepped(&self, clock: MonoClock, is_connected: bool, held: usize, lease_until: Option<MonoMs>) {
        self.connected.set(i64::from(is_connected));
        self.held.set(i64::try_from(held).unwrap_or(i64::MAX));
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = lease_until.map(|until| (clock, until));
    }

    /// How long the lease still is, in milliseconds.
    pub(crate) fn lease_left_ms(&self) -> u64 {
        let lease = *self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let left_ms = lease.map_or(0, |(clock, until)| until.0.saturating_sub(clock.now().0));
        self.lease_left.set(i64::try_from(left_ms).unwrap_or(i64::MAX));
        left_ms
    }
}
