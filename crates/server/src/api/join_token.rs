//! Join tokens: what lets a new node in, once.

use super::node::Grant;
use crate::app::App;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use aws_lc_rs::rand;
use credence_attest::join_token::{JoinToken, SECRET_BYTES};
use credence_model::command::{Answer, Command};
use credence_model::id::NodeName;
use credence_model::node::PoolGrant;
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A join token is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenBody {
    /// The node that may use it; any if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// What it grants.
    pub pools: Vec<Grant>,
    /// How long it may be used, in seconds.
    pub ttl_secs: u64,
}

/// A join token. Whoever holds it can let one node in, so it is shown once and not stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinTokenCreated {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for JoinTokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinTokenCreated").field("token", &"redacted").field("expires_at", &self.expires_at).finish()
    }
}

pub(crate) fn routes() -> Vec<Route> {
    vec![route(Method::POST, "/v1/join-tokens", Who::Admin, "makes a join token, which lets one node in", create)]
}

async fn create(ask: Ask<Nothing, JoinTokenBody>) -> Result<JoinTokenCreated, Refusal> {
    let token = draw(&ask)?;
    let JoinTokenBody { node, pools, ttl_secs } = &ask.body;
    let grants = pools.iter().map(|grant| PoolGrant { pool: grant.pool.0.clone(), workers_max: grant.workers_max });
    let (node, grants) = (node.clone(), grants.collect());
    let command = Command::CreateJoinToken { token: token.digest(), node, grants, ttl_secs: *ttl_secs };
    match ask.submit(command).await?.answer {
        Answer::JoinToken { expires_at } => Ok(JoinTokenCreated { token: token.render().to_string(), expires_at }),
        _ => Err(Refusal::new(Kind::Bug, "making a join token was answered with something else")),
    }
}

/// A request that names its retries gets the same token each time without the token being stored; any other gets a
/// random one. The caller is part of the derivation, since keys are scoped to their caller.
fn draw(ask: &Ask<Nothing, JoinTokenBody>) -> Result<JoinToken, Refusal> {
    let app: &App = &ask.app;
    let root = app.signer.root();
    if let (Some(key), Some(caller)) = (&ask.idempotency_key, &ask.caller) {
        return Ok(JoinToken::derive(&app.token_seed, &format!("{caller}\n{key}"), root));
    }
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    rand::fill(secret.as_mut_slice()).map_err(|_| Refusal::new(Kind::Unavailable, "the system has no randomness"))?;
    Ok(JoinToken::new(&secret, root))
}
