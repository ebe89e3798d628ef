//! Objects that are applied: metadata and a spec.

use credence_model::label::Labels;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A class or pool as it is put. `apiVersion` and `kind` stand in the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectBody<S> {
    /// Its name and labels.
    pub metadata: Metadata,
    /// What it is.
    pub spec: S,
}

/// Name and labels of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its namespace; must be the one of the path.
    pub namespace: String,
    /// Its name; must be the one of the path.
    pub name: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The version that the caller read: the request is refused if the object changed since. 0 means that it must not
    /// exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// What came of an apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The object's version now.
    pub version: u64,
    /// Number of its newest revision; 0 for a pool.
    pub revision: u32,
    /// Whether anything changed.
    pub changed: bool,
}

/// Done; nothing more to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}
