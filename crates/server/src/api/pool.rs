//! Pools.

use credence_model::id::{Namespace, PoolName};
use credence_model::label::Labels;
use credence_model::pool::PoolSpec;
use credence_model::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pool as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: PoolName,
    /// Labels that class selectors match.
    pub labels: Labels,
    /// Index of the journal entry that changed it last.
    pub version: u64,
    /// What it is.
    pub spec: PoolSpec,
    /// How many workers it has.
    pub workers: u64,
    /// How many of them can take an actor now.
    pub workers_idle: u64,
    /// When it was created.
    pub created_at: Timestamp,
}
