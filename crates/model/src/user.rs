//! Users: people who have agents act for them, as whoever authenticated them names them.

use crate::refusal::{Kind, Refusal};
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest name of an issuer, in bytes.
pub const ISSUER_BYTES_MAX: usize = 512;
/// Longest name of a user at an issuer, in bytes (OpenID Connect Core §2, `sub`).
pub const SUBJECT_BYTES_MAX: usize = 255;

/// A user. INVARIANT: the same subject of another issuer is somebody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Who authenticated it: the issuer of an OpenID provider, or of an X.509-SVID the trust domain.
    #[n(0)]
    pub issuer: String,
    /// Who it is there.
    #[n(1)]
    pub subject: String,
}

impl User {
    /// Checks what the types cannot say; `field` is where it stands in the request.
    ///
    /// # Errors
    /// If a name is empty, too long, or has control characters.
    pub fn validate(&self, field: &str) -> Result<(), Refusal> {
        for (name, text, most) in
            [("issuer", &self.issuer, ISSUER_BYTES_MAX), ("subject", &self.subject, SUBJECT_BYTES_MAX)]
        {
            if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
                let message = format!("it is one line of 1 to {most} bytes");
                return Err(Refusal::new(Kind::Malformed, message).field(format!("{field}.{name}")));
            }
        }
        Ok(())
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)
    }
}
