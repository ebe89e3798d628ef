//! The log: every recorded entry, in order.

use credence_model::event::Entry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest time that a read waits for a new entry, in milliseconds.
pub const LOG_WAIT_MS_MAX: u64 = 60_000;

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPage {
    /// The entries, in order.
    pub items: Vec<Entry>,
    /// Pass it as `from` to read on.
    pub next: u64,
}
