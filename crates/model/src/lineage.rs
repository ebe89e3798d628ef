//! Where an actor comes from: who spawned it, what it was copied from, and whom it acts for.
//!
//! INVARIANT: it is said once, when the actor is created, and never changes: nobody becomes another's actor later.

use crate::id::ActorRef;
use crate::user::User;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest id of a session, in bytes.
pub const SESSION_BYTES_MAX: usize = 128;

/// Where an actor comes from. Most come from nowhere and have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[cbor(map)]
pub struct Lineage {
    /// The actor that spawned it: it may do nothing that this one may not.
    #[n(0)]
    pub parent: Option<ActorRef>,
    /// The actor that it is a copy of. It has nothing of what that one was delegated.
    #[n(1)]
    pub forked_from: Option<ActorRef>,
    /// The user whom it acts for.
    #[n(2)]
    pub user: Option<User>,
    /// The session of that user in which it acts.
    #[n(3)]
    pub session: Option<String>,
    /// How many ancestors it has.
    #[n(4)]
    pub depth: u32,
}
