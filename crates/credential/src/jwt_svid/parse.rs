//! Reading a token apart, without believing it.

use crate::bundle::KEY_ID_BYTES_MAX;
use crate::jose::{self, Compact, Members, WrongType};
use crate::jwt_svid::error::VerifyError;
use crate::jwt_svid::{AUDIENCE_BYTES_MAX, AUDIENCES_MAX, TOKEN_BYTES_MAX};
use crate::key::JwtAlgorithm;
use credence_model::order::Claims;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value};

/// What a token says. Nothing here was verified.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspected {
    /// `alg`.
    pub algorithm: String,
    /// `kid`.
    pub key_id: String,
    /// `sub`.
    pub subject: SpiffeId,
    /// `aud`.
    pub audience: Vec<String>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `jti`.
    pub jwt_id: Option<String>,
    /// `credence`.
    pub claims: Option<Claims>,
    /// Every member of the payload, as it came.
    pub members: Map<String, Value>,
}

/// Reads a token and says what it says, without verifying anything.
pub fn inspect(token: &str) -> Result<Inspected, VerifyError> {
    Ok(Token::parse(token)?.inspected)
}

/// A token taken apart, ready for its signature to be checked.
pub(super) struct Token<'t> {
    pub(super) algorithm: JwtAlgorithm,
    pub(super) inspected: Inspected,
    /// Header, dot and payload as they came.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

impl<'t> Token<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, VerifyError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(VerifyError::TooLarge(token.len()));
        }
        let Compact { header, payload: members, signed, signature } =
            Compact::parse(token).map_err(VerifyError::Malformed)?;
        let (algorithm, key_id) = read_header(&header)?;
        let inspected = Inspected {
            algorithm: algorithm.as_str().to_owned(),
            key_id,
            subject: subject(&members)?,
            audience: audience(&members)?,
            expires_at: date(&members, "exp")?.ok_or(VerifyError::Claim("exp"))?,
            issued_at: date(&members, "iat")?,
            not_before: date(&members, "nbf")?,
            jwt_id: text(&members, "jti")?,
            claims: claims(&members)?,
            members,
        };
        Ok(Self { algorithm, inspected, signed, signature })
    }
}

// SPEC: JWT-SVID §2, §4 (J-02 to J-04, J-08, J-11)
fn read_header(header: &Members) -> Result<(JwtAlgorithm, String), VerifyError> {
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(JwtAlgorithm::parse);
    let algorithm = algorithm.ok_or(VerifyError::Algorithm)?;
    let known = |name: &String| matches!(name.as_str(), "alg" | "kid" | "typ");
    if !header.keys().all(known) {
        return Err(VerifyError::Header("a member other than alg, kid and typ"));
    }
    let typ = header.get("typ").map_or(Some("JWT"), Value::as_str);
    if !matches!(typ, Some("JWT" | "JOSE")) {
        return Err(VerifyError::Header("a typ other than JWT and JOSE"));
    }
    match header.get("kid").and_then(Value::as_str) {
        Some(id) if (1..=KEY_ID_BYTES_MAX).contains(&id.len()) => Ok((algorithm, id.to_owned())),
        _ => Err(VerifyError::Header("no usable kid")),
    }
}

// SPEC: JWT-SVID §3.1 (J-05)
fn subject(members: &Members) -> Result<SpiffeId, VerifyError> {
    let text = members.get("sub").and_then(Value::as_str).ok_or(VerifyError::Claim("sub"))?;
    let id = SpiffeId::parse(text).map_err(|_| VerifyError::Claim("sub"))?;
    if id.path().is_empty() { Err(VerifyError::Claim("sub")) } else { Ok(id) }
}

// SPEC: JWT-SVID §3.2 (J-06): one value or an array of them.
fn audience(members: &Members) -> Result<Vec<String>, VerifyError> {
    jose::audience(members, AUDIENCES_MAX, AUDIENCE_BYTES_MAX).ok_or(VerifyError::Claim("aud"))
}

fn date(members: &Members, name: &'static str) -> Result<Option<Timestamp>, VerifyError> {
    jose::date(members, name).map_err(|WrongType| VerifyError::Claim(name))
}

fn text(members: &Members, name: &'static str) -> Result<Option<String>, VerifyError> {
    jose::text(members, name).map_err(|WrongType| VerifyError::Claim(name))
}

fn claims(members: &Members) -> Result<Option<Claims>, VerifyError> {
    let Some(value) = members.get("credence") else { return Ok(None) };
    Claims::deserialize(value).map(Some).map_err(|_| VerifyError::Claim("credence"))
}
