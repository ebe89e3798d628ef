//! Verifying a provider's token that somebody presents.

use crate::bundle::jwk::KEY_ID_BYTES_MAX;
use crate::jose::{self, Compact, Members, WrongType};
use crate::openid::algorithm::Algorithm;
use crate::openid::error::TokenError;
use crate::openid::keys::KeySet;
use crate::openid::{LEEWAY_SECS, TOKEN_BYTES_MAX, TOKEN_SECS_MAX};
use credence_model::time::Timestamp;
use credence_model::user::{ISSUER_BYTES_MAX, SUBJECT_BYTES_MAX};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most values of `aud` that are read. More than one is refused, but as what it is.
const AUDIENCES_MAX: usize = 16;
/// Longest value of `aud` that is read, in bytes.
const AUDIENCE_BYTES_MAX: usize = 2048;
/// Header members that would name a key outside the provider's set, or change what the others mean (RFC 7515 §4.1, RFC 7797).
const REFUSED_IN_HEADER: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"];

/// Claims in which providers name the client that got a token (RFC 9068 §2.2, OpenID Connect Core §2, and two of their own).
const CLIENT: [&str; 4] = ["client_id", "azp", "cid", "appid"];

/// What a token has to say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'e> {
    /// `iss`, byte for byte.
    pub issuer: &'e str,
    /// `aud`, byte for byte, and no other.
    pub audience: &'e str,
    /// The claim that names the user. `email` counts only where `email_verified` is true.
    pub user_claim: &'e str,
    /// Claims that have to be this text or truth value, or a list that holds it.
    pub require: &'e BTreeMap<String, Value>,
}

/// A user whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedUser {
    /// Who it is at the provider.
    pub subject: String,
    /// Until when the token is valid.
    pub expires_at: Timestamp,
}

/// A token taken apart. Nothing in it was verified.
pub struct Presented<'t> {
    algorithm: Algorithm,
    key_id: String,
    issuer: String,
    claims: Members,
    signed: &'t [u8],
    signature: Vec<u8>,
}

impl<'t> Presented<'t> {
    /// Takes a token apart and refuses what no provider of users writes.
    pub fn parse(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge(token.len()));
        }
        let Compact { header, payload: claims, signed, signature } =
            Compact::parse(token).map_err(TokenError::Malformed)?;
        let (algorithm, key_id) = read_header(&header)?;
        let issuer = text(&claims, "iss", ISSUER_BYTES_MAX)?;
        Ok(Self { algorithm, key_id, issuer, claims, signed, signature })
    }

    /// Who is said to have issued it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key that is said to have signed it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Verifies it with the keys of the provider that it names.
    // SPEC: OpenID Connect Core §3.1.3.7, RFC 9068 §4
    pub fn verify(&self, keys: &KeySet, expected: Expected<'_>, now: Timestamp) -> Result<VerifiedUser, TokenError> {
        if self.issuer != expected.issuer {
            return Err(wrong("iss"));
        }
        let found = keys.find(&self.key_id).ok_or(TokenError::UnknownKey)?;
        if found.algorithm != self.algorithm {
            return Err(TokenError::OtherAlgorithm);
        }
        if !found.key.check(self.algorithm, self.signed, &self.signature) {
            return Err(TokenError::Signature);
        }
        let audience = jose::audience(&self.claims, AUDIENCES_MAX, AUDIENCE_BYTES_MAX).ok_or_else(|| wrong("aud"))?;
        // Whoever else it is for could show it here.
        if audience != [expected.audience] {
            return Err(TokenError::Audience(expected.audience.to_owned()));
        }
        let expires_at = check_times(&self.claims, now)?;
        check_claims(&self.claims, expected)?;
        Ok(VerifiedUser { subject: text(&self.claims, expected.user_claim, SUBJECT_BYTES_MAX)?, expires_at })
    }
}

// SPEC: RFC 8725 §3.1, §3.11, RFC 9068 §2.1: members that are not known are ignored, those that could mislead are not.
fn read_header(header: &Members) -> Result<(Algorithm, String), TokenError> {
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    let algorithm = algorithm.ok_or(TokenError::Algorithm)?;
    if REFUSED_IN_HEADER.iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::Header("a key of its own, or a member that changes how it is read"));
    }
    let typ = header.get("typ").map_or(Some("JWT"), Value::as_str).unwrap_or_default();
    if !["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(typ)) {
        return Err(TokenError::Header("a typ other than JWT and at+jwt"));
    }
    match header.get("kid").and_then(Value::as_str) {
        Some(id) if (1..=KEY_ID_BYTES_MAX).contains(&id.len()) => Ok((algorithm, id.to_owned())),
        _ => Err(TokenError::Header("no usable kid")),
    }
}

/// When it expires, if it is valid now.
fn check_times(claims: &Members, now: Timestamp) -> Result<Timestamp, TokenError> {
    let date = |name: &str| jose::date(claims, name).map_err(|WrongType| wrong(name));
    let needed = |name: &str| date(name)?.ok_or_else(|| wrong(name));
    let (expires_at, issued_at, not_before) = (needed("exp")?, needed("iat")?, date("nbf")?);
    if now.as_secs() >= expires_at.as_secs().saturating_add(LEEWAY_SECS) {
        return Err(TokenError::Expired(expires_at));
    }
    let latest_start = now.as_secs().saturating_add(LEEWAY_SECS);
    if issued_at.as_secs().max(not_before.unwrap_or_default().as_secs()) > latest_start {
        return Err(TokenError::NotYetValid);
    }
    match expires_at.as_secs().checked_sub(issued_at.as_secs()) {
        None | Some(0) => Err(wrong("exp")),
        Some(secs) if secs > TOKEN_SECS_MAX => Err(TokenError::TooLong),
        Some(_) => Ok(expires_at),
    }
}

fn check_claims(claims: &Members, expected: Expected<'_>) -> Result<(), TokenError> {
    let subject = text(claims, "sub", SUBJECT_BYTES_MAX)?;
    // RFC 9068 §5: a client that got a token for itself is no user, whatever it is called.
    for name in CLIENT {
        if jose::text(claims, name).map_err(|WrongType| wrong(name))?.is_some_and(|id| id == subject) {
            return Err(wrong("sub"));
        }
    }
    // OpenID Connect Back-Channel Logout §2.4: a logout token is no proof that somebody is there.
    if claims.contains_key("events") {
        return Err(wrong("events"));
    }
    if expected.user_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(wrong("email_verified"));
    }
    for (name, required) in expected.require {
        let is_met = match claims.get(name) {
            Some(Value::Array(values)) => values.contains(required),
            value => value == Some(required),
        };
        if !is_met {
            return Err(wrong(name));
        }
    }
    Ok(())
}

/// A text of 1 to `bytes_max` bytes without control characters.
fn text(claims: &Members, name: &str, bytes_max: usize) -> Result<String, TokenError> {
    let found = jose::text(claims, name).ok().flatten();
    let fits = |text: &String| (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control);
    found.filter(fits).ok_or_else(|| wrong(name))
}

fn wrong(claim: &str) -> TokenError {
    TokenError::Claim(claim.to_owned())
}
