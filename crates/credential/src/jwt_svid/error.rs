//! Why a JWT-SVID is not believed.

use crate::jwt_svid::TOKEN_BYTES_MAX;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use thiserror::Error;

/// Why a presented JWT-SVID is not believed. The token is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Larger than [`TOKEN_BYTES_MAX`].
    #[error("jwt-svid: the token has {0} bytes; at most {TOKEN_BYTES_MAX} are read")]
    TooLarge(usize),
    /// A part is not base64url without padding, or not a JSON object, or a member appears twice in it.
    #[error("jwt-svid: its {0} cannot be read")]
    Malformed(&'static str),
    /// The header has something that it may not have, or lacks what it needs.
    #[error("jwt-svid: its header has {0}")]
    Header(&'static str),
    /// The algorithm is not on the list.
    #[error("jwt-svid: its alg is not accepted; use ES256 or ES384")]
    Algorithm,
    /// A claim is absent or not of its type.
    #[error("jwt-svid: its claim {0} is absent or not of the right type")]
    Claim(&'static str),
    /// No bundle is held for the trust domain of the subject, or it is not the one that was asked for.
    #[error("jwt-svid: no bundle is held for the trust domain {0}")]
    NoBundle(TrustDomain),
    /// The bundle has no key of that id.
    #[error("jwt-svid: the bundle of {0} has no key with its kid")]
    UnknownKey(TrustDomain),
    /// The algorithm is not the one of the key.
    #[error("jwt-svid: its alg is not the one of the key that it names")]
    OtherAlgorithm,
    /// The signature is wrong.
    #[error("jwt-svid: its signature does not match")]
    Signature,
    /// It is for somebody else.
    #[error("jwt-svid: its audience does not hold `{0}`")]
    Audience(String),
    /// It is not valid yet.
    #[error("jwt-svid: it is not valid yet; check the clocks")]
    NotYetValid,
    /// It is not valid any more.
    #[error("jwt-svid: it expired (at {} seconds since the epoch); fetch a new one", .0.as_secs())]
    Expired(Timestamp),
}

impl VerifyError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooLarge(_) => Kind::Limited,
            _ => Kind::Unauthenticated,
        }
    }
}
