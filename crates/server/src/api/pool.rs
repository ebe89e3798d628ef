//! Pools.

use super::list::{Listed, page};
use super::object::{Applied, Done, ObjectBody};
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::command::Command;
use credence_model::id::{Namespace, PoolName};
use credence_model::id::{PoolRef, WorkerId, WorkerRef};
use credence_model::label::Labels;
use credence_model::pool::Pool;
use credence_model::pool::PoolSpec;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pool as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: PoolName,
    /// Labels that class selectors match.
    pub labels: Labels,
    /// Index of the journal entry that changed it last.
    pub version: u64,
    /// What it is.
    pub spec: PoolSpec,
    /// How many workers it has.
    pub workers: u64,
    /// How many of them can take an actor now.
    pub workers_idle: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Which pools to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolQuery {
    /// Only those of this namespace.
    namespace: Option<Namespace>,
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    const ONE: &str = "/v1/pools/{namespace}/{name}";
    vec![
        route(Method::GET, "/v1/pools", Who::Admin, "lists pools", list),
        route(Method::GET, ONE, Who::Admin, "shows a pool", read),
        route(Method::PUT, ONE, Who::Admin, "creates or changes a pool", apply),
        route(Method::DELETE, ONE, Who::Admin, "deletes a pool without workers", delete),
    ]
}

async fn list(ask: Ask<PoolQuery>) -> Result<Listed<PoolView>, Refusal> {
    let PoolQuery { namespace, limit, after } = ask.query;
    let view = move |state: &State, pool: &Pool| {
        let wanted = namespace.as_ref().is_none_or(|wanted| *wanted == pool.pool.namespace);
        wanted.then(|| PoolView::of(state, pool))
    };
    page(&ask.app, limit, after.as_deref(), |state| &state.pools, view).await
}

async fn read(ask: Ask) -> Result<PoolView, Refusal> {
    let pool = named(&ask)?;
    let name = pool.clone();
    let found = ask.app.cell.read(move |state| Some(PoolView::of(state, state.pools.get(&pool)?))).await?;
    found.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no pool {name}")))
}

async fn apply(ask: Ask<Nothing, ObjectBody<PoolSpec>>) -> Result<Applied, Refusal> {
    let pool = named(&ask)?;
    let ObjectBody { metadata, spec } = &ask.body;
    metadata.check(pool.namespace.as_str(), pool.pool.as_str())?;
    let if_version = metadata.if_version(ask.if_match)?;
    let (labels, spec) = (metadata.labels.clone(), spec.clone());
    ask.submit(Command::ApplyPool { pool, labels, spec, if_version }).await?.try_into()
}

async fn delete(ask: Ask) -> Result<Done, Refusal> {
    let pool = named(&ask)?;
    ask.submit(Command::DeletePool { pool }).await?;
    Ok(Done {})
}

fn named<Q, B>(ask: &Ask<Q, B>) -> Result<PoolRef, Refusal> {
    Ok(PoolRef { namespace: ask.path("namespace")?, pool: ask.path("name")? })
}

impl PoolView {
    fn of(state: &State, pool: &Pool) -> Self {
        let mut workers = 0;
        let mut workers_idle = 0;
        // The workers of a pool stand together, in the order of their ids.
        if let Ok(worker) = WorkerId::parse("0") {
            let first = WorkerRef { pool: pool.pool.clone(), worker };
            for (_, worker) in state.workers.range(first..).take_while(|(worker, _)| worker.pool == pool.pool) {
                workers += 1;
                workers_idle += u64::from(worker.is_idle());
            }
        }
        Self {
            namespace: pool.pool.namespace.clone(),
            name: pool.pool.pool.clone(),
            labels: pool.labels.clone(),
            version: pool.version,
            spec: pool.spec.clone(),
            workers,
            workers_idle,
            created_at: pool.created_at,
        }
    }
}
