//! Classes.

use credence_model::caller::Caller;
use credence_model::class::ClassSpec;
use credence_model::id::{ClassName, Digest, Namespace};
use credence_model::label::Labels;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A class as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClassView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ClassName,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// Its labels.
    pub labels: Labels,
    /// Index of the journal entry that changed it last.
    pub version: u64,
    /// Whether its actors may be bound.
    pub enabled: bool,
    /// Number of the newest revision.
    pub revision: u32,
    /// Number of the revision that a new binding runs; missing if none is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<u32>,
    /// All revisions, oldest first.
    pub revisions: Vec<RevisionView>,
    /// What the newest revision says.
    pub spec: ClassSpec,
    /// How many actors it has.
    pub actors: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A revision of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionView {
    /// Counted from 1.
    pub number: u32,
    /// SHA-256 of its canonical JSON.
    pub digest: Digest,
    /// Whether actors may be bound under it.
    pub allowed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Caller,
}

/// Which part of a class to enable or disable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnableBody {
    /// One revision; the whole class if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}
