//! Permissions: what may be done, to what, under which conditions and with which duties, as one line that a person reads and
//! a program compares.
//!
//! ```text
//! tool expenses/submit when amount <= 500 EUR with step-up
//! model anthropic/*            egress *.example.org            spawn finance/receipt-reader
//! read report/** when label team = finance and time >= 08:00 and time < 18:00
//! ```
//!
//! INVARIANT: a permission has one canonical text. What a permission says less, it does not forbid: a condition or a duty
//! that is missing never makes it narrower, so [`Permission::contains`] asks for every one of them.

pub(crate) mod check;
pub mod condition;
mod contain;
pub mod decimal;
pub mod deed;
pub mod detail;
pub mod obligation;
pub mod question;
pub mod resources;
pub mod target;
mod text;

use crate::permission::condition::Condition;
use crate::permission::obligation::Obligation;
use crate::permission::target::Target;
use crate::text::InvalidText;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Longest text of a permission, in bytes.
pub const PERMISSION_BYTES_MAX: usize = 1024;
/// Most conditions of a permission, and most words that one of them lists.
pub const CONDITIONS_MAX: usize = 32;

/// One thing that may be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// What, to what.
    pub target: Target,
    /// When: all of them hold. At most one about each attribute, in order.
    pub when: Vec<Condition>,
    /// With which duties, in order.
    pub with: Vec<Obligation>,
}

impl Permission {
    /// Reads a permission.
    ///
    /// # Errors
    /// What was expected instead, and at which column.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        text::parse(text).map_err(|(column, why)| {
            InvalidText::new("permission", text, if column == 0 { why } else { format!("{why}, at column {column}") })
        })
    }
}

impl FromStr for Permission {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)?;
        for (nth, condition) in self.when.iter().enumerate() {
            write!(f, " {} {condition}", if nth == 0 { "when" } else { "and" })?;
        }
        for (nth, obligation) in self.with.iter().enumerate() {
            write!(f, "{} {obligation}", if nth == 0 { " with" } else { "," })?;
        }
        Ok(())
    }
}

impl Serialize for Permission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl<C> minicbor::Encode<C> for Permission {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.to_string())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Permission {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::parse(d.str()?).map_err(minicbor::decode::Error::message)
    }
}

impl schemars::JsonSchema for Permission {
    fn schema_name() -> Cow<'static, str> {
        "Permission".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let description =
            "WHAT [when CONDITION [and CONDITION]...] [with OBLIGATION[, OBLIGATION]...]; see docs/permissions.md";
        schemars::json_schema!({ "type": "string", "maxLength": PERMISSION_BYTES_MAX, "description": description })
    }
}
