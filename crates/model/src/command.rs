//! Commands: what can be asked of the state machine, and what it answers.

use crate::actor::{ActorState, Outcome, UnbindMode};
use crate::authority::{AuthorityKeys, AuthorityState};
use crate::budget::Taken;
use crate::caller::Caller;
use crate::class::ClassSpec;
use crate::decided::Decided;
use crate::delegation::{Grantee, Grantor, Offer, Terms};
use crate::guard::GuardSpec;
use crate::hold::HoldCause;
use crate::id::{
    ActorId, ActorRef, BindingId, ClassRef, DelegationId, Digest, Epoch, GuardRef, NodeName, PoolRef, WorkerRef,
};
use crate::label::Labels;
use crate::lineage::Lineage;
use crate::node::PoolGrant;
use crate::permission::Permission;
use crate::pool::PoolSpec;
use crate::settings::Settings;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Most answers that are remembered for retries; the oldest is forgotten first.
pub const ANSWERS_MAX: usize = 100_000;
/// Most audiences of one JWT-SVID.
pub const AUDIENCES_MAX: usize = 16;
/// Longest audience, in bytes.
pub const AUDIENCE_BYTES_MAX: usize = 1024;
/// Longest reason in words, in bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// A command with who asks, and the key under which a retry finds the first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The authenticated caller.
    pub caller: Caller,
    /// Given by the caller; scoped to the caller.
    pub idempotency_key: Option<String>,
    /// What is asked.
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::large_enum_variant, reason = "commands are few and short-lived; a box would be in every pattern")]
pub enum Command {
    /// The control plane starts, with these settings.
    Start(Settings),
    /// The configuration was read again, with these settings.
    Configure(Settings),
    /// The keys that a data directory began with become its first authority.
    AdoptAuthority {
        /// Their public half.
        keys: AuthorityKeys,
    },
    /// Puts an authority into the bundle, from which it does not sign yet.
    PrepareAuthority {
        /// Its public half. Made anew by every try, so a retry is known without it.
        #[serde(skip)]
        keys: AuthorityKeys,
    },
    /// Has a prepared authority sign from now on; the one that did becomes an old one.
    ActivateAuthority {
        /// Its id.
        authority: Digest,
        /// Whether connected nodes that do not know it yet are no obstacle.
        force: bool,
    },
    /// Says that an old authority's key is in wrong hands: what it signed is replaced at once.
    TaintAuthority {
        /// Its id.
        authority: Digest,
        /// Why.
        reason: Option<String>,
    },
    /// Takes an authority out of the bundle and removes its keys.
    RetireAuthority {
        /// Its id.
        authority: Digest,
        /// Whether credentials that it signed and that are still valid are no obstacle.
        force: bool,
    },
    /// Creates or revises a class.
    ApplyClass {
        /// The class.
        class: ClassRef,
        /// Its labels.
        labels: Labels,
        /// What it is.
        spec: ClassSpec,
        /// The version that the caller read; `Some(0)` means that it must not exist.
        if_version: Option<u64>,
    },
    /// Enables or disables a class, or allows or forbids one of its revisions.
    EnableClass {
        /// The class.
        class: ClassRef,
        /// One revision, or the whole class.
        revision: Option<u32>,
        /// Whether actors may be bound under it.
        enabled: bool,
    },
    /// Consents to what a revision permits, so that it may be in force.
    ConsentRevision {
        /// The class.
        class: ClassRef,
        /// The revision; the newest if missing.
        revision: Option<u32>,
        /// To these only, of what it permits; to all of it if empty.
        only: Vec<Permission>,
    },
    /// Takes a consent back.
    WithdrawConsent {
        /// The class.
        class: ClassRef,
        /// The revision; the newest that has one if missing.
        revision: Option<u32>,
    },
    /// Deletes a class without actors.
    DeleteClass {
        /// The class.
        class: ClassRef,
    },
    /// Creates or changes a pool.
    ApplyPool {
        /// The pool.
        pool: PoolRef,
        /// Its labels.
        labels: Labels,
        /// What it is.
        spec: PoolSpec,
        /// The version that the caller read; `Some(0)` means that it must not exist.
        if_version: Option<u64>,
    },
    /// Deletes a pool without workers.
    DeletePool {
        /// The pool.
        pool: PoolRef,
    },
    /// Creates or changes a guard.
    ApplyGuard {
        /// The guard.
        guard: GuardRef,
        /// Its labels.
        labels: Labels,
        /// What it is.
        spec: GuardSpec,
        /// The version that the caller read; `Some(0)` means that it must not exist.
        if_version: Option<u64>,
    },
    /// Deletes a guard: what it covers is guarded no more.
    DeleteGuard {
        /// The guard.
        guard: GuardRef,
    },
    /// Makes a join token. The caller of the model holds the secret; only its digest comes here.
    CreateJoinToken {
        /// SHA-256 of the secret.
        token: Digest,
        /// The node that may use it, or any.
        node: Option<NodeName>,
        /// What it grants.
        grants: Vec<PoolGrant>,
        /// How long it may be used, in seconds.
        ttl_secs: u64,
    },
    /// Creates an actor, suspended.
    CreateActor {
        /// Its class.
        class: ClassRef,
        /// A proposed id; generated if missing.
        id: Option<ActorId>,
        /// Its labels.
        labels: Labels,
    },
    /// Creates an actor, suspended, and says where it comes from.
    SpawnActor {
        /// Its class.
        class: ClassRef,
        /// A proposed id; generated if missing.
        id: Option<ActorId>,
        /// Its labels.
        labels: Labels,
        /// Where from. Of a child only the parent is said: it acts for whom its parent acts.
        lineage: Lineage,
    },
    /// Delegates something.
    GrantDelegation {
        /// Who delegates.
        by: Grantor,
        /// To whom.
        to: Grantee,
        /// What, when and how often.
        offer: Offer,
    },
    /// Makes a delegation narrower.
    NarrowDelegation {
        /// Which.
        delegation: DelegationId,
        /// Whose it must be; anybody's if missing.
        of: Option<Grantor>,
        /// What it is from now on.
        terms: Terms,
    },
    /// Revokes a delegation.
    RevokeDelegation {
        /// Which.
        delegation: DelegationId,
        /// Whose it must be; anybody's if missing.
        of: Option<Grantor>,
        /// Why.
        reason: Option<String>,
    },
    /// Records what was decided together and uses what is counted: all of it, or nothing if something is used up.
    Use {
        /// What came of each decision.
        uses: Vec<Use>,
    },
    /// Records what a node decided about its own actors.
    RecordDecisions {
        /// The node.
        node: NodeName,
        /// What it decided.
        decided: Vec<Decided>,
    },
    /// Admits an actor and binds it, or puts it into the queue.
    ResumeActor {
        /// The actor.
        actor: ActorRef,
        /// The worker that an external scheduler picked.
        worker: Option<WorkerRef>,
        /// How long it may wait for a worker, in milliseconds; 0 refuses instead of waiting.
        wait_ms: Option<u64>,
    },
    /// Ends an actor's binding and keeps its state; or takes it out of the queue.
    SuspendActor {
        /// The actor.
        actor: ActorRef,
    },
    /// Ends an actor for ever.
    TerminateActor {
        /// The actor.
        actor: ActorRef,
        /// Why.
        reason: Option<String>,
    },
    /// Revokes an actor and keeps the evidence.
    QuarantineActor {
        /// The actor.
        actor: ActorRef,
        /// Why.
        reason: Option<String>,
    },
    /// Removes the record of an actor that is terminated, or suspended (then it is terminated first).
    DeleteActor {
        /// The actor.
        actor: ActorRef,
    },
    /// Lets a worker take no further actor and moves its present one away.
    DrainWorker {
        /// The worker.
        worker: WorkerRef,
    },
    /// Removes a node that holds no binding.
    DeleteNode {
        /// The node.
        node: NodeName,
    },
    /// A node proves its origin with a join token.
    AttestNode {
        /// The node.
        node: NodeName,
        /// SHA-256 of the token's secret.
        token: Digest,
        /// SHA-256 of the SubjectPublicKeyInfo whose possession it proved.
        key: Digest,
    },
    /// A node asks for a new SVID of its own.
    RenewNode {
        /// The node.
        node: NodeName,
        /// SHA-256 of the new SubjectPublicKeyInfo.
        key: Digest,
    },
    /// A node opens its stream.
    AttachNode {
        /// The node.
        node: NodeName,
        /// Its slots.
        workers: Vec<WorkerRef>,
        /// The bindings that it still holds.
        held: Vec<Held>,
    },
    /// What a node says on its stream.
    Report {
        /// The node.
        node: NodeName,
        /// Number of the stream.
        session: u64,
        /// What it says.
        report: Report,
    },
    /// The control plane was restored, or somebody has seen what it does not know.
    Hold {
        /// Why.
        cause: HoldCause,
    },
    /// An operator lets the control plane go on.
    Release {
        /// Why.
        reason: Option<String>,
    },
    /// Time passes: leases, queues and tokens may be over.
    Expire,
    /// Binds the first waiting actor for which a worker is free.
    Schedule,
}

/// What comes of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Use {
    /// The actor that it is about.
    pub actor: ActorRef,
    /// The decision, if it is to be recorded.
    pub decided: Option<Box<Decided>>,
    /// Delegations of which a use is taken.
    pub delegations: Vec<DelegationId>,
    /// Budgets, and how much of each is not to be exceeded.
    pub budgets: Vec<Take>,
}

/// What is to be taken from a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Take {
    /// What is taken.
    pub taken: Taken,
    /// How much there is in a period, in ten-thousandths.
    pub most: i64,
}

/// A binding that a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The binding.
    pub binding: BindingId,
    /// Its epoch.
    pub epoch: Epoch,
}

/// What a node says on its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Report {
    /// It is there.
    Heartbeat,
    /// The stream is over.
    Detached,
    /// It is about to end and takes nothing on any more: its workers are drained.
    Leaving,
    /// It holds these keys; the server has checked the proofs of possession.
    KeysOffered(Vec<Digest>),
    /// It and all its endpoints hold the bundle of this sequence.
    BundleHeld {
        /// The sequence.
        sequence: u64,
        /// Whether nothing that a tainted authority signed is left with it.
        reissued: bool,
    },
    /// The actor runs and its identity is served.
    Running(Held),
    /// The binding is over on the node: processes, sockets and keys are gone.
    Ended {
        /// The binding.
        held: Held,
        /// How it ended.
        outcome: Outcome,
        /// Archive of the actor's state, stored at the server.
        archive: Option<Digest>,
    },
    /// A new X.509-SVID is needed.
    RenewX509 {
        /// The binding.
        held: Held,
        /// SHA-256 of the SubjectPublicKeyInfo whose possession it proved.
        key: Digest,
    },
    /// A JWT-SVID is needed.
    MintJwt {
        /// The binding.
        held: Held,
        /// Its audience.
        audience: Vec<String>,
    },
    /// A process tree asks to be bound straight to an actor.
    BindProcess {
        /// The class.
        class: ClassRef,
        /// The actor; created if it does not exist or if missing.
        actor: Option<ActorId>,
    },
}

/// What a command answers. Recorded with the idempotency key, so a retry gets the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(map)]
pub enum Answer {
    /// Done; nothing more to say.
    #[n(0)]
    Done {},
    /// A class or pool as it is now.
    #[n(1)]
    Applied {
        /// Its version.
        #[n(0)]
        version: u64,
        /// Number of the newest revision; 0 for a pool.
        #[n(1)]
        revision: u32,
        /// Whether the command changed anything.
        #[n(2)]
        changed: bool,
    },
    /// An actor as it is now.
    #[n(2)]
    Actor {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// Its state.
        #[n(1)]
        state: ActorState,
        /// Its epoch.
        #[n(2)]
        epoch: Epoch,
        /// Its binding.
        #[n(3)]
        binding: Option<BindingId>,
        /// Whether it waits for a worker.
        #[n(4)]
        waiting: bool,
    },
    /// A join token was made.
    #[n(3)]
    JoinToken {
        /// When it ends.
        #[n(0)]
        expires_at: Timestamp,
    },
    /// A node was attached.
    #[n(4)]
    Attached {
        /// Number of the stream.
        #[n(0)]
        session: u64,
        /// What the node must end, because the registry says so.
        #[n(1)]
        unbind: Vec<Unbind>,
    },
    /// A delegation as it is now.
    #[n(6)]
    Delegation {
        /// Its id.
        #[n(0)]
        delegation: DelegationId,
        /// Whether the command changed anything.
        #[n(1)]
        changed: bool,
    },
    /// An authority as it is now.
    #[n(5)]
    Authority {
        /// Its id.
        #[n(0)]
        authority: Digest,
        /// Where it is in its life.
        #[n(1)]
        state: AuthorityState,
        /// Whether the command changed anything.
        #[n(2)]
        changed: bool,
    },
}

/// An order to a node to end a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[cbor(array)]
pub struct Unbind {
    /// The binding.
    #[n(0)]
    pub binding: BindingId,
    /// How.
    #[n(1)]
    pub mode: UnbindMode,
}
