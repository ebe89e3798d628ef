//! JWT-SVIDs: compact JWS and nothing else (JWT-SVID §1), written in one way and read strictly.
//!
//! What is refused before any signature is looked at: more than three parts, padding, a header member beyond `alg`, `kid`
//! and `typ`, an algorithm outside the list, a member that appears twice. The algorithm of a token must be the one of the
//! key that it names; nothing in a token ever points to a key outside the bundle (threat T12).
//!
//! Ed25519 is not here: JWT-SVID §2.1 has no EdDSA, so a trust domain with Ed25519 certificates signs its tokens with ES256.

mod error;
mod parse;
mod verify;

pub use error::VerifyError;
pub use parse::{Inspected, inspect};
pub use verify::{VerifiedJwtSvid, verify, verify_in};

use crate::key::JwtAlgorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_model::order::Claims;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use serde::Serialize;
use thiserror::Error;

/// Longest token that is read, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most audiences in one token.
pub const AUDIENCES_MAX: usize = 16;
/// Longest audience, in bytes.
pub const AUDIENCE_BYTES_MAX: usize = 2048;
/// Room for an ordinary token, in bytes.
const TOKEN_BYTES_USUAL: usize = 1024;
/// How far clocks may differ when `exp`, `nbf` and `iat` are checked, in seconds.
pub const LEEWAY_SECS: u64 = 10;

/// What a JWT-SVID shall say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// `sub`.
    pub subject: SpiffeId,
    /// `aud`: 1 to [`AUDIENCES_MAX`] values.
    pub audience: Vec<String>,
    /// `iat`; whole seconds count.
    pub issued_at: Timestamp,
    /// `exp`; whole seconds count.
    pub expires_at: Timestamp,
    /// `jti`: unique for every token.
    pub jwt_id: String,
    /// `credence`.
    pub claims: Option<Claims>,
}

/// Why a JWT-SVID could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The audience is empty, has too many values, or one that is empty or too long.
    #[error("jwt-svid: the audience needs 1 to {AUDIENCES_MAX} values of 1 to {AUDIENCE_BYTES_MAX} bytes")]
    Audience,
    /// The SPIFFE ID has no path.
    #[error("jwt-svid: {0} names a trust domain and not a workload")]
    Subject(SpiffeId),
    /// It would expire before it was issued.
    #[error("jwt-svid: its validity is empty")]
    Validity,
    /// Signing failed.
    #[error("jwt-svid: signing failed")]
    Sign,
}

impl EncodeError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Audience => Kind::Malformed,
            _ => Kind::Bug,
        }
    }
}

/// Checks what a caller asked for as `aud`, so that it can be refused before anything is ordered.
// SPEC: JWT-SVID §3.2 (J-06)
pub fn check_audience(audience: &[String]) -> Result<(), EncodeError> {
    let fits = |value: &String| (1..=AUDIENCE_BYTES_MAX).contains(&value.len());
    if (1..=AUDIENCES_MAX).contains(&audience.len()) && audience.iter().all(fits) {
        Ok(())
    } else {
        Err(EncodeError::Audience)
    }
}

/// Writes and signs a token. `sign` gets the bytes to sign and returns a signature in the form of RFC 7518 §3.4.
///
/// `aud` is always an array and `kid` always there: that is what the clients in use read.
// SPEC: JWT-SVID §2, §3, §5.1 (J-01 to J-07, J-11)
pub fn encode<E>(
    template: &Template,
    algorithm: JwtAlgorithm,
    key_id: &str,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, EncodeError> {
    check_audience(&template.audience)?;
    if template.subject.path().is_empty() {
        return Err(EncodeError::Subject(template.subject.clone()));
    }
    if template.issued_at.as_secs() >= template.expires_at.as_secs() {
        return Err(EncodeError::Validity);
    }
    let header = Header { alg: algorithm.as_str(), kid: key_id, typ: "JWT" };
    let payload = Payload {
        sub: &template.subject,
        aud: &template.audience,
        exp: template.expires_at.as_secs(),
        iat: template.issued_at.as_secs(),
        jti: &template.jwt_id,
        credence: template.claims.as_ref(),
    };
    let mut token = String::with_capacity(TOKEN_BYTES_USUAL);
    let mut json = Vec::with_capacity(TOKEN_BYTES_USUAL);
    serde_json::to_writer(&mut json, &header).map_err(|_| EncodeError::Sign)?;
    URL_SAFE_NO_PAD.encode_string(&json, &mut token);
    token.push('.');
    json.clear();
    serde_json::to_writer(&mut json, &payload).map_err(|_| EncodeError::Sign)?;
    URL_SAFE_NO_PAD.encode_string(&json, &mut token);
    let signature = sign(token.as_bytes()).map_err(|_| EncodeError::Sign)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

#[derive(Serialize)]
struct Header<'t> {
    alg: &'t str,
    kid: &'t str,
    typ: &'t str,
}

#[derive(Serialize)]
struct Payload<'t> {
    sub: &'t SpiffeId,
    aud: &'t [String],
    exp: u64,
    iat: u64,
    jti: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    credence: Option<&'t Claims>,
}

#[cfg(test)]
mod tests;
