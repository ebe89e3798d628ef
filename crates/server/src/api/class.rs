//! Classes.

use super::list::{Listed, page};
use super::object::{Applied, Done, ObjectBody};
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::caller::Caller;
use credence_model::class::consent::ConsentState;
use credence_model::class::{Class, ClassSpec, Revision};
use credence_model::command::Command;
use credence_model::id::ClassRef;
use credence_model::id::{ClassName, Digest, Namespace};
use credence_model::label::Labels;
use credence_model::permission::Permission;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::state::State;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
    /// Whether an administrator consented to what it permits.
    pub consent: ConsentState,
    /// What the consent is limited to; to all that it permits if missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Permission>,
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

/// What to consent to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConsentBody {
    /// The revision; the newest if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// These only, of what it permits; all of it if missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Permission>,
}

/// A revision and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionSpec {
    /// Which it is.
    pub revision: RevisionView,
    /// What it says.
    pub spec: ClassSpec,
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
        route(
            Method::GET,
            "/v1/classes/{namespace}/{name}/revisions/{revision}",
            Who::Admin,
            "shows a revision",
            revision,
        ),
        route(
            Method::POST,
            "/v1/classes/{namespace}/{name}/consent",
            Who::Admin,
            "consents to what a revision permits",
            consent,
        ),
        route(Method::POST, "/v1/classes/{namespace}/{name}/withdraw", Who::Admin, "takes a consent back", withdraw),
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
    // The model asks the rest; policies are only evaluated here.
    ask.app.policies.compile(spec.digest(), Arc::new(spec.clone())).await?;
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

async fn consent(ask: Ask<Nothing, ConsentBody>) -> Result<Applied, Refusal> {
    let class = named(&ask)?;
    let ConsentBody { revision, only } = ask.body.clone();
    ask.submit(Command::ConsentRevision { class, revision, only }).await?.try_into()
}

async fn withdraw(ask: Ask<Nothing, EnableBody>) -> Result<Applied, Refusal> {
    let class = named(&ask)?;
    ask.submit(Command::WithdrawConsent { class, revision: ask.body.revision }).await?.try_into()
}

async fn revision(ask: Ask) -> Result<RevisionSpec, Refusal> {
    let (class, number) = (named(&ask)?, ask.path::<u32>("revision")?);
    let name = class.clone();
    let look = move |state: &State| {
        let revision = state.classes.get(&class)?.revisions.get(&number)?;
        Some(RevisionSpec { revision: RevisionView::of(number, revision), spec: ClassSpec::clone(&revision.spec) })
    };
    let found = ask.app.cell.read(look).await?;
    found.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no revision {number} of class {name}")))
}

impl RevisionView {
    fn of(number: u32, revision: &Revision) -> Self {
        Self {
            number,
            digest: revision.digest,
            allowed: revision.allowed,
            consent: revision.consent.state,
            only: revision.consent.only.clone(),
            created_at: revision.created_at,
            created_by: revision.created_by.clone(),
        }
    }
}

impl ClassView {
    fn of(state: &State, class: &Class) -> Option<Self> {
        let (revision, newest) = class.newest()?;
        let revisions = class.revisions.iter().map(|(number, revision)| RevisionView::of(*number, revision));
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
