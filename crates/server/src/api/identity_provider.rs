//! Identity providers: where users log in.

use super::list::Listed;
use crate::config::IdentityProvider;
use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::refusal::Refusal;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a program has to know to log a user in. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityProviderView {
    /// The provider.
    pub issuer: String,
    /// For whom its tokens have to be.
    pub audience: String,
    /// The public client to log in as.
    pub client_id: String,
    /// The scopes to ask for, with a space between them.
    pub scope: String,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/v1/identity-providers", Who::Anyone, "says where users log in", list)]
}

async fn list(ask: Ask) -> Result<Listed<IdentityProviderView>, Refusal> {
    let view = |IdentityProvider { issuer, audience, client_id, scope, .. }| IdentityProviderView {
        issuer,
        audience,
        client_id,
        scope,
    };
    Ok(Listed { items: ask.app.identity_providers.settings().into_iter().map(view).collect(), next: None })
}
