//! Nodes.

use super::text::Text;
use credence_model::id::{NodeName, PoolRef, WorkerRef};
use credence_model::node::NodeState;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A node as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// Where it is in its life.
    pub state: NodeState,
    /// What its join token granted.
    pub pools: Vec<Grant>,
    /// Its workers, as `NAMESPACE/POOL/WORKER`.
    pub workers: Vec<Text<WorkerRef>>,
    /// How many checked keys it has ready for coming bindings.
    pub keys_ready: u64,
    /// Number of its present or last stream.
    pub session: u64,
    /// When it proved its origin.
    pub attested_at: Timestamp,
    /// When the server last heard from it.
    pub heard_at: Timestamp,
    /// When the lease of its bindings ends, unless it is heard from again.
    pub lease_ends_at: Timestamp,
}

/// How many workers a node may hold in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The pool, as `NAMESPACE/NAME`.
    pub pool: Text<PoolRef>,
    /// Most slots there. Zero allows only process trees, if the pool allows those.
    pub workers_max: u32,
}
