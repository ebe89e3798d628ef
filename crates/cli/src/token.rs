//! Tokens: held so that nothing prints them, and gone from memory with who held them.

use crate::failure::Failure;
use crate::pem;
use credence_credential::openid::TOKEN_BYTES_MAX;
use credence_model::refusal::Kind;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// A token; nothing prints it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The token in a file, where whoever runs this program laid it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = pem::read_text(path, TOKEN_BYTES_MAX)?;
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::new(Kind::Malformed, format!("{} does not hold one token", path.display())));
        }
        Ok(Self::new(text))
    }

    /// The token itself, for the one request that it is shown with.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// Only into the file that holds a login.
impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}
