//! What every token in JOSE has in common: the compact form, and how its members are read.

use crate::strict_json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_model::time::Timestamp;
use serde_json::{Map, Value};

/// The members of a header, or of a payload.
pub(crate) type Members = Map<String, Value>;

/// A token taken apart (RFC 7515 §7.1). Nothing in it was verified.
pub(crate) struct Compact<'t> {
    pub(crate) header: Members,
    pub(crate) payload: Members,
    /// Header, dot and payload as they came.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'t> Compact<'t> {
    /// Takes a token apart, or names the part that cannot be read: one that is not base64url without padding, not a JSON
    /// object, or has a member twice.
    pub(crate) fn parse(token: &'t str) -> Result<Self, &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or(NOT_COMPACT)?;
        let (header, payload) = signed.split_once('.').ok_or(NOT_COMPACT)?;
        if payload.contains('.') {
            return Err(NOT_COMPACT);
        }
        Ok(Self {
            header: object(header).ok_or("header")?,
            payload: object(payload).ok_or("payload")?,
            signed: signed.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| "signature")?,
        })
    }
}

const NOT_COMPACT: &str = "form (expected three parts with two dots between them)";

fn object(part: &str) -> Option<Members> {
    match strict_json::parse(&URL_SAFE_NO_PAD.decode(part).ok()?) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// A member is there and not of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongType;

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction, which is cut off.
pub(crate) fn date(members: &Members, name: &str) -> Result<Option<Timestamp>, WrongType> {
    /// Beyond any certificate's calendar; also far below where `f64` stops counting in seconds.
    const LATEST_SECS: f64 = 253_402_300_799.0;
    let Some(value) = members.get(name) else { return Ok(None) };
    if let Some(secs) = value.as_u64() {
        return Ok(Some(Timestamp::from_secs(secs)));
    }
    match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was just checked")]
        Some(secs) if (0.0..=LATEST_SECS).contains(&secs) => Ok(Some(Timestamp::from_secs(secs as u64))),
        _ => Err(WrongType),
    }
}

/// A text.
pub(crate) fn text(members: &Members, name: &str) -> Result<Option<String>, WrongType> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(WrongType),
    }
}

/// `aud` (RFC 7519 §4.1.3): one value or an array of 1 to `most` of them, each of 1 to `bytes_max` bytes.
pub(crate) fn audience(members: &Members, most: usize, bytes_max: usize) -> Option<Vec<String>> {
    let fits = |value: &Value| value.as_str().filter(|text| (1..=bytes_max).contains(&text.len())).map(str::to_owned);
    match members.get("aud") {
        Some(Value::Array(values)) if (1..=most).contains(&values.len()) => values.iter().map(fits).collect(),
        Some(value @ Value::String(_)) => fits(value).map(|one| vec![one]),
        _ => None,
    }
}
