//! What the instances of a class may do: its ceiling. Nothing that a user, a parent or a request adds goes beyond it.

use super::{LIST_ITEMS_MAX, check_range, malformed};
use crate::permission::Permission;
use crate::permission::check::{check_allow, check_forbid};
use crate::permission::condition::Attribute;
use crate::refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest text of a class's Cedar policies, in bytes.
pub const CEDAR_BYTES_MAX: usize = 64 * 1024;
/// Longest life of a delegation to a class or to one of its actors, in seconds.
pub const DELEGATION_SECS_MAX: u64 = 90 * 86_400;
/// Longest chain of actors that begins with an actor, itself not counted.
pub const DEPTH_MAX: u32 = 16;
/// Most children of one actor that have not ended.
pub const CHILDREN_MAX: u32 = 10_000;

/// What the instances of a class may do, and on which conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Permissions {
    /// What is allowed; everything else is denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Permission>,
    /// What is denied although it is allowed. What a request does not say is held against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbid: Vec<Permission>,
    /// Policies in Cedar, for what the short form cannot say. They add to both lists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cedar: String,
    /// Types of the attributes of a request that the Cedar policies look at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeType>,
    /// Whom an instance acts for.
    #[serde(skip_serializing_if = "is_default")]
    pub delegation: DelegationTerms,
    /// What it may spawn.
    #[serde(skip_serializing_if = "is_default")]
    pub spawn: SpawnTerms,
    /// Which decisions are recorded; denials always are.
    #[serde(skip_serializing_if = "is_default")]
    pub record: Record,
}

/// The type of an attribute of a request, for Cedar policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AttributeType {
    /// A whole number: Cedar's `Long`.
    Integer,
    /// A number with at most four digits behind the point: Cedar's `decimal`.
    Decimal,
    /// Text: Cedar's `String`.
    String,
    /// True or false: Cedar's `Bool`.
    Boolean,
    /// A list of texts, without order: Cedar's `Set<String>`.
    Strings,
}

/// Whom the instances of a class act for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DelegationTerms {
    /// Whether an instance may do anything only as far as its user delegated it.
    pub required: bool,
    /// Longest life of a delegation, in seconds (60 to 7,776,000).
    pub max_secs: u64,
}

impl Default for DelegationTerms {
    fn default() -> Self {
        Self { required: false, max_secs: 86_400 }
    }
}

/// What the instances of a class may spawn. Of which classes is said by `allow: spawn NAMESPACE/CLASS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SpawnTerms {
    /// Longest chain of actors below an instance (0 to 16).
    pub max_depth: u32,
    /// Most children of an instance that have not ended (0 to 10,000).
    pub max_children: u32,
}

impl Default for SpawnTerms {
    fn default() -> Self {
        Self { max_depth: 1, max_children: 8 }
    }
}

/// Which decisions are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// One of so many that allow something; each if 1 (1 to 1,000,000).
    pub allowed_one_in: u32,
}

impl Default for Record {
    fn default() -> Self {
        Self { allowed_one_in: 1 }
    }
}

impl Permissions {
    /// Whether nothing is said of permissions.
    pub fn is_default(&self) -> bool {
        is_default(self)
    }

    /// Whether an instance may do something that one of a class with `old` may not. What cannot be compared counts as wider.
    pub fn is_wider_than(&self, old: &Self) -> bool {
        let allows = self.allow.iter().any(|permission| !permission.is_within(&old.allow));
        let forbids_less = old.forbid.iter().any(|permission| !permission.is_within(&self.forbid));
        let cedar = self.cedar != old.cedar || (!self.cedar.is_empty() && self.attributes != old.attributes);
        let delegation = (old.delegation.required && !self.delegation.required)
            || self.delegation.max_secs > old.delegation.max_secs;
        let spawn = self.spawn.max_depth > old.spawn.max_depth || self.spawn.max_children > old.spawn.max_children;
        let says_something = !self.allow.is_empty() || !self.cedar.is_empty();
        // Without anything allowed the terms are about nothing.
        allows || cedar || (says_something && (forbids_less || delegation || spawn))
    }

    /// Checks what the types cannot say. Whether the Cedar policies are any is for who evaluates them.
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        for (field, count) in
            [("allow", self.allow.len()), ("forbid", self.forbid.len()), ("attributes", self.attributes.len())]
        {
            if count > LIST_ITEMS_MAX {
                return Err(malformed(
                    format!("spec.permissions.{field}"),
                    format!("more than {LIST_ITEMS_MAX} items"),
                ));
            }
        }
        check_allow("spec.permissions.allow", &self.allow)?;
        check_forbid("spec.permissions.forbid", &self.forbid)?;
        if self.cedar.len() > CEDAR_BYTES_MAX {
            return Err(malformed("spec.permissions.cedar", format!("longer than {CEDAR_BYTES_MAX} bytes")));
        }
        if let Some(name) = self.attributes.keys().find(|name| !is_attribute(name)) {
            let field = format!("spec.permissions.attributes.{}", name.escape_debug());
            return Err(malformed(
                field,
                "an attribute is a name of letters, digits, _ and -, and not `time` or `day`",
            ));
        }
        check_range("spec.permissions.delegation.maxSecs", self.delegation.max_secs, 60, DELEGATION_SECS_MAX)?;
        check_range("spec.permissions.spawn.maxDepth", self.spawn.max_depth.into(), 0, DEPTH_MAX.into())?;
        check_range("spec.permissions.spawn.maxChildren", self.spawn.max_children.into(), 0, CHILDREN_MAX.into())?;
        check_range("spec.permissions.record.allowedOneIn", self.record.allowed_one_in.into(), 1, 1_000_000)
    }
}

fn is_attribute(name: &str) -> bool {
    matches!(Attribute::parse(name), Some(Attribute::Context(path)) if !path.contains('.'))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
