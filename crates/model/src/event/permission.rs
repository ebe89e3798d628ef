//! What happened to what actors may do.

use crate::budget::Taken;
use crate::decided::Decided;
use crate::delegation::{Delegation, Terms};
use crate::guard::GuardSpec;
use crate::id::{ActorRef, ClassRef, DelegationId, GuardRef};
use crate::label::Labels;
use crate::lineage::Lineage;
use crate::permission::Permission;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change of permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cbor(map)]
pub enum PermissionEvent {
    /// A revision permits more than the last one that has consent, and waits for its own.
    #[n(0)]
    ConsentWanted {
        /// The class.
        #[n(0)]
        class: ClassRef,
        /// The revision.
        #[n(1)]
        revision: u32,
    },
    /// An administrator consented to what a revision permits.
    #[n(1)]
    RevisionConsented {
        /// The class.
        #[n(0)]
        class: ClassRef,
        /// The revision.
        #[n(1)]
        revision: u32,
        /// To these only, of what it permits; to all of it if empty.
        #[n(2)]
        only: Vec<Permission>,
    },
    /// An administrator took a consent back.
    #[n(2)]
    ConsentWithdrawn {
        /// The class.
        #[n(0)]
        class: ClassRef,
        /// The revision.
        #[n(1)]
        revision: u32,
    },
    /// Where an actor comes from that was created just before.
    #[n(3)]
    ActorDescends {
        /// The actor.
        #[n(0)]
        actor: ActorRef,
        /// Where from.
        #[n(1)]
        lineage: Lineage,
    },
    /// Something was delegated.
    #[n(4)]
    DelegationGranted {
        /// All of it.
        #[n(0)]
        delegation: Delegation,
    },
    /// A delegation became narrower.
    #[n(5)]
    DelegationNarrowed {
        /// Which.
        #[n(0)]
        delegation: DelegationId,
        /// What it is now.
        #[n(1)]
        terms: Terms,
    },
    /// A delegation was revoked.
    #[n(6)]
    DelegationRevoked {
        /// Which.
        #[n(0)]
        delegation: DelegationId,
        /// Why, in words.
        #[n(1)]
        reason: Option<String>,
    },
    /// Something was used whose uses are counted.
    #[n(7)]
    Used {
        /// The actor that used it.
        #[n(0)]
        actor: ActorRef,
        /// Delegations that were used once more.
        #[n(1)]
        delegations: Vec<DelegationId>,
        /// Budgets and what was taken from them.
        #[n(2)]
        budgets: Vec<Taken>,
    },
    /// Delegations and budgets that are over long since are remembered no more.
    #[n(8)]
    DelegationsForgotten {
        /// Which.
        #[n(0)]
        delegations: Vec<DelegationId>,
    },
    /// A question was decided.
    #[n(9)]
    Decided {
        /// The decision.
        #[n(0)]
        decided: Box<Decided>,
    },
    /// A guard was created or changed.
    #[n(10)]
    GuardApplied {
        /// The guard.
        #[n(0)]
        guard: GuardRef,
        /// Its labels.
        #[n(1)]
        labels: Labels,
        /// What it is.
        #[n(2)]
        spec: Box<GuardSpec>,
    },
    /// A guard was deleted: what it covered is guarded no more.
    #[n(11)]
    GuardDeleted {
        /// The guard.
        #[n(0)]
        guard: GuardRef,
    },
}
