//! Workers: attested execution slots, each held by at most one actor at a time.

use crate::id::{ActorRef, BindingId, NodeName, WorkerRef};
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a worker executes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum WorkerKind {
    /// A pre-warmed slot of a node, used by one actor after another.
    #[n(0)]
    Slot,
    /// One process tree that runs already; the worker ends with it.
    #[n(1)]
    Process,
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Free, or held by a live binding.
    Ready,
    /// Takes no further actor; gone when its present one has left.
    Draining,
    /// Its node stopped answering.
    Lost,
}

/// A worker in the registry. It is removed from there when it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its pool and id.
    pub worker: WorkerRef,
    /// The node that runs it.
    pub node: NodeName,
    /// What it executes in.
    pub kind: WorkerKind,
    /// Where it is in its life.
    pub state: WorkerState,
    /// The actor that holds it, and by which binding.
    pub holds: Option<(ActorRef, BindingId)>,
    /// When it last became free (or was registered).
    pub idle_since: Timestamp,
}

impl Worker {
    /// Whether an actor can be bound to it now.
    pub fn is_idle(&self) -> bool {
        self.state == WorkerState::Ready && self.holds.is_none() && self.kind == WorkerKind::Slot
    }
}
