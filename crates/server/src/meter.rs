//! What the server counts itself; the cell has meters of its own, and limits count where they are.

use crate::problem::{KINDS, kind_name};
use credence_model::refusal::Kind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One label, whose values are all known.
type Label = [(&'static str, &'static str); 1];

/// What the issuer signed.
pub(crate) const SIGNED: [&str; 2] = ["x509_svid", "jwt_svid"];
/// Kinds of peers.
pub(crate) const PEERS: [&str; 4] = ["node", "workload", "administrator", "stranger"];
/// How far bindings are.
pub(crate) const PHASES: [&str; 3] = ["starting", "live", "ending"];
/// Where nodes are in their life.
pub(crate) const NODE_STATES: [&str; 3] = ["attested", "connected", "lost"];

/// What the server counts. Clones are the same meters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    refusals: Family<Label, Counter>,
    signatures: Family<Label, Counter>,
    requests: Counter,
    pub(crate) open_requests: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) actors: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) workers: Gauge,
    pub(crate) idle_workers: Gauge,
    pub(crate) silent_ms: Gauge,
    pub(crate) held: Gauge,
    connections: Family<Label, Gauge>,
    bindings: Family<Label, Gauge>,
    nodes: Family<Label, Gauge>,
}

impl Meters {
    /// Puts them on a page, every label at zero from the beginning.
    pub(crate) fn register(&self, registry: &mut Registry) {
        for kind in KINDS {
            drop(self.refusals.get_or_create(&[("kind", kind_name(kind))]));
        }
        for what in SIGNED {
            drop(self.signatures.get_or_create(&[("what", what)]));
        }
        for peer in PEERS {
            drop(self.connections(peer));
        }
        self.phases([0; PHASES.len()]);
        self.node_states([0; NODE_STATES.len()]);
        registry.register("requests", "Requests of the control API and RPCs that came", self.requests.clone());
        registry.register("refusals", "Requests and reports that were refused", self.refusals.clone());
        registry.register("signatures", "SVIDs that were signed", self.signatures.clone());
        registry.register("open_requests", "Requests and streams that are open", self.open_requests.clone());
        registry.register(
            "connections",
            "Connections that are open, by who is at the other end",
            self.connections.clone(),
        );
        registry.register("node_streams", "Streams of nodes that are open", self.streams.clone());
        registry.register("actors", "Actors in the registry", self.actors.clone());
        registry.register("actors_waiting", "Actors that wait for a worker", self.waiting.clone());
        registry.register("bindings", "Bindings that nodes hold, by how far they are", self.bindings.clone());
        registry.register("workers", "Workers that are not gone", self.workers.clone());
        registry.register("workers_idle", "Workers that a waiting actor could have", self.idle_workers.clone());
        registry.register("nodes", "Nodes in the registry, by state", self.nodes.clone());
        let help = "How long the most silent of the connected nodes has not been heard, in milliseconds";
        registry.register("node_silent_longest_ms", help, self.silent_ms.clone());
        registry.register("held", "1 while the server is held, else 0", self.held.clone());
    }

    pub(crate) fn requested(&self) {
        self.requests.inc();
    }

    pub(crate) fn refused(&self, kind: Kind) {
        self.refusals.get_or_create(&[("kind", kind_name(kind))]).inc();
    }

    /// `what` is one of [`SIGNED`].
    pub(crate) fn signed(&self, what: &'static str) {
        self.signatures.get_or_create(&[("what", what)]).inc();
    }

    /// The connections of one of [`PEERS`].
    pub(crate) fn connections(&self, peer: &'static str) -> Gauge {
        self.connections.get_or_create(&[("peer", peer)]).clone()
    }

    pub(crate) fn phases(&self, numbers: [usize; PHASES.len()]) {
        for (phase, number) in PHASES.into_iter().zip(numbers) {
            self.bindings.get_or_create(&[("phase", phase)]).set(signed(number));
        }
    }

    pub(crate) fn node_states(&self, numbers: [usize; NODE_STATES.len()]) {
        for (state, number) in NODE_STATES.into_iter().zip(numbers) {
            self.nodes.get_or_create(&[("state", state)]).set(signed(number));
        }
    }
}

pub(crate) fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
