//! Workers.

use super::list::{Listed, page};
use super::object::Done;
use super::text::Text;
use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::command::Command;
use credence_model::id::{ActorRef, BindingId, Namespace, NodeName, PoolName, WorkerId};
use credence_model::id::{PoolRef, WorkerRef};
use credence_model::refusal::Refusal;
use credence_model::spiffe_id::SpiffeId;
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_model::worker::Worker;
use credence_model::worker::{WorkerKind, WorkerState};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A worker as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    /// Namespace of its pool.
    pub namespace: Namespace,
    /// Its pool.
    pub pool: PoolName,
    /// Its id in the pool.
    pub id: WorkerId,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The node that runs it.
    pub node: NodeName,
    /// What it executes in.
    pub kind: WorkerKind,
    /// Where it is in its life.
    pub state: WorkerState,
    /// The actor that holds it, as `NAMESPACE/ACTOR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Text<ActorRef>>,
    /// The binding by which the actor holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// When it last became free.
    pub idle_since: Timestamp,
}

/// Which workers to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerQuery {
    /// Only those of this pool, as `NAMESPACE/NAME`.
    pool: Option<Text<PoolRef>>,
    /// Only those of this node.
    node: Option<NodeName>,
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    const DRAIN: &str = "/v1/workers/{namespace}/{pool}/{id}/drain";
    vec![
        route(Method::GET, "/v1/workers", Who::Admin, "lists workers", list),
        route(Method::POST, DRAIN, Who::Admin, "moves a worker's actor away and takes no further one", drain),
    ]
}

async fn list(ask: Ask<WorkerQuery>) -> Result<Listed<WorkerView>, Refusal> {
    let WorkerQuery { pool, node, limit, after } = ask.query;
    let view = move |state: &State, worker: &Worker| {
        let in_pool = pool.as_ref().is_none_or(|pool| pool.0 == worker.worker.pool);
        let on_node = node.as_ref().is_none_or(|node| *node == worker.node);
        (in_pool && on_node).then(|| WorkerView::of(state, worker))
    };
    page(&ask.app, limit, after.as_deref(), |state| &state.workers, view).await
}

async fn drain(ask: Ask) -> Result<Done, Refusal> {
    let pool = PoolRef { namespace: ask.path("namespace")?, pool: ask.path("pool")? };
    let worker = WorkerRef { pool, worker: ask.path("id")? };
    ask.submit(Command::DrainWorker { worker }).await?;
    Ok(Done {})
}

impl WorkerView {
    fn of(state: &State, worker: &Worker) -> Self {
        let WorkerRef { pool, worker: id } = worker.worker.clone();
        let (actor, binding) = worker.holds.clone().unzip();
        Self {
            namespace: pool.namespace,
            pool: pool.pool,
            id,
            spiffe_id: state.settings.templates.worker_id(&state.settings.trust_domain, &worker.worker),
            node: worker.node.clone(),
            kind: worker.kind,
            state: worker.state,
            actor: actor.map(Text),
            binding,
            idle_since: worker.idle_since,
        }
    }
}
