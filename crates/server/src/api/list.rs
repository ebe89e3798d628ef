//! Lists: in pages, ordered by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most items in one page.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// Items in a page if the caller does not say.
pub const PAGE_ITEMS_DEFAULT: usize = 100;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listed<T> {
    /// The items, ordered by namespace and name.
    pub items: Vec<T>,
    /// Pass it as `after` to read the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
