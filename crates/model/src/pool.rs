//! Pools of workers, and which namespaces may use them.

use crate::id::{Namespace, PoolRef};
use crate::label::Labels;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a pool is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[cbor(map)]
pub struct PoolSpec {
    /// What it is for.
    #[n(0)]
    pub description: String,
    /// Other namespaces whose actors may use it; a pool always serves its own.
    #[n(1)]
    pub share_with: Vec<Namespace>,
    /// Whether every namespace may use it.
    #[n(2)]
    pub share_with_all: bool,
    /// Whether nodes of this pool may bind an actor straight to a process tree (`credence run`).
    #[n(3)]
    pub direct: bool,
}

/// Most namespaces in `shareWith`.
pub const SHARE_WITH_MAX: usize = 256;

/// A pool in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its namespace and name.
    pub pool: PoolRef,
    /// Labels that class selectors match.
    pub labels: Labels,
    /// What it is.
    pub spec: PoolSpec,
    /// Index of the journal entry that changed it last.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Pool {
    /// Whether actors of `namespace` may use it.
    pub fn serves(&self, namespace: &Namespace) -> bool {
        self.spec.share_with_all || self.pool.namespace == *namespace || self.spec.share_with.contains(namespace)
    }
}
