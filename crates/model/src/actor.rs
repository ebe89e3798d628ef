//! Actors: running instances of a class, and the bindings that carry them.

use crate::caller::Caller;
use crate::id::{ActorRef, BindingId, ClassName, Digest, Epoch, NodeName, WorkerRef};
use crate::label::Labels;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an actor is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum ActorState {
    /// Not bound. If `wait` is set it stands in the queue for a worker.
    #[n(0)]
    Suspended,
    /// Bound; its node has not yet said that it runs.
    #[n(1)]
    Starting,
    /// Bound and running.
    #[n(2)]
    Running,
    /// Bound; its node is ending it.
    #[n(3)]
    Suspending,
    /// Its node stopped answering; nobody else may be it until the lease is over.
    #[n(4)]
    Lost,
    /// Revoked. Evidence is kept, and it cannot be bound.
    #[n(5)]
    Quarantined,
    /// Ended for ever.
    #[n(6)]
    Terminated,
}

/// How far a binding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The node was told and has not confirmed.
    Starting,
    /// The node confirmed.
    Live,
    /// The node was told to end it and has not confirmed.
    Ending(UnbindMode),
}

/// How a node is to end a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum UnbindMode {
    /// Stop the program with grace, keep its state in an archive.
    #[n(0)]
    Suspend,
    /// Stop it with grace, keep nothing.
    #[n(1)]
    Terminate,
    /// Kill it at once, keep its state as evidence.
    #[n(2)]
    Quarantine,
    /// The binding is over already: kill whatever is there and keep nothing.
    #[n(3)]
    Drop,
}

/// An actor's hold on a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Its id.
    pub id: BindingId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The worker.
    pub worker: WorkerRef,
    /// The worker's node.
    pub node: NodeName,
    /// The class revision it runs.
    pub revision: u32,
    /// How far it is.
    pub phase: Phase,
    /// When it began.
    pub bound_at: Timestamp,
}

/// A place in the queue for a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Place in the queue: lower is served first.
    pub ticket: u64,
    /// Since when it waits.
    pub since: Timestamp,
    /// Until when it may wait.
    pub until: Timestamp,
}

/// How a binding ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The node stopped it as it was told.
    #[n(0)]
    Stopped,
    /// The program ended by itself.
    #[n(1)]
    Exited {
        /// Its exit code; 128 + signal number if a signal ended it.
        #[n(0)]
        code: i32,
    },
    /// The node could not start it.
    #[n(2)]
    Failed {
        /// Why, safe to show.
        #[n(0)]
        reason: String,
    },
    /// The node does not hold it (any more): it restarted, or its own lease clock ran out.
    #[n(3)]
    Dropped,
    /// The server heard nothing until the lease and the clock margin were over.
    #[n(4)]
    LeaseOver,
}

/// An actor in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Its namespace and id.
    pub actor: ActorRef,
    /// Its class, in the same namespace.
    pub class: ClassName,
    /// Labels for people.
    pub labels: Labels,
    /// Where it is in its life.
    pub state: ActorState,
    /// Whether it is meant to run: then it is resumed by itself after it lost its worker.
    pub wanted: bool,
    /// The epoch of its present or last binding; 0 if it was never bound.
    pub epoch: Epoch,
    /// Its present binding.
    pub binding: Option<Binding>,
    /// Its place in the queue.
    pub wait: Option<Wait>,
    /// The worker it held last, tried first when it is resumed; and that worker's node, which keeps its output.
    pub last: Option<(WorkerRef, NodeName)>,
    /// Archive of its state, by digest.
    pub archive: Option<Digest>,
    /// How its last binding ended.
    pub outcome: Option<Outcome>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its state changed last.
    pub changed_at: Timestamp,
    /// Who changed it last.
    pub changed_by: Caller,
    /// Why it was quarantined or terminated, in the administrator's words.
    pub reason: Option<String>,
}

impl Actor {
    /// Whether its credentials may be renewed: bound, not revoked, not ended.
    pub fn live_binding(&self) -> Option<&Binding> {
        let over = matches!(self.state, ActorState::Quarantined | ActorState::Terminated);
        self.binding.as_ref().filter(|_| !over)
    }
}
