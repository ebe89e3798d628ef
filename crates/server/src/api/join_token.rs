//! Join tokens: what lets a new node in, once.

use super::node::Grant;
use credence_model::id::NodeName;
use credence_model::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A join token is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenBody {
    /// The node that may use it; any if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// What it grants.
    pub pools: Vec<Grant>,
    /// How long it may be used, in seconds.
    pub ttl_secs: u64,
}

/// A join token. Whoever holds it can let one node in, so it is shown once and not stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinTokenCreated {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for JoinTokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinTokenCreated").field("token", &"redacted").field("expires_at", &self.expires_at).finish()
    }
}
