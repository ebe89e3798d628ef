//! What happened to what actors may do.

use crate::id::ClassRef;
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
}
