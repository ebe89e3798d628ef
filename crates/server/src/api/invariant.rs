//! The three invariants, checked over the registry and the whole journal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What came of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvariantsView {
    /// How many journal entries were checked.
    pub entries: u64,
    /// How many bindings they hold.
    pub bindings: u64,
    /// The invariants.
    pub items: Vec<InvariantView>,
}

/// One invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvariantView {
    /// Its name: `one to one`, `registry` or `continuity`.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// What breaks it, with the number of the journal entry; empty if it holds.
    pub broken: Vec<String>,
}
