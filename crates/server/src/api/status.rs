//! How the server is, in one look: what `credence doctor` asks.

use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_credential::x509_svid;
use credence_model::actor::Wait;
use credence_model::id::{ActorRef, NodeName};
use credence_model::node::NodeState;
use credence_model::refusal::Refusal;
use credence_model::state::State;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most lost nodes that are named.
const NAMED_MAX: usize = 20;

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// Its clock.
    pub now: Timestamp,
    /// Version of its software.
    pub version: String,
    /// Name of its trust domain.
    pub trust_domain: String,
    /// Why it is not ready; missing if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// Why it is held; missing if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Index of the last journal entry.
    pub last_index: u64,
    /// The margin for clocks that differ, in milliseconds.
    pub clock_margin_ms: u64,
    /// The life of its own SVID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub svid: Option<Life>,
    /// How many nodes are connected.
    pub nodes_connected: u64,
    /// How many are not.
    pub nodes_lost: u64,
    /// The first of those.
    pub lost: Vec<LostNode>,
    /// How many actors wait for a worker.
    pub waiting: u64,
    /// The one that waits longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_longest: Option<WaitingActor>,
}

/// From when until when a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Life {
    /// Its beginning.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
}

/// A node that is not connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostNode {
    /// Its name.
    pub name: NodeName,
    /// When the server last heard from it.
    pub heard_at: Timestamp,
}

/// An actor that waits for a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingActor {
    /// The actor, as `NAMESPACE/ID`.
    pub actor: String,
    /// Since when.
    pub since: Timestamp,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/v1/status", Who::Admin, "says how the server is, in one look", read)]
}

async fn read(ask: Ask) -> Result<StatusView, Refusal> {
    let (not_ready, now) = (ask.app.ready().await.err(), ask.app.clock.now());
    let mut view = ask.app.cell.read(move |state| look(state, now)).await?;
    view.not_ready = not_ready;
    let own = ask.app.signer.identity().chain();
    let leaf = own.as_ref().and_then(|chain| x509_svid::inspect(chain.first()?).ok());
    view.svid = leaf.map(|leaf| Life { not_before: leaf.not_before, not_after: leaf.not_after });
    Ok(view)
}

/// Costs what is bound or waits, not what is registered.
fn look(state: &State, now: Timestamp) -> StatusView {
    let is_lost = |state: NodeState| state != NodeState::Connected;
    let lost = state.nodes.values().filter(|node| is_lost(node.state));
    let named = lost.clone().take(NAMED_MAX).map(|node| LostNode { name: node.name.clone(), heard_at: node.heard_at });
    let nodes_lost = lost.clone().count() as u64;
    let waits = |name: &ActorRef| Some((name.to_string(), state.actors.active(name)?.wait.clone()?));
    let longest = state.waiting.actors().filter_map(waits).min_by_key(|(_, wait): &(String, Wait)| wait.since);
    StatusView {
        now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        trust_domain: state.settings.trust_domain.to_string(),
        not_ready: None,
        held: state.hold.as_ref().map(credence_model::hold::Hold::reason),
        last_index: state.last_index,
        clock_margin_ms: state.settings.clock_margin_ms,
        svid: None,
        nodes_connected: state.nodes.len() as u64 - nodes_lost,
        nodes_lost,
        lost: named.collect(),
        waiting: state.waiting.len() as u64,
        waits_longest: longest.map(|(actor, wait)| WaitingActor { actor, since: wait.since }),
    }
}
