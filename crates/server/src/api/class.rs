//! Classes.

use super::list::{Listed, page};
use super::object::{Applied, Done, ObjectBody};
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::caller::Caller;
use credence_model::class::Class;
use credence_model::class::ClassSpec;
use credence_model::command::Command;
use credence_model::id::ClassRef;
use credence_model::id::{ClassName, Digest, Namespace};
use credence_model::label::Labels;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::state::State;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A class as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClassView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ClassName,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// Its labels.
    pub labels: Labels,
    /// Index of the journal entry that changed it last.
    pub version: u64,
    /// Whether its actors may be bound.
    pub enabled: bool,
    /// Number of the newest revision.
    pub revision: u32,
    /// Number of the revision that a new binding runs; missing if none is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<u32>,
    /// All revisions, oldest first.
    pub revisions: Vec<RevisionView>,
    /// What the newest revision says.
    pub spec: ClassSpec,
    /// How many actors it has.
    pub actors: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A revision of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionView {
    /// Counted from 1.
    pub number: u32,
    /// SHA-256 of its canonical JSON.
    pub digest: Digest,
    /// Whether actors may be bound under it.
    pub allowed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Caller,
}

/// Which part of a class to enable or disable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnableBody {
    /// One revision; the whole class if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}

/// Which classes to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClassQuery {
    /// Only those of this namespace.
    namespace: Option<Namespace>,
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    const ONE: &str = "/v1/classes/{namespace}/{name}";
    vec![
        route(Method::GET, "/v1/classes", Who::Admin, "lists classes", list),
        route(Method::GET, ONE, Who::Admin, "shows a class", read),
        route(Method::PUT, ONE, Who::Admin, "creates a class, or gives it a new revision", apply),
        route(Method::DELETE, ONE, Who::Admin, "deletes a class without actors", delete),
        route(Method::POST, "/v1/classes/{namespace}/{name}/enable", Who::Admin, "lets its actors be bound", enable),
        route(
            Method::POST,
            "/v1/classes/{namespace}/{name}/disable",
            Who::Admin,
            "lets none of its actors be bound",
            disable,
        ),
    ]
}

async fn list(ask: Ask<ClassQuery>) -> Result<Listed<ClassView>, Refusal> {
    let ClassQuery { namespace, limit, after } = ask.query;
    let view = move |state: &State, class: &Class| {
        let wanted = namespace.as_ref().is_none_or(|wanted| *wanted == class.class.namespace);
        if wanted { ClassView::of(state, class) } else { None }
    };
    page(&ask.app, limit, after.as_deref(), |state| &state.classes, view).await
}

async fn read(ask: Ask) -> Result<ClassView, Refusal> {
    let class = named(&ask)?;
    let name = class.clone();
    let found = ask.app.cell.read(move |state| ClassView::of(state, state.classes.get(&class)?)).await?;
    found.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no class {name}")))
}

async fn apply(ask: Ask<Nothing, ObjectBody<ClassSpec>>) -> Result<Applied, Refusal> {
    let class = named(&ask)?;
    let ObjectBody { metadata, spec } = &ask.body;
    metadata.check(class.namespace.as_str(), class.class.as_str())?;
    let if_version = metadata.if_version(ask.if_match)?;
    let (labels, spec) = (metadata.labels.clone(), spec.clone());
    ask.submit(Command::ApplyClass { class, labels, spec, if_version }).await?.try_into()
}

async fn delete(ask: Ask) -> Result<Done, Refusal> {
    let class = named(&ask)?;
    ask.submit(Command::DeleteClass { class }).await?;
    Ok(Done {})
}

async fn enable(ask: Ask<Nothing, EnableBody>) -> Result<Done, Refusal> {
    switch(ask, true).await
}

async fn disable(ask: Ask<Nothing, EnableBody>) -> Result<Done, Refusal> {
    switch(ask, false).await
}

async fn switch(ask: Ask<Nothing, EnableBody>, enabled: bool) -> Result<Done, Refusal> {
    let class = named(&ask)?;
    ask.submit(Command::EnableClass { class, revision: ask.body.revision, enabled }).await?;
    Ok(Done {})
}

fn named<Q, B>(ask: &Ask<Q, B>) -> Result<ClassRef, Refusal> {
    Ok(ClassRef { namespace: ask.path("namespace")?, class: ask.path("name")? })
}

impl ClassView {
    fn of(state: &State, class: &Class) -> Option<Self> {
        let (revision, newest) = class.newest()?;
        let revisions = class.revisions.iter().map(|(number, revision)| RevisionView {
            number: *number,
            digest: revision.digest,
            allowed: revision.allowed,
            created_at: revision.created_at,
            created_by: revision.created_by.clone(),
        });
        Some(Self {
            namespace: class.class.namespace.clone(),
            name: class.class.class.clone(),
            spiffe_id: state.settings.templates.class_id(&state.settings.trust_domain, &class.class),
            labels: class.labels.clone(),
            version: class.version,
            enabled: class.enabled,
            revision,
            in_force: class.in_force().map(|(number, _)| number),
            revisions: revisions.collect(),
            spec: ClassSpec::clone(&newest.spec),
            actors: state.actors_per_class.get(&class.class).copied().unwrap_or_default(),
            created_at: class.created_at,
        })
    }
}
