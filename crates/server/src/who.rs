//! The five sorts of callers that rows of the authorization table tell apart.

use std::fmt;

/// Who may call a row. Nobody is two of these by being one of them, but for administrators, who may do what workloads and
/// users may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anyone who can reach the listener, without a client certificate.
    Anyone,
    /// A workload whose actor is live, in its live epoch; and administrators.
    Workload,
    /// A user of a configured identity provider, by its token, for what is its own; and administrators.
    User,
    /// A registered node, with its present key.
    Node,
    /// An administrator: through the admin socket, or by SPIFFE ID.
    Admin,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Anyone => "anyone",
            Self::Workload => "live workloads",
            Self::User => "users",
            Self::Node => "nodes",
            Self::Admin => "administrators",
        })
    }
}
