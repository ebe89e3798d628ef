//! Directives: what a node, or the caller of a command, is given once an entry is recorded.
//!
//! They follow from the entry and the state after it, purely; the server signs the orders in them and sends them on.

use crate::class::Runtime;
use crate::command::Unbind;
use crate::id::{ActorRef, BindingId, ClassRef, Digest, Epoch, NodeName, WorkerRef};
use crate::order::{JwtOrder, X509Order};
use crate::spiffe_id::SpiffeId;
use crate::worker::WorkerKind;

/// What follows from a recorded entry for the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Tell the node to hold this binding, with its first X.509-SVID.
    Bind(Box<Bind>),
    /// Tell the node to end this binding.
    Unbind {
        /// The node.
        node: NodeName,
        /// What to end and how.
        unbind: Unbind,
    },
    /// Sign this for the node's binding and send it there.
    X509 {
        /// The node.
        node: NodeName,
        /// The binding.
        binding: BindingId,
        /// What to sign.
        order: X509Order,
    },
    /// Sign this for the node's binding and send it there.
    Jwt {
        /// The node.
        node: NodeName,
        /// The binding.
        binding: BindingId,
        /// What to sign.
        order: JwtOrder,
    },
    /// Sign this as the node's own SVID.
    NodeSvid {
        /// The node.
        node: NodeName,
        /// What to sign.
        order: X509Order,
    },
    /// Close this node's older streams, and its present one if it was deleted.
    EndSessions {
        /// The node.
        node: NodeName,
        /// The oldest session that may stay.
        before: u64,
    },
}

/// Everything that a node needs to hold a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The node.
    pub node: NodeName,
    /// The stream that it must be sent on; a newer stream has settled the binding otherwise.
    pub session: u64,
    /// The actor.
    pub actor: ActorRef,
    /// Its class.
    pub class: ClassRef,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The binding.
    pub binding: BindingId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The worker.
    pub worker: WorkerRef,
    /// Whether a program is to be started, or one runs already.
    pub kind: WorkerKind,
    /// The class revision.
    pub revision: u32,
    /// How to run it.
    pub runtime: Runtime,
    /// Archive of the actor's state to begin from.
    pub archive: Option<Digest>,
    /// The order for its first X.509-SVID.
    pub order: X509Order,
}

impl Directive {
    /// The node that it is for.
    pub fn node(&self) -> &NodeName {
        match self {
            Self::Bind(bind) => &bind.node,
            Self::Unbind { node, .. }
            | Self::X509 { node, .. }
            | Self::Jwt { node, .. }
            | Self::NodeSvid { node, .. }
            | Self::EndSessions { node, .. } => node,
        }
    }
}
