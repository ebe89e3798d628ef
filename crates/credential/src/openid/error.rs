//! Why a provider's token is not believed.

use crate::openid::{TOKEN_BYTES_MAX, TOKEN_SECS_MAX};
use credence_model::refusal::Kind;
use credence_model::time::Timestamp;
use thiserror::Error;

/// Why a presented token is not believed. Nothing of the token is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Larger than [`TOKEN_BYTES_MAX`].
    #[error("the token has {0} bytes; at most {TOKEN_BYTES_MAX} are read")]
    TooLarge(usize),
    /// A part is not base64url without padding, or not a JSON object, or a member appears twice in it.
    #[error("the token's {0} cannot be read")]
    Malformed(&'static str),
    /// The header has something that it may not have, or lacks what it needs.
    #[error("the token's header has {0}")]
    Header(&'static str),
    /// The algorithm is not on the list.
    #[error("the token's alg is not accepted; have the provider sign with RS256, PS256, ES256, ES384 or EdDSA")]
    Algorithm,
    /// A claim is absent, or not of its type, or not what it has to be.
    #[error("the token's claim {0} is absent or not as it has to be")]
    Claim(String),
    /// The provider has no key of that id.
    #[error("the provider has no key with the token's kid")]
    UnknownKey,
    /// The algorithm is not the one of the key.
    #[error("the token's alg is not the one of the key that it names")]
    OtherAlgorithm,
    /// The signature is wrong.
    #[error("the token's signature does not match")]
    Signature,
    /// It is for somebody else, or for others, too.
    #[error("the token's audience is not `{0}` alone")]
    Audience(String),
    /// It is not valid yet.
    #[error("the token is not valid yet; check the clocks")]
    NotYetValid,
    /// It is not valid any more.
    #[error("the token expired (at {} seconds since the epoch)", .0.as_secs())]
    Expired(Timestamp),
    /// It is valid for longer than [`TOKEN_SECS_MAX`].
    #[error("the token is valid for longer than {TOKEN_SECS_MAX} s")]
    TooLong,
}

impl TokenError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooLarge(_) => Kind::Limited,
            _ => Kind::Unauthenticated,
        }
    }
}
