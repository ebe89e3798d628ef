//! What the hub hears: from the stream, from the holders of bindings, and from programs of this machine.

use crate::handover::{Estate, LeftBinding};
use crate::queue::Queue;
use crate::runtime::Running;
use credence_attest::process_tree::{Peer, TreeRoot};
use credence_model::command::Held;
use credence_model::id::{BindingId, Digest};
use credence_model::refusal::Refusal;
use credence_policy::inquiry::{Answer, Inquiry};
use credence_telemetry::limit::Limit;
use credence_telemetry::span::{Span, Trace};
use credence_telemetry::trace::TraceContext;
use credence_wire::node::{FromNode, to_node};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// The hub does not keep up. It never waits for those who wait here.
pub(crate) static EVENTS: Limit = Limit::new("hub_events", 1024, "events", "whoever has one waits");

/// To the hub.
pub(crate) type Events = Queue<Event>;

/// Certificates in DER, leaf first.
pub(crate) type Chain = Vec<Vec<u8>>;

/// A fresh chain, or why there is none.
pub(crate) type Renewed = Result<Chain, Refusal>;

/// Decisions of this node that are recorded together, always said in the same way: each as JSON.
pub(crate) type Batch = Arc<Vec<Vec<u8>>>;

/// What is left of a hub: its state, and its bindings with their files.
pub(crate) type Left = (Estate, Vec<LeftBinding>);

/// One thing that happened.
pub(crate) enum Event {
    /// On a stream to the control plane.
    Stream {
        /// Its number.
        stream: u64,
        /// What.
        event: StreamEvent,
    },
    /// With a binding.
    Holder {
        /// Which.
        binding: BindingId,
        /// What.
        event: HolderEvent,
    },
    /// A binding's X.509-SVID is to be renewed. Without an answer the stream broke.
    Renew {
        /// The binding.
        held: Held,
        /// Request for the fresh key, in DER.
        csr: Vec<u8>,
        /// Where the chain goes.
        answer: oneshot::Sender<Renewed>,
    },
    /// The node's own SVID is to be renewed. Without an answer the stream broke.
    RenewNode {
        /// Request for the fresh key, in DER.
        csr: Vec<u8>,
        /// Where the chain goes.
        answer: oneshot::Sender<Renewed>,
    },
    /// The newest bundle is in the node's files.
    BundleKept {
        /// Its sequence.
        sequence: u64,
        /// Whether nothing of a tainted authority is left.
        reissued: bool,
    },
    /// Somebody wants to see every chain that is served.
    Chains(oneshot::Sender<Vec<Chain>>),
    /// An actor wants a JWT-SVID.
    Mint {
        /// Its binding.
        held: Held,
        /// For whom.
        audience: Vec<String>,
        /// The request that it is a part of.
        trace: Trace,
        /// Where the token goes.
        answer: oneshot::Sender<Result<String, Refusal>>,
    },
    /// An actor asks what cannot be decided here.
    Decide {
        /// Its binding.
        asker: Held,
        /// What it asks.
        inquiries: Vec<Inquiry>,
        /// The request that it is a part of.
        trace: Trace,
        /// Where the answers go.
        answer: oneshot::Sender<Result<Vec<Answer>, Refusal>>,
        /// Its turn, which lasts until the control plane has answered.
        turn: OwnedSemaphorePermit,
    },
    /// Decisions of this node are to be recorded. Without an answer the stream broke.
    Record {
        /// What was decided.
        batch: Batch,
        /// Where it is told that they are.
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    /// A program of this machine wants to be an actor.
    Run(Box<LocalRun>),
    /// The node makes way for another program of its process. The answer is nothing if it cannot now.
    HandOver(oneshot::Sender<Option<Left>>),
    /// The node is to end.
    Shutdown,
}

/// What happens on a stream.
pub(crate) enum StreamEvent {
    /// It was opened.
    Opened {
        /// What is to be sent.
        out: mpsc::Sender<FromNode>,
        /// Dropping it cuts the stream.
        cut: oneshot::Sender<()>,
    },
    /// The control plane said something.
    Heard {
        /// What.
        message: Box<to_node::Message>,
        /// The request that led to it, if it is known.
        said: Option<TraceContext>,
    },
    /// It is over.
    Closed,
}

/// What happens with a binding.
pub(crate) enum HolderEvent {
    /// Its process tree is there, with nothing in it yet.
    Rooted(TreeRoot),
    /// It runs and its identity is served; with what runs, if this node started it.
    Started(Option<Arc<dyn Running>>),
    /// It could not be started, and nothing of it is left.
    StartFailed(String),
    /// Its program ended with this code.
    Exited(i32),
    /// It goes on in another program of this process.
    Left(Box<LeftBinding>),
    /// Nothing of it is left.
    Stopped {
        /// The archive of its state that the control plane has.
        archive: Option<Digest>,
        /// What kept its state from being kept.
        trouble: Option<String>,
    },
}

/// A process tree of this machine that is to be an actor.
pub(crate) struct LocalRun {
    /// The class, as NAMESPACE/NAME.
    pub(crate) class: String,
    /// The actor's id; empty if one is to be generated.
    pub(crate) actor: String,
    /// The binding that it had when its connection to the node broke.
    pub(crate) binding: Option<BindingId>,
    /// The calling process.
    pub(crate) peer: Peer,
    /// The tree below it.
    pub(crate) root: TreeRoot,
    /// What it is told.
    pub(crate) notices: mpsc::Sender<RunNotice>,
    /// Its way to being one, until it is told.
    pub(crate) part: Span,
    /// Its exit code; closed without one when the caller is gone.
    pub(crate) exited: oneshot::Receiver<i32>,
}

/// What a local program is told.
pub(crate) enum RunNotice {
    /// It is an actor now.
    Bound(credence_wire::local::Bound),
    /// It cannot be one.
    Refused(Refusal),
    /// It is none any more, and why.
    Ended(String),
}
