//! Labels on objects, and selectors over them.

use crate::refusal::{Kind, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels of an object: short words for people and selectors.
pub type Labels = BTreeMap<String, String>;

/// Most labels on one object.
pub const LABELS_MAX: usize = 64;
/// Longest key or value of a label, in bytes.
pub const LABEL_TEXT_BYTES_MAX: usize = 128;

/// Which objects are meant: those that carry all of these labels. An empty selector means every object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Selector {
    /// Labels that must be there with exactly these values.
    pub match_labels: Labels,
}

impl Selector {
    /// Whether an object with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// Checks labels against the limits; `field` is where they stand in the request.
pub fn check_labels(field: &str, labels: &Labels) -> Result<(), Refusal> {
    let legal = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    if labels.len() > LABELS_MAX {
        return Err(Refusal::new(Kind::Malformed, format!("more than {LABELS_MAX} labels")).field(field));
    }
    for (key, value) in labels {
        if key.is_empty()
            || key.len() > LABEL_TEXT_BYTES_MAX
            || value.len() > LABEL_TEXT_BYTES_MAX
            || !legal(key)
            || !legal(value)
        {
            let why = "keys and values are at most 128 letters, digits, '-', '_', '.' or '/', and a key is not empty";
            return Err(Refusal::new(Kind::Malformed, why).field(format!("{field}.{}", key.escape_debug())));
        }
    }
    Ok(())
}
