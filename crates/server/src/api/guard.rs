//! Guards: what the owners of resources say that agents may do to them.
//!
//! Administrators write them. Nobody else may: a guard denies what everybody else allows, so whoever could write one for a name
//! could take the resource away from all others.

use super::list::{Listed, page};
use super::object::{Applied, Done, ObjectBody};
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::command::Command;
use credence_model::guard::{Guard, GuardSpec};
use credence_model::id::{GuardName, GuardRef, Namespace};
use credence_model::label::Labels;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A guard as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: GuardName,
    /// Its labels.
    pub labels: Labels,
    /// Index of the journal entry that changed it last.
    pub version: u64,
    /// What it is.
    pub spec: GuardSpec,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Which guards to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuardQuery {
    /// Only those of this namespace.
    namespace: Option<Namespace>,
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    const ONE: &str = "/v1/guards/{namespace}/{name}";
    vec![
        route(Method::GET, "/v1/guards", Who::Admin, "lists guards", list),
        route(Method::GET, ONE, Who::Admin, "shows a guard", read),
        route(Method::PUT, ONE, Who::Admin, "creates or changes a guard", apply),
        route(Method::DELETE, ONE, Who::Admin, "deletes a guard", delete),
    ]
}

async fn list(ask: Ask<GuardQuery>) -> Result<Listed<GuardView>, Refusal> {
    let GuardQuery { namespace, limit, after } = ask.query;
    let view = move |_: &State, guard: &Guard| {
        let wanted = namespace.as_ref().is_none_or(|wanted| *wanted == guard.guard.namespace);
        wanted.then(|| GuardView::of(guard))
    };
    page(&ask.app, limit, after.as_deref(), |state| &state.guards, view).await
}

async fn read(ask: Ask) -> Result<GuardView, Refusal> {
    let guard = named(&ask)?;
    let name = guard.clone();
    let found = ask.app.cell.read(move |state| state.guards.get(&guard).map(GuardView::of)).await?;
    found.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no guard {name}")))
}

async fn apply(ask: Ask<Nothing, ObjectBody<GuardSpec>>) -> Result<Applied, Refusal> {
    let guard = named(&ask)?;
    let ObjectBody { metadata, spec } = &ask.body;
    metadata.check(guard.namespace.as_str(), guard.guard.as_str())?;
    let if_version = metadata.if_version(ask.if_match)?;
    let (labels, spec) = (metadata.labels.clone(), spec.clone());
    ask.submit(Command::ApplyGuard { guard, labels, spec, if_version }).await?.try_into()
}

async fn delete(ask: Ask) -> Result<Done, Refusal> {
    let guard = named(&ask)?;
    ask.submit(Command::DeleteGuard { guard }).await?;
    Ok(Done {})
}

fn named<Q, B>(ask: &Ask<Q, B>) -> Result<GuardRef, Refusal> {
    Ok(GuardRef { namespace: ask.path("namespace")?, guard: ask.path("name")? })
}

impl GuardView {
    pub(crate) fn of(guard: &Guard) -> Self {
        Self {
            namespace: guard.guard.namespace.clone(),
            name: guard.guard.guard.clone(),
            labels: guard.labels.clone(),
            version: guard.version,
            spec: guard.spec.clone(),
            created_at: guard.created_at,
        }
    }
}
