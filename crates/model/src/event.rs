//! Events: what happened. An entry of the journal is one event with its time and its caller; its bytes are those of [`Entry`].
mod entry;
mod permission;
use crate::actor::{Outcome, UnbindMode};
use crate::authority::AuthorityKeys;
use crate::class::ClassSpec;
use crate::command::Answer;
use crate::hold::{HoldCause, Release};
use crate::id::{ActorRef, BindingId, ClassName, ClassRef, Digest, Epoch, NodeName, PoolRef, WorkerRef};
use crate::label::Labels;
use crate::node::PoolGrant;
use crate::pool::PoolSpec;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::worker::WorkerKind;
pub use entry::{Entry, EntryError, FORMAT};
use minicbor::{Decode, Encode};
pub use permission::PermissionEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cbor(map)]
pub enum Event {
    /// The control plane started and took the journal over. Every node gets one full lease to report.
    #[n(0)]
    CellStarted {},
    /// The trust domain's settings were made or changed.
    #[n(1)]
    SettingsChanged {
        /// All of them.
        #[n(0)]
        settings: Settings,
    },
    /// A command with an idempotency key was answered.
    #[n(2)]
    CommandAnswered {
        /// SHA-256 of caller and key.
        #[n(0)]
        key: Digest,
        /// SHA-256 of the command.
        #[n(1)]
        command: Digest,
        /// The answer.
        #[n(2)]
        answer: Answer,
    },
    /// A class got a new revision; the first one creates it.
    #[n(3)]
    ClassRevised {
        /// The class.
        #[n(0)]
        class: ClassRef,
        /// Its labels.
        #[n(1)]
        labels: Labels,
        /// Number of the revision.
        #[n(2)]
        revision: u32,
        /// What it says; in CBOR its canonical JSON as text.
        #[n(3)]
        spec: Box<ClassSpec>,
    },
    /// A class got other labels, without a new revision.
    #[n(4)]
    ClassLabelled {
        /// The class.
        #[n(0)]
        class: ClassRef,
        /// Its labels.
        #[n(1)]
        labels: Labels,
    },
    /// A class was enabled or disabled.
    #[n(5)]
    ClassEnabled {
        /// The class.
        #[n(0)]
        class: ClassRef,
        /// Whether its actors may be bound.
        #[n(1)]
        enabled: bool,
    },
    /// A revision was allowed or forbidden.
    #[n(6)]
    RevisionAllowed {
        /// The class.
        #[n(0)]
        class: ClassRef,
        /// The revision.
        #[n(1)]
        revision: u32,
        /// Whether actors may be bound under it.
        #[n(2)]
        allowed: bool,
    },
    /// A class without actors was deleted.
    #[n(7)]
    ClassDeleted {
        /// The class.
        #[n(0)]
        class: ClassRef,
    },
    /// A pool was created or changed.
    #[n(8)]
    PoolApplied {
        /// The pool.
        #[n(0)]
        pool: PoolRef,
        /// Its labels.
        #[n(1)]
        labels: Labels,
        /// What it is.
        #[n(2)]
        spec: PoolSpec,
    },
    /// A pool without workers was deleted.
    #[n(9)]
    PoolDeleted {
        /// The pool.
        #[n(0)]
        pool: PoolRef,
    },
    /// A join token was made.
    #[n(10)]
    JoinTokenCreated {
        /// SHA-256 of its secret.
        #[n(0)]
        token: Digest,
        /// The node that may use it, or any.
        #[n(1)]
        node: Option<NodeName>,
        /// What it grants.
        #[n(2)]
        grants: Vec<PoolGrant>,
        /// When it ends.
        #[n(3)]
        expires_at: Timestamp,
    },
    /// A node proved its origin with a join token, which is used up, and gets its SVID.
    #[n(11)]
    NodeAttested {
        /// The node.
        #[n(0)]
        node: NodeName,
        /// SHA-256 of the token's secret.
        #[n(1)]
        token: Digest,
        /// What it may hold.
        #[n(2)]
        grants: Vec<PoolGrant>,
        /// SHA-256 of its SubjectPublicKeyInfo.
        #[n(3)]
        key: Digest,
        /// End of its SVID.
        #[n(4)]
        not_after: Timestamp,
    },
    /// A node renewed its own SVID.
    #[n(12)]
    NodeRenewed {
        /// The node.
        #[n(0)]
        node: NodeName,
        /// SHA-256 of the new SubjectPublicKeyInfo.
        #[n(1)]
        key: Digest,
        /// End of its SVID.
        #[n(2)]
        not_after: Timestamp,
    },
    /// A node opened its stream. Bindings that it still holds go on.
    #[n(13)]
    NodeAttached {
        /// The node.
        #[n(0)]
        node: NodeName,
        /// Number of the stream.
        #[n(1)]
        session: u64,
        /// Its slots.
        #[n(2)]
        workers: Vec<WorkerRef>,
        /// The bindings that it still holds.
        #[n(3)]
        kept: Vec<BindingId>,
    },
    /// A node was heard from: the leases of its bindings begin anew.
    #[n(14)]
    NodeHeard {
        /// The node.
        #[n(0)]
        node: NodeName,
    },
    /// A node's stream broke, or it stopped answering.
    #[n(15)]
    NodeLost {
        /// The node.
        #[n(0)]
        node: NodeName,
    },
    /// A node that holds nothing was removed; it must attest again.
    #[n(16)]
    NodeDeleted {
        /// The node.
        #[n(0)]
        node: NodeName,
    },
    /// A node put keys into its reservoir; their possession was checked.
    #[n(17)]
    KeysOffered {
        /// The node.
        #[n(0)]
        node: NodeName,
        /// SHA-256 of each SubjectPublicKeyInfo.
        #[n(1)]
        keys: Vec<Digest>,
    },
    /// A worker was registered for one process tree.
    #[n(18)]
    WorkerRegistered {
        /// The worker.
        #[n(0)]
        worker: WorkerRef,
        /// Its node.
        #[n(1)]
        node: NodeName,
        /// What it executes in.
        #[n(2)]
        kind: WorkerKind,
    },
    /// A worker takes no further actor.
    #[n(19)]
    WorkerDraining {
        /// The worker.
        #[n(0)]
        worker: WorkerRef,
    },
    /// A worker is gone.
    #[n(20)]
    WorkerGone {
        /// The worker.
        #[n(0)]
        worker: WorkerRef,
    },
    /// An actor was created, suspended.
    #[n(21)]
    ActorCreated {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// Its class.
        #[n(1)]
        class: ClassName,
        /// Its labels.
        #[n(2)]
        labels: Labels,
    },
    /// An actor was admitted and waits for a worker.
    #[n(22)]
    ActorQueued {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// Until when it waits.
        #[n(1)]
        until: Timestamp,
    },
    /// An actor waits no longer, unbound.
    #[n(23)]
    ActorUnqueued {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// Why.
        #[n(1)]
        reason: String,
    },
    /// An actor was admitted and bound; its first X.509-SVID under this epoch is ordered with it.
    #[n(24)]
    ActorBound {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// The binding.
        #[n(1)]
        binding: BindingId,
        /// Its epoch.
        #[n(2)]
        epoch: Epoch,
        /// The worker.
        #[n(3)]
        worker: WorkerRef,
        /// The worker's node.
        #[n(4)]
        node: NodeName,
        /// The class revision it runs.
        #[n(5)]
        revision: u32,
        /// SHA-256 of the SubjectPublicKeyInfo, from the node's reservoir.
        #[n(6)]
        key: Digest,
        /// End of the X.509-SVID.
        #[n(7)]
        not_after: Timestamp,
    },
    /// The node said that the actor runs and its identity is served.
    #[n(25)]
    ActorRunning {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// The binding.
        #[n(1)]
        binding: BindingId,
    },
    /// The node is told to end the binding.
    #[n(26)]
    ActorUnbinding {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// The binding.
        #[n(1)]
        binding: BindingId,
        /// How.
        #[n(2)]
        mode: UnbindMode,
        /// Whether the actor is meant to run again by itself.
        #[n(3)]
        wanted: bool,
    },
    /// A binding is over; its worker is free.
    #[n(27)]
    BindingEnded {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// The binding.
        #[n(1)]
        binding: BindingId,
        /// Its epoch.
        #[n(2)]
        epoch: Epoch,
        /// How it ended.
        #[n(3)]
        outcome: Outcome,
        /// Archive of the actor's state, if a new one was made.
        #[n(4)]
        archive: Option<Digest>,
    },
    /// An actor ended for ever.
    #[n(28)]
    ActorTerminated {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// Why, in the administrator's words.
        #[n(1)]
        reason: Option<String>,
    },
    /// An actor was revoked; evidence is kept.
    #[n(29)]
    ActorQuarantined {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// Why, in the administrator's words.
        #[n(1)]
        reason: Option<String>,
    },
    /// An actor's record was removed; its id stays used.
    #[n(30)]
    ActorDeleted {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
    },
    /// An X.509-SVID was ordered for a live binding.
    #[n(31)]
    X509SvidOrdered {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// The binding.
        #[n(1)]
        binding: BindingId,
        /// Its epoch.
        #[n(2)]
        epoch: Epoch,
        /// SHA-256 of the SubjectPublicKeyInfo.
        #[n(3)]
        key: Digest,
        /// End of the credential.
        #[n(4)]
        not_after: Timestamp,
    },
    /// A JWT-SVID was ordered for a live binding.
    #[n(32)]
    JwtSvidOrdered {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// The binding.
        #[n(1)]
        binding: BindingId,
        /// Its epoch.
        #[n(2)]
        epoch: Epoch,
        /// Its audience.
        #[n(3)]
        audience: Vec<String>,
        /// End of the credential.
        #[n(4)]
        expires_at: Timestamp,
    },
    /// An authority came into the bundle.
    #[n(33)]
    AuthorityPrepared {
        /// Its id: SHA-256 of its root certificate.
        #[n(0)]
        authority: Digest,
        /// Its public half.
        #[n(1)]
        keys: AuthorityKeys,
    },
    /// An authority signs from now on, and the one before it does not any more.
    #[n(34)]
    AuthorityActivated {
        /// Its id.
        #[n(0)]
        authority: Digest,
        /// Whether connected nodes did not know it yet.
        #[n(1)]
        forced: bool,
    },
    /// An authority's key is in wrong hands; what it signed is to be replaced.
    #[n(35)]
    AuthorityTainted {
        /// Its id.
        #[n(0)]
        authority: Digest,
        /// Why, in the administrator's words.
        #[n(1)]
        reason: Option<String>,
    },
    /// A tainted authority left the bundle.
    #[n(36)]
    AuthorityWithdrawn {
        /// Its id.
        #[n(0)]
        authority: Digest,
        /// Whether every connected node had replaced what it signed; else the time for that was over.
        #[n(1)]
        reissued: bool,
    },
    /// An authority is gone.
    #[n(37)]
    AuthorityRetired {
        /// Its id.
        #[n(0)]
        authority: Digest,
        /// Whether credentials that it signed were still valid.
        #[n(1)]
        forced: bool,
    },
    /// A node and all its endpoints hold a bundle.
    #[n(38)]
    BundleHeld {
        /// The node.
        #[n(0)]
        node: NodeName,
        /// The bundle's sequence.
        #[n(1)]
        sequence: u64,
        /// Whether nothing that a tainted authority signed is left there.
        #[n(2)]
        reissued: bool,
    },
    /// The control plane is held: nothing is bound, issued or changed until it is released. Again, if more was seen.
    #[n(40)]
    CellHeld {
        /// Why.
        #[n(0)]
        cause: HoldCause,
    },
    /// An operator released the control plane.
    #[n(41)]
    CellReleased {
        /// With what.
        #[n(0)]
        release: Release,
    },
    /// What actors may do changed.
    #[n(42)]
    #[serde(untagged)]
    Permission(#[n(0)] PermissionEvent),
}
