//! Who asked: recorded with every entry of the journal.

use crate::id::NodeName;
use crate::spiffe_id::SpiffeId;
use crate::user::User;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The authenticated origin of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// Credence itself: expiry, scheduling, start.
    #[n(0)]
    System,
    /// Somebody on the server's machine, through the admin socket.
    #[n(1)]
    Local {
        /// User id, from the socket's peer credentials.
        #[n(0)]
        uid: u32,
    },
    /// A workload or person with an X.509-SVID.
    #[n(2)]
    Svid {
        /// The verified SPIFFE ID.
        #[n(0)]
        id: SpiffeId,
    },
    /// A node, through its stream or its attestation.
    #[n(3)]
    Node {
        /// The node.
        #[n(0)]
        name: NodeName,
    },
    /// A user of an identity provider, by a token that was verified.
    #[n(4)]
    User {
        /// Who.
        #[n(0)]
        user: User,
    },
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("credence"),
            Self::Local { uid } => write!(f, "the local administrator (uid {uid})"),
            Self::Svid { id } => write!(f, "{id}"),
            Self::Node { name } => write!(f, "node {name}"),
            Self::User { user } => write!(f, "{user}"),
        }
    }
}
