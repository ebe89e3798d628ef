//! Verifying a JWT-SVID that somebody presents.

use crate::bundle::{BundleSet, JwtBundle};
use crate::jwt_svid::LEEWAY_SECS;
use crate::jwt_svid::error::VerifyError;
use crate::jwt_svid::parse::{Inspected, Token};
use credence_model::order::Claims;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use serde_json::{Map, Value};

/// A JWT-SVID whose signature, audience and times were verified.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedJwtSvid {
    /// `sub`.
    pub id: SpiffeId,
    /// `aud`.
    pub audience: Vec<String>,
    /// What it says about the binding; an actor's has it.
    pub claims: Option<Claims>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `jti`.
    pub jwt_id: Option<String>,
    /// Every member of the payload, as it came; the Workload API returns them.
    pub members: Map<String, Value>,
}

/// Verifies a token for `audience` with the bundle of its subject's trust domain out of `bundles`.
// SPEC: Workload API §6.3 (W-14)
pub fn verify_in(
    token: &str,
    bundles: &BundleSet,
    audience: &str,
    now: Timestamp,
) -> Result<VerifiedJwtSvid, VerifyError> {
    let token = Token::parse(token)?;
    let trust_domain = token.inspected.subject.trust_domain();
    let bundle = bundles.find(&trust_domain).ok_or(VerifyError::NoBundle(trust_domain))?;
    check(token, bundle.jwt(), audience, now)
}

/// Verifies a token for `audience` with one bundle, which must be that of its subject's trust domain.
// SPEC: JWT-SVID §3, §4, §6.2 (J-05 to J-08, J-10)
pub fn verify(token: &str, bundle: &JwtBundle, audience: &str, now: Timestamp) -> Result<VerifiedJwtSvid, VerifyError> {
    check(Token::parse(token)?, bundle, audience, now)
}

fn check(token: Token<'_>, bundle: &JwtBundle, audience: &str, now: Timestamp) -> Result<VerifiedJwtSvid, VerifyError> {
    let trust_domain = bundle.trust_domain();
    if !token.inspected.subject.is_in(trust_domain) {
        return Err(VerifyError::NoBundle(token.inspected.subject.trust_domain()));
    }
    let unknown = || VerifyError::UnknownKey(trust_domain.clone());
    let authority = bundle.find(&token.inspected.key_id).ok_or_else(unknown)?;
    if authority.algorithm() != token.algorithm {
        return Err(VerifyError::OtherAlgorithm);
    }
    if !token.algorithm.check(authority.key(), token.signed, &token.signature) {
        return Err(VerifyError::Signature);
    }
    check_use(&token.inspected, audience, now)?;
    let Inspected { subject, audience, claims, expires_at, issued_at, jwt_id, members, .. } = token.inspected;
    Ok(VerifiedJwtSvid { id: subject, audience, claims, expires_at, issued_at, jwt_id, members })
}

/// Whether the token is for this audience and this moment.
fn check_use(token: &Inspected, audience: &str, now: Timestamp) -> Result<(), VerifyError> {
    if !token.audience.iter().any(|one| one == audience) {
        return Err(VerifyError::Audience(audience.chars().take(80).collect()));
    }
    if now.as_secs() >= token.expires_at.as_secs().saturating_add(LEEWAY_SECS) {
        return Err(VerifyError::Expired(token.expires_at));
    }
    let latest_start = now.as_secs().saturating_add(LEEWAY_SECS);
    let starts = [token.issued_at, token.not_before];
    if starts.into_iter().flatten().any(|start| start.as_secs() > latest_start) {
        return Err(VerifyError::NotYetValid);
    }
    Ok(())
}
