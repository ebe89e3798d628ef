//! The trust domain: its settings and its bundle.

use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::refusal::{Kind, Refusal};
use credence_model::settings::Settings;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The trust domain as it is now. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustDomainView {
    /// Its settings.
    pub settings: Settings,
    /// Version of the server's software.
    pub server_version: String,
}

/// Whether the server is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`; a server that is not well answers with a problem, or not at all.
    pub status: String,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/trust-domain", Who::Anyone, "shows the trust domain's settings", read),
        route(Method::GET, "/v1/bundle", Who::Anyone, "the SPIFFE bundle document: what verifies every SVID", bundle),
        route(Method::GET, "/healthz", Who::Anyone, "says that the process is up", healthz),
        route(Method::GET, "/readyz", Who::Anyone, "says whether the registry answers and can record", readyz),
    ]
}

async fn read(ask: Ask) -> Result<TrustDomainView, Refusal> {
    let settings = ask.app.cell.read(|state| state.settings.clone()).await?;
    Ok(TrustDomainView { settings, server_version: env!("CARGO_PKG_VERSION").to_owned() })
}

async fn bundle(ask: Ask) -> Result<Value, Refusal> {
    Ok(ask.app.signer.bundle_json().clone())
}

async fn healthz(_: Ask) -> Result<Health, Refusal> {
    Ok(Health { status: "ok".to_owned() })
}

async fn readyz(ask: Ask) -> Result<Health, Refusal> {
    let why_not = |why| Refusal::new(Kind::Unavailable, why).retry_after_ms(1_000);
    ask.app.ready().await.map_err(why_not)?;
    Ok(Health { status: "ok".to_owned() })
}
