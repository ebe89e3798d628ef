//! Workers.

use super::text::Text;
use credence_model::id::{ActorRef, BindingId, Namespace, NodeName, PoolName, WorkerId};
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use credence_model::worker::{WorkerKind, WorkerState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A worker as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    /// Namespace of its pool.
    pub namespace: Namespace,
    /// Its pool.
    pub pool: PoolName,
    /// Its id in the pool.
    pub id: WorkerId,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The node that runs it.
    pub node: NodeName,
    /// What it executes in.
    pub kind: WorkerKind,
    /// Where it is in its life.
    pub state: WorkerState,
    /// The actor that holds it, as `NAMESPACE/ACTOR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Text<ActorRef>>,
    /// The binding by which the actor holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// When it last became free.
    pub idle_since: Timestamp,
}
