//! Nodes.

use super::list::{Listed, page};
use super::object::Done;
use super::text::Text;
use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::command::Command;
use credence_model::id::{NodeName, PoolRef, WorkerRef};
use credence_model::node::Node;
use credence_model::node::NodeState;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::state::State;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A node as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// Where it is in its life.
    pub state: NodeState,
    /// What its join token granted.
    pub pools: Vec<Grant>,
    /// Its workers, as `NAMESPACE/POOL/WORKER`.
    pub workers: Vec<Text<WorkerRef>>,
    /// How many checked keys it has ready for coming bindings.
    pub keys_ready: u64,
    /// Number of its present or last stream.
    pub session: u64,
    /// When it proved its origin.
    pub attested_at: Timestamp,
    /// When the server last heard from it.
    pub heard_at: Timestamp,
    /// When the lease of its bindings ends, unless it is heard from again.
    pub lease_ends_at: Timestamp,
}

/// How many workers a node may hold in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The pool, as `NAMESPACE/NAME`.
    pub pool: Text<PoolRef>,
    /// Most slots there. Zero allows only process trees, if the pool allows those.
    pub workers_max: u32,
}

/// Which nodes to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeQuery {
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/nodes", Who::Admin, "lists nodes", list),
        route(Method::GET, "/v1/nodes/{name}", Who::Admin, "shows a node", read),
        route(Method::DELETE, "/v1/nodes/{name}", Who::Admin, "removes a node that holds no actor", delete),
    ]
}

async fn list(ask: Ask<NodeQuery>) -> Result<Listed<NodeView>, Refusal> {
    let NodeQuery { limit, after } = ask.query;
    let view = |state: &State, node: &Node| Some(NodeView::of(state, node));
    page(&ask.app, limit, after.as_deref(), |state| &state.nodes, view).await
}

async fn read(ask: Ask) -> Result<NodeView, Refusal> {
    let name: NodeName = ask.path("name")?;
    let node = name.clone();
    let found = ask.app.cell.read(move |state| Some(NodeView::of(state, state.nodes.get(&node)?))).await?;
    found.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no node {name}")))
}

async fn delete(ask: Ask) -> Result<Done, Refusal> {
    let node = ask.path("name")?;
    ask.submit(Command::DeleteNode { node }).await?;
    Ok(Done {})
}

impl NodeView {
    fn of(state: &State, node: &Node) -> Self {
        let grant = |grant: &credence_model::node::PoolGrant| Grant {
            pool: Text(grant.pool.clone()),
            workers_max: grant.workers_max,
        };
        Self {
            name: node.name.clone(),
            spiffe_id: state.settings.templates.node_id(&state.settings.trust_domain, &node.name),
            state: node.state,
            pools: node.grants.iter().map(grant).collect(),
            workers: node.workers.iter().cloned().map(Text).collect(),
            keys_ready: u64::try_from(node.reservoir.len()).unwrap_or(u64::MAX),
            session: node.session,
            attested_at: node.attested_at,
            heard_at: node.heard_at,
            lease_ends_at: node.believes_until(),
        }
    }
}
