//! Reading a token apart, without believing it.

use crate::bundle::KEY_ID_BYTES_MAX;
use crate::jwt_svid::error::VerifyError;
use crate::jwt_svid::{AUDIENCE_BYTES_MAX, AUDIENCES_MAX, TOKEN_BYTES_MAX};
use crate::key::JwtAlgorithm;
use crate::strict_json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
        let (signed, signature) = token.rsplit_once('.').ok_or(NOT_COMPACT)?;
        let (header, payload) = signed.split_once('.').ok_or(NOT_COMPACT)?;
        if payload.contains('.') {
            return Err(NOT_COMPACT);
        }
        let (algorithm, key_id) = read_header(&object(header, "header")?)?;
        let members = object(payload, "payload")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| VerifyError::Malformed("signature"))?;
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
        Ok(Self { algorithm, inspected, signed: signed.as_bytes(), signature })
    }
}

const NOT_COMPACT: VerifyError = VerifyError::Malformed("form (expected three parts with two dots between them)");

fn object(part: &str, what: &'static str) -> Result<Map<String, Value>, VerifyError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| VerifyError::Malformed(what))?;
    match strict_json::parse(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(VerifyError::Malformed(what)),
    }
}

// SPEC: JWT-SVID §2, §4 (J-02 to J-04, J-08, J-11)
fn read_header(header: &Map<String, Value>) -> Result<(JwtAlgorithm, String), VerifyError> {
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
fn subject(members: &Map<String, Value>) -> Result<SpiffeId, VerifyError> {
    let text = members.get("sub").and_then(Value::as_str).ok_or(VerifyError::Claim("sub"))?;
    let id = SpiffeId::parse(text).map_err(|_| VerifyError::Claim("sub"))?;
    if id.path().is_empty() { Err(VerifyError::Claim("sub")) } else { Ok(id) }
}

// SPEC: JWT-SVID §3.2 (J-06): one value or an array of them.
fn audience(members: &Map<String, Value>) -> Result<Vec<String>, VerifyError> {
    let wrong = VerifyError::Claim("aud");
    let fits =
        |value: &Value| value.as_str().filter(|text| (1..=AUDIENCE_BYTES_MAX).contains(&text.len())).map(str::to_owned);
    let values = match members.get("aud") {
        Some(Value::Array(values)) if (1..=AUDIENCES_MAX).contains(&values.len()) => {
            values.iter().map(fits).collect::<Option<Vec<_>>>()
        }
        Some(value @ Value::String(_)) => fits(value).map(|one| vec![one]),
        _ => None,
    };
    values.ok_or(wrong)
}

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction, which is cut off.
fn date(members: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, VerifyError> {
    /// Beyond any certificate's calendar; also far below where `f64` stops counting in seconds.
    const LATEST_SECS: f64 = 253_402_300_799.0;
    let Some(value) = members.get(name) else { return Ok(None) };
    if let Some(secs) = value.as_u64() {
        return Ok(Some(Timestamp::from_secs(secs)));
    }
    match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was just checked")]
        Some(secs) if (0.0..=LATEST_SECS).contains(&secs) => Ok(Some(Timestamp::from_secs(secs as u64))),
        _ => Err(VerifyError::Claim(name)),
    }
}

fn text(members: &Map<String, Value>, name: &'static str) -> Result<Option<String>, VerifyError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(VerifyError::Claim(name)),
    }
}

fn claims(members: &Map<String, Value>) -> Result<Option<Claims>, VerifyError> {
    let Some(value) = members.get("credence") else { return Ok(None) };
    Claims::deserialize(value).map(Some).map_err(|_| VerifyError::Claim("credence"))
}
