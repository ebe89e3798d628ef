//! One thing that somebody asks for in the words of a permission: `tool expenses/submit`, `read report/2026/11`.

use super::Permission;
use super::target::{Name, Resource, Target};
use crate::text::InvalidText;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// An action on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// What is done.
    pub action: Name,
    /// To what.
    pub resource: Resource,
}

impl FromStr for Deed {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |why: &str| InvalidText::new("question", text, why);
        let Permission { target, when, with } = Permission::parse(text)?;
        if !when.is_empty() || !with.is_empty() {
            return Err(invalid("it has neither conditions nor obligations; what a request says is its context"));
        }
        let action = target.action.ok_or_else(|| invalid("`*` is no action; name one"))?;
        Ok(Self { action, resource: Resource::new(target.kind, target.id.as_str())? })
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Target::exactly(self.action.clone(), &self.resource).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Deed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
