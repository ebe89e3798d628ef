//! Searches: who may do something, what somebody may do, and to what.
//!
//! SPEC: Authorization API 1.0 §8. What is found has been decided as a question would be. Nothing is used up or recorded.

use super::subject::{Sort, actor_of};
use super::{Action, Entity, told};
use crate::app::App;
use crate::asker::Asker;
use crate::route::{Ask, Nothing, Route, route};
use crate::search::{self, Around, Found, Page};
use crate::who::Who;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_model::canonical_json;
use credence_model::id::{ActorRef, Digest};
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::{Kind, Refusal};
use credence_policy::asked::Asked;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Display;

/// Most results of one page.
pub const RESULTS_MAX: usize = 1_000;
/// Longest token of a page, in bytes.
pub const TOKEN_BYTES_MAX: usize = 2_048;

/// What is searched for: all of a type. An `id` is ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is known of each of them.
    #[serde(default)]
    pub properties: Value,
}

/// Which part of the results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PageBody {
    /// The `next_token` of the page before. Everything else is as it was then.
    pub token: Option<String>,
    /// Most results; 1000 if missing or larger.
    pub limit: Option<u64>,
}

/// A search for subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectSearchBody {
    /// Of which type.
    pub subject: Wanted,
    /// Who may do this.
    pub action: Action,
    /// To this.
    pub resource: Entity,
    /// What else the request says.
    #[serde(default)]
    pub context: Value,
    /// Which part of the results.
    #[serde(default, skip_serializing)]
    pub page: PageBody,
}

/// A search for resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSearchBody {
    /// To which this one.
    pub subject: Entity,
    /// May do this.
    pub action: Action,
    /// Of which type.
    pub resource: Wanted,
    /// What else the request says.
    #[serde(default)]
    pub context: Value,
    /// Which part of the results.
    #[serde(default, skip_serializing)]
    pub page: PageBody,
}

/// A search for actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionSearchBody {
    /// What this one.
    pub subject: Entity,
    /// May do to this.
    pub resource: Entity,
    /// What else the request says.
    #[serde(default)]
    pub context: Value,
    /// Which part of the results.
    #[serde(default, skip_serializing)]
    pub page: PageBody,
}

/// Where more results are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageView {
    /// What to ask for the next page with; empty if there is none. A page before the last can be short, or empty.
    pub next_token: String,
    /// How many results are here.
    pub count: usize,
}

/// Results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchAnswer<T> {
    /// Where more are.
    pub page: PageView,
    /// What was found, in the order of the names.
    pub results: Vec<T>,
}

/// A subject or a resource that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundEntity {
    /// Its type, as it was asked for.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// An action that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundAction {
    /// Its name.
    pub name: String,
}

/// What a token says, sealed: the last that was looked at may be one that its holder is told nothing of.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// Behind this name.
    after: String,
    /// At most so many.
    limit: usize,
    /// Of this search.
    of: Digest,
}

pub(super) fn routes() -> Vec<Route> {
    let who = Who::Workload;
    vec![
        route(Method::POST, "/access/v1/search/subject", who, "finds the actors that may do something", subjects),
        route(Method::POST, "/access/v1/search/resource", who, "finds to what an actor may do something", resources),
        route(Method::POST, "/access/v1/search/action", who, "finds what an actor may do to something", actions),
    ]
}

async fn subjects(ask: Ask<Nothing, SubjectSearchBody>) -> Result<SearchAnswer<FoundEntity>, Refusal> {
    let SubjectSearchBody { subject, action, resource, context, page } = &ask.body;
    let deed = (Asked::action(&action.name)?, Asked::resource(&resource.kind, &resource.id)?);
    let context = told(context.clone(), &subject.properties, &action.properties)?;
    let around = Around::read(&resource.properties, &context)?;
    let (of, page) = begin::<ActorRef>(&ask.app, "subject", &ask.body, page)?;
    let Some(sort) = Sort::of(&ask.app, &subject.kind) else { return Ok(SearchAnswer::nothing()) };
    let limit = page.limit;
    let mut asker = Asker::of(&ask.app, &ask.caller)?;
    let found = search::subjects(&ask.app, &mut asker, sort.clone().namespace(), deed, &around, page).await?;
    let entity = |actor: &ActorRef| FoundEntity { kind: subject.kind.clone(), id: sort.id(actor) };
    SearchAnswer::of(&found, entity, ToString::to_string, (&ask.app, limit, of))
}

async fn resources(ask: Ask<Nothing, ResourceSearchBody>) -> Result<SearchAnswer<FoundEntity>, Refusal> {
    let ResourceSearchBody { subject, action, resource, context, page } = &ask.body;
    let deed = (Asked::action(&action.name)?, Asked::kind(&resource.kind)?);
    let context = told(context.clone(), &subject.properties, &action.properties)?;
    let around = Around::read(&resource.properties, &context)?;
    let (of, page) = begin::<String>(&ask.app, "resource", &ask.body, page)?;
    let after = page.after.as_deref().map(|id| Resource::new(deed.1.clone(), id)).transpose();
    let page = Page { after: after.map_err(|error| no_token(&error))?, limit: page.limit };
    let Some(who) = actor_of(&ask.app, subject) else { return Ok(SearchAnswer::nothing()) };
    let limit = page.limit;
    if !is_known(&ask, &who.0).await? {
        return Ok(SearchAnswer::nothing());
    }
    let found = search::resources(&ask.app, who, deed, &around, page).await?;
    let entity = |found: &Resource| FoundEntity { kind: resource.kind.clone(), id: found.id().to_owned() };
    SearchAnswer::of(&found, entity, |resource| resource.id().to_owned(), (&ask.app, limit, of))
}

async fn actions(ask: Ask<Nothing, ActionSearchBody>) -> Result<SearchAnswer<FoundAction>, Refusal> {
    let ActionSearchBody { subject, resource, context, page } = &ask.body;
    let to = Asked::resource(&resource.kind, &resource.id)?;
    let context = told(context.clone(), &subject.properties, &Value::Null)?;
    let around = Around::read(&resource.properties, &context)?;
    let (of, page) = begin::<String>(&ask.app, "action", &ask.body, page)?;
    let after = page.after.as_deref().map(Name::parse).transpose();
    let page = Page { after: after.map_err(|error| no_token(&error))?, limit: page.limit };
    let Some(who) = actor_of(&ask.app, subject) else { return Ok(SearchAnswer::nothing()) };
    let limit = page.limit;
    if !is_known(&ask, &who.0).await? {
        return Ok(SearchAnswer::nothing());
    }
    let found = search::actions(&ask.app, who, to, &around, page).await?;
    let action = |name: &Name| FoundAction { name: name.to_string() };
    SearchAnswer::of(&found, action, ToString::to_string, (&ask.app, limit, of))
}

/// Whether there is such an actor, of whom the caller may ask.
async fn is_known<B>(ask: &Ask<Nothing, B>, who: &ActorRef) -> Result<bool, Refusal> {
    match Asker::of(&ask.app, &ask.caller)?.may_ask(&ask.app, who).await {
        Err(refusal) if refusal.kind == Kind::NotFound => Ok(false),
        may => may.map(|()| true),
    }
}

/// Where the page begins, and what its search is known by: a token goes on with the search that it is of, and no other.
fn begin<T: std::str::FromStr<Err: Display>>(
    app: &App,
    what: &str,
    body: &impl Serialize,
    page: &PageBody,
) -> Result<(Digest, Page<T>), Refusal> {
    let of = Digest::of(canonical_json::write(&json!([what, body])).as_bytes());
    if page.limit == Some(0) {
        return Err(Refusal::new(Kind::Malformed, "a page has room for one result at least").field("page.limit"));
    }
    let asked = page.limit.map(|limit| usize::try_from(limit).unwrap_or(RESULTS_MAX).min(RESULTS_MAX));
    let Some(text) = page.token.as_deref().filter(|text| !text.is_empty()) else {
        return Ok((of, Page { after: None, limit: asked.unwrap_or(RESULTS_MAX) }));
    };
    if text.len() > TOKEN_BYTES_MAX {
        return Err(no_token(&format!("longer than {TOKEN_BYTES_MAX} bytes")));
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| no_token(&error))?;
    let bytes = app.page_seal.open(bytes).ok_or_else(|| no_token(&"it is not one of this server"))?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|error| no_token(&error))?;
    let is_other = token.of != of || asked.is_some_and(|asked| asked != token.limit);
    if is_other || !(1..=RESULTS_MAX).contains(&token.limit) {
        return Err(no_token(&"it is of another search; everything but the token stays as it was"));
    }
    let after = token.after.parse().map_err(|error| no_token(&error))?;
    Ok((of, Page { after: Some(after), limit: token.limit }))
}

fn no_token(why: &impl Display) -> Refusal {
    Refusal::new(Kind::Malformed, why.to_string()).field("page.token").hint("Pass the next_token of the page before")
}

impl<T> SearchAnswer<T> {
    fn nothing() -> Self {
        Self { page: PageView::default(), results: Vec::new() }
    }

    fn of<F>(
        found: &Found<F>,
        view: impl FnMut(&F) -> T,
        name: impl Fn(&F) -> String,
        (app, limit, of): (&App, usize, Digest),
    ) -> Result<Self, Refusal> {
        let results: Vec<_> = found.all.iter().map(view).collect();
        let next = found.until.as_ref().map(|until| Token { after: name(until), limit, of });
        let json = next.and_then(|token| serde_json::to_vec(&token).ok());
        let sealed = json.map(|json| app.page_seal.close(json)).transpose()?;
        let next_token = sealed.map(|sealed| URL_SAFE_NO_PAD.encode(sealed)).unwrap_or_default();
        Ok(Self { page: PageView { next_token, count: results.len() }, results })
    }
}
