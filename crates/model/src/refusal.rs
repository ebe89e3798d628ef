//! Refusals: a request that was understood and not granted, and why.

use crate::text::InvalidText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The short list of kinds that every error of Credence belongs to. One table per protocol maps it to status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request cannot be understood: a field is missing, unknown, of the wrong type or out of range.
    Malformed,
    /// The caller did not prove who it is.
    Unauthenticated,
    /// The caller is known and may not do this.
    Denied,
    /// The thing named does not exist.
    NotFound,
    /// The thing is in a state that does not allow it, or exists already, or a precondition failed.
    Conflict,
    /// The caller acts on an epoch, session or version that is over.
    Stale,
    /// The subject was revoked.
    Revoked,
    /// A named limit was reached.
    Limited,
    /// Not now; retrying later can succeed.
    Unavailable,
    /// Credence itself is wrong.
    Bug,
}

/// Why a command was not granted. Shown to people as one line; `field` and `hint` are there for programs too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub struct Refusal {
    /// What sort of error it is.
    pub kind: Kind,
    /// What was wrong and where: one sentence, safe to show, without a final period.
    pub message: String,
    /// The field that was wrong, as a path (`spec.models[2].model`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long to wait before trying again, in milliseconds; only with `unavailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal of this kind with this message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None, hint: None, retry_after_ms: None }
    }

    /// Names the field that was wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = self.field.as_ref().filter(|field| !self.message.contains(field.as_str())) {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, ". {hint}"))
    }
}

impl From<InvalidText> for Refusal {
    fn from(error: InvalidText) -> Self {
        Self::new(Kind::Malformed, error.to_string())
    }
}
