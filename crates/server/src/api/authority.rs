//! Authorities: what the trust domain signs with, and their rotation.

use crate::app::App;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::authority::{Authority, AuthorityState};
use credence_model::command::{Answer, Command};
use credence_model::id::{Digest, NodeName};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An authority as it is now. All of it is public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorityView {
    /// SHA-256 of its root certificate.
    pub id: Digest,
    /// Where it is in its life.
    pub state: AuthorityState,
    /// Since when.
    pub since: Timestamp,
    /// When its root expires.
    pub not_after: Timestamp,
    /// The `kid` of its key for tokens.
    pub jwt_key_id: String,
    /// End of the longest-lived credential that it signed; missing if it signed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_until: Option<Timestamp>,
    /// Connected nodes that have not said yet that they hold it, or that they have replaced what it signed when tainted.
    pub nodes_waiting: Vec<NodeName>,
}

/// All authorities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorityList {
    /// Sequence of the bundle.
    pub sequence: u64,
    /// In the order in which they were prepared.
    pub authorities: Vec<AuthorityView>,
}

/// An authority is to be activated or retired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceBody {
    /// Whether what would break is no obstacle.
    #[serde(default)]
    pub force: bool,
}

/// An authority's key is in wrong hands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaintBody {
    /// Why, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of an authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorityChanged {
    /// Its id.
    pub id: Digest,
    /// Where it is in its life.
    pub state: AuthorityState,
    /// Whether this request changed anything.
    pub changed: bool,
}

pub(crate) fn routes() -> Vec<Route> {
    const ACTIVATE: &str = "/v1/authorities/{id}/activate";
    const TAINT: &str = "/v1/authorities/{id}/taint";
    const RETIRE: &str = "/v1/authorities/{id}/retire";
    vec![
        route(Method::GET, "/v1/authorities", Who::Admin, "lists what the trust domain signs with", list),
        route(
            Method::POST,
            "/v1/authorities",
            Who::Admin,
            "prepares an authority: into the bundle, not signing",
            prepare,
        ),
        route(Method::POST, ACTIVATE, Who::Admin, "has a prepared authority sign from now on", activate),
        route(Method::POST, TAINT, Who::Admin, "has everything replaced that an old authority signed", taint),
        route(Method::POST, RETIRE, Who::Admin, "takes an authority out of the bundle and removes its keys", retire),
    ]
}

async fn list(ask: Ask) -> Result<AuthorityList, Refusal> {
    let look = |state: &State| AuthorityList {
        sequence: state.authorities.sequence,
        authorities: state.authorities.all.iter().map(|authority| AuthorityView::of(state, authority)).collect(),
    };
    ask.app.cell.read(look).await
}

async fn prepare(ask: Ask) -> Result<AuthorityChanged, Refusal> {
    // Whoever asked may go away; keys that were made are recorded or removed all the same.
    let task = tokio::spawn(async move {
        let keys = ask.app.signer.prepare(ask.app.clock.now())?;
        let made = keys.id();
        let answered = ask.submit(Command::PrepareAuthority { keys }).await;
        match answered {
            Ok(answered) => {
                let changed = answer(answered.answer)?;
                if changed.id != made {
                    ask.app.signer.remove(&made);
                }
                follow(&ask.app).await;
                Ok(changed)
            }
            // It may have been recorded all the same; then its files are needed, and else nobody opens them.
            Err(refusal) if refusal.kind == Kind::Unavailable => Err(refusal),
            Err(refusal) => {
                ask.app.signer.remove(&made);
                Err(refusal)
            }
        }
    });
    task.await.map_err(|error| Refusal::new(Kind::Bug, format!("preparing an authority broke off: {error}")))?
}

async fn activate(ask: Ask<Nothing, ForceBody>) -> Result<AuthorityChanged, Refusal> {
    let (authority, force) = (named(&ask).await?, ask.body.force);
    change(&ask, Command::ActivateAuthority { authority, force }).await
}

async fn taint(ask: Ask<Nothing, TaintBody>) -> Result<AuthorityChanged, Refusal> {
    let (authority, reason) = (named(&ask).await?, ask.body.reason.clone());
    change(&ask, Command::TaintAuthority { authority, reason }).await
}

async fn retire(ask: Ask<Nothing, ForceBody>) -> Result<AuthorityChanged, Refusal> {
    let (authority, force) = (named(&ask).await?, ask.body.force);
    change(&ask, Command::RetireAuthority { authority, force }).await
}

/// A whole id, or the first digits of one that is there.
async fn named<B>(ask: &Ask<Nothing, B>) -> Result<Digest, Refusal> {
    let text: String = ask.path("id")?;
    if let Ok(whole) = Digest::parse(&text) {
        return Ok(whole);
    }
    ask.app.cell.read(move |state| state.authority_named(&text).map(|found| found.id)).await?
}

async fn change<B>(ask: &Ask<Nothing, B>, command: Command) -> Result<AuthorityChanged, Refusal> {
    let changed = answer(ask.submit(command).await?.answer)?;
    follow(&ask.app).await;
    Ok(changed)
}

/// At once; if it fails, it is tried again after the next recorded change.
async fn follow(app: &Arc<App>) {
    if let Err(refusal) = app.signer.follow(&app.cell, app.clock.now()).await {
        tracing::warn!(%refusal, "the authorities are not as the registry says");
    }
}

fn answer(answer: Answer) -> Result<AuthorityChanged, Refusal> {
    match answer {
        Answer::Authority { authority: id, state, changed } => Ok(AuthorityChanged { id, state, changed }),
        _ => Err(Refusal::new(Kind::Bug, "changing an authority was answered with something else")),
    }
}

impl AuthorityView {
    fn of(state: &State, authority: &Authority) -> Self {
        let nodes_waiting = match authority.state {
            AuthorityState::Prepared => state.nodes_without_bundle(authority.sequence).cloned().collect(),
            AuthorityState::Tainted => state.nodes_to_reissue(authority.sequence).cloned().collect(),
            _ => Vec::new(),
        };
        Self {
            id: authority.id,
            state: authority.state,
            since: authority.since,
            not_after: authority.keys.not_after,
            jwt_key_id: authority.keys.jwt_key_id.clone(),
            signed_until: (authority.signed_until > Timestamp::default()).then_some(authority.signed_until),
            nodes_waiting,
        }
    }
}
