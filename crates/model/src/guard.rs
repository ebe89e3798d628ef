//! Guards: what the owner of resources says that agents may do to them. A layer of every decision about these resources: it
//! denies on its own, and nothing that a class, a user or an administrator's consent says opens it.
//!
//! INVARIANT: guards on one resource all count. Another guard never lifts what the first one denies, so nobody takes a resource
//! over by naming it, too.

use crate::class::{DESCRIPTION_BYTES_MAX, LINE_BYTES_MAX};
use crate::id::GuardRef;
use crate::label::Labels;
use crate::permission::Permission;
use crate::permission::check::{check_allow, check_forbid};
use crate::permission::resources::Resources;
use crate::refusal::{Kind, Refusal};
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most guards of a trust domain: each node may hold all of them.
pub const GUARDS_MAX: usize = 1_000;
/// Most guards that cover one resource, and that a decision has to look at.
pub const OVERLAPPING_MAX: usize = 32;
/// Most lines in `allow`, and in `forbid`.
pub const LINES_MAX: usize = 64;
/// Longest text of all lines of a guard, in bytes.
pub const LINES_BYTES_MAX: usize = 16 * 1024;

/// What a guard is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[cbor(map)]
pub struct GuardSpec {
    /// Who answers for the resources, and could allow more: an address or a team.
    #[n(0)]
    pub owner: String,
    /// What it is for.
    #[n(1)]
    #[serde(default)]
    pub description: String,
    /// Which resources, as `KIND/NAME`.
    #[n(2)]
    pub resource: Resources,
    /// What agents may do to them; everything else is denied.
    #[n(3)]
    #[serde(default)]
    pub allow: Vec<Permission>,
    /// What is denied although it is allowed. What a request does not say is held against it.
    #[n(4)]
    #[serde(default)]
    pub forbid: Vec<Permission>,
}

/// A guard in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Its namespace and name.
    pub guard: GuardRef,
    /// Its labels.
    pub labels: Labels,
    /// What it is.
    pub spec: GuardSpec,
    /// Index of the journal entry that changed it last.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

impl GuardSpec {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// What is wrong, and in which field.
    pub fn validate(&self) -> Result<(), Refusal> {
        let wrong = |field: &str, message: String| Refusal::new(Kind::Malformed, message).field(field);
        if self.owner.trim().is_empty() {
            let refusal = wrong("spec.owner", "every guard has an owner".into());
            return Err(refusal.hint("Name who answers for the resources, e.g. expenses@example.org"));
        }
        if self.owner.len() > LINE_BYTES_MAX || self.owner.chars().any(char::is_control) {
            return Err(wrong("spec.owner", format!("it is one line of at most {LINE_BYTES_MAX} bytes")));
        }
        if self.description.len() > DESCRIPTION_BYTES_MAX {
            return Err(wrong("spec.description", format!("longer than {DESCRIPTION_BYTES_MAX} bytes")));
        }
        for (field, lines) in [("spec.allow", &self.allow), ("spec.forbid", &self.forbid)] {
            if lines.len() > LINES_MAX {
                return Err(wrong(field, format!("more than {LINES_MAX} lines")));
            }
            // A line that says more than is guarded reads as if it did more than it does.
            if let Some(nth) = lines.iter().position(|line| !self.resource.contain(&line.target)) {
                let refusal = wrong(&format!("{field}[{nth}]"), format!("it reaches beyond {}", self.resource));
                return Err(refusal.hint("Name only what the guard covers"));
            }
        }
        let bytes: usize = self.allow.iter().chain(&self.forbid).map(|line| line.to_string().len()).sum();
        if bytes > LINES_BYTES_MAX {
            return Err(wrong("spec.allow", format!("all lines together are longer than {LINES_BYTES_MAX} bytes")));
        }
        check_allow("spec.allow", &self.allow)?;
        check_forbid("spec.forbid", &self.forbid)
    }
}
