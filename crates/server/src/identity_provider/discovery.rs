//! What a provider says about itself (OpenID Connect Discovery), and its keys.

use crate::outbound::{Outbound, Url};
use credence_credential::openid::KeySet;
use http::StatusCode;
use serde::Deserialize;

/// What of a provider's metadata is used (OpenID Connect Discovery §3, RFC 8628 §4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// Who it is.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where tokens are.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Where a program without a browser begins a login.
    #[serde(default)]
    pub device_authorization_endpoint: Option<String>,
}

/// Reads the metadata of the provider at this issuer; an error says what was wrong with it.
// SPEC: OpenID Connect Discovery §4: the path is appended, and the issuer in the document is the very one that was asked for.
pub async fn metadata(outbound: &Outbound, issuer: &str) -> Result<Metadata, String> {
    let at = Url::parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
    let body = get(outbound, &at).await?;
    let metadata: Metadata =
        serde_json::from_slice(&body).map_err(|error| format!("{at} is no provider's metadata: {error}"))?;
    if metadata.issuer != issuer {
        let said: String = metadata.issuer.chars().take(80).collect();
        return Err(format!("{at} speaks for the issuer `{}` and not for {issuer}", said.escape_debug()));
    }
    Ok(metadata)
}

/// An address that a provider named: it is no less protected than the provider itself.
pub fn endpoint(issuer: &Url, named: &str) -> Result<Url, String> {
    let url = Url::parse(named)?;
    if issuer.is_tls() && !url.is_tls() {
        return Err(format!("the provider is at https:// and names {url}"));
    }
    Ok(url)
}

/// The keys with which the provider signs now; there may be none.
pub(super) async fn keys(outbound: &Outbound, issuer: &str, url: &Url) -> Result<KeySet, String> {
    let at = endpoint(url, &metadata(outbound, issuer).await?.jwks_uri)?;
    KeySet::read(&get(outbound, &at).await?).map_err(|error| format!("{at}: {error}"))
}

async fn get(outbound: &Outbound, at: &Url) -> Result<Vec<u8>, String> {
    let answer = outbound.get(at).await.map_err(|why| format!("{at} cannot be read: {why}"))?;
    if answer.status != StatusCode::OK {
        return Err(format!("{at} answered {}", answer.status));
    }
    Ok(answer.body.to_vec())
}
