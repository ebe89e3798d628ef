//! Fetching, streaming and validating with the published client.

use crate::Failure;
use crate::say::{now_ms, pem, say};
use futures_util::StreamExt as _;
use serde_json::json;
use spiffe::{JwtSvid, WorkloadApiClient, WorkloadApiError, X509Context};

/// Opens one stream and says what comes through it.
pub(super) async fn stream(count: Option<usize>, endpoint: Option<&str>) -> Result<(), Failure> {
    let client = match endpoint {
        Some(endpoint) => WorkloadApiClient::connect_to(endpoint).await?,
        None => WorkloadApiClient::connect_env().await?,
    };
    let mut contexts = match client.stream_x509_contexts().await {
        Ok(contexts) => contexts,
        Err(error) => return Ok(say(&ending(&error))?),
    };
    for _ in 0..count.unwrap_or(usize::MAX) {
        match contexts.next().await {
            Some(Ok(context)) => tell(&context)?,
            Some(Err(error)) => return Ok(say(&ending(&error))?),
            None => return Ok(say(&json!({ "ended": "without a status" }))?),
        }
    }
    Ok(())
}

fn ending(error: &WorkloadApiError) -> serde_json::Value {
    let kind = match error {
        // The client says so only for the status PermissionDenied.
        WorkloadApiError::NoIdentityIssued => "no identity issued",
        WorkloadApiError::PermissionDenied(_) => "permission denied",
        _ => "otherwise",
    };
    json!({ "ended": kind, "error": error.to_string(), "at_ms": now_ms() })
}

fn tell(context: &X509Context) -> Result<(), Failure> {
    let svid = context.default_svid().ok_or("there is no SVID in the context")?;
    let own = svid.spiffe_id().trust_domain();
    let bundle = context.bundle_set().get(own).ok_or("the own trust domain is not in the bundles")?;
    say(&json!({
        "spiffe_id": svid.spiffe_id().to_string(),
        "certificates": pem(svid.cert_chain().iter().map(|certificate| certificate.as_bytes())),
        "authorities": pem(bundle.authorities().iter().map(|certificate| certificate.as_bytes())),
        "endpoint": std::env::var_os("SPIFFE_ENDPOINT_SOCKET").map(|value| value.to_string_lossy().into_owned()),
    }))?;
    Ok(())
}

/// Fetches a token and validates it both ways, for its audience and for another.
pub(super) async fn token(audience: &str) -> Result<(), Failure> {
    let client = WorkloadApiClient::connect_env().await?;
    let svid = client.fetch_jwt_svid([audience], None).await?;
    let bundles = client.fetch_jwt_bundles().await?;
    let bundle = bundles.get(svid.spiffe_id().trust_domain()).ok_or("the own trust domain is not in the bundles")?;
    let keys: Vec<serde_json::Value> =
        bundle.jwt_authorities().map(|key| serde_json::from_slice(key.jwk_json())).collect::<Result<_, _>>()?;
    let other = "somebody-else";
    say(&json!({
        "spiffe_id": svid.spiffe_id().to_string(),
        "token": svid.token(),
        "jwks": { "keys": keys },
        "validated_by_endpoint": client.validate_jwt_token(audience, svid.token()).await?.spiffe_id().to_string(),
        "validated_by_client": JwtSvid::parse_and_validate(svid.token(), &bundles, &[audience])?.spiffe_id().to_string(),
        "other_audience_by_endpoint": client.validate_jwt_token(other, svid.token()).await.is_ok(),
        "other_audience_by_client": JwtSvid::parse_and_validate(svid.token(), &bundles, &[other]).is_ok(),
    }))?;
    Ok(())
}
