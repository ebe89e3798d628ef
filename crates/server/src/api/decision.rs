//! Decisions for people: whether an actor could do something, what it may do at all, and why something was decided.

use super::guard::GuardView;
use super::text::Text;
use crate::judge::consider;
use crate::past::consider_at;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::decided::Decided;
use credence_model::event::{Entry, Event, PermissionEvent};
use credence_model::guard::Guard;
use credence_model::id::{ActorRef, ClassRef, DecisionId};
use credence_model::permission::Permission;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_policy::asked::Asked;
use credence_policy::brief::{Ancestor, Brief};
use credence_policy::decision::changes_at;
use credence_policy::judged::Judged;
use credence_policy::verdict::Verdict;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far from the time of a decision its entry is looked for, in milliseconds: clocks of one server agree, and an append
/// takes no longer.
const NEAR_MS: u64 = 60_000;
/// Entries that are read at once.
const PAGE: usize = 1_000;

/// A decision and what every layer said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictsView {
    /// The decision.
    pub decision_id: DecisionId,
    /// What each layer says: those of the actor, then those of the actor that spawned it, and so on.
    pub verdicts: Vec<Verdict>,
    /// What has to happen beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<String>,
}

/// Whether an actor could do something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanBody {
    /// What.
    pub action: String,
    /// To what, as `KIND/NAME`.
    pub resource: String,
    /// What is known of the resource.
    #[serde(default)]
    pub properties: Value,
    /// What else the request says.
    #[serde(default)]
    pub context: Value,
    /// As it would have been decided at this time, in milliseconds since the Unix epoch; now if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// Whether it could. Nothing was recorded and nothing used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanView {
    /// Whether it could.
    pub allowed: bool,
    /// Why.
    #[serde(flatten)]
    pub verdicts: VerdictsView,
}

/// What an actor may do, layer by layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionsView {
    /// The layers of the actor, then those of the actor that spawned it, and so on.
    pub actors: Vec<LayersView>,
    /// What all of them allow: what it may do.
    pub effective: Vec<Permission>,
    /// What owners of resources say about some of that; each of them has to allow it, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardView>,
    /// When something begins or ends by itself next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_at: Option<Timestamp>,
}

/// The layers of one actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayersView {
    /// The actor.
    pub actor: Text<ActorRef>,
    /// Its class.
    pub class: Text<ClassRef>,
    /// The revision in force; 0 if none is.
    pub revision: u32,
    /// Why it may do nothing at all, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<String>,
    /// What its class allows.
    pub allow: Vec<Permission>,
    /// What its class forbids all the same.
    pub forbid: Vec<Permission>,
    /// What the consent is limited to; to nothing less than the class allows if empty.
    pub only: Vec<Permission>,
    /// Who delegates to it; nobody if it acts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_by: Option<String>,
    /// What is delegated to it now.
    pub delegated: Vec<Permission>,
}

/// A decision as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionView {
    /// Number of its journal entry.
    pub index: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What was decided.
    pub decided: Decided,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route(
            Method::POST,
            "/v1/actors/{namespace}/{id}/can",
            Who::Admin,
            "says whether an actor could do something",
            can,
        )
        .only_telling(),
        route(
            Method::GET,
            "/v1/actors/{namespace}/{id}/permissions",
            Who::Admin,
            "says what an actor may do",
            permissions,
        ),
        route(Method::GET, "/v1/decisions/{id}", Who::Admin, "shows a recorded decision", read),
    ]
}

async fn can(ask: Ask<Nothing, CanBody>) -> Result<CanView, Refusal> {
    let CanBody { action, resource, properties, context, as_of } = &ask.body;
    let Some((kind, id)) = resource.split_once('/') else {
        return Err(
            Refusal::new(Kind::Malformed, "a resource is KIND/NAME, e.g. tool/expenses/submit").field("resource")
        );
    };
    let asked = Asked::read(ask.actor()?, action, (kind, id), (properties, context))?;
    let judged = match as_of {
        Some(at) => consider_at(&ask.app, asked, *at).await?,
        None => consider(&ask.app, asked).await?,
    };
    Ok(CanView { allowed: judged.decision.allowed, verdicts: VerdictsView::of(judged) })
}

async fn permissions(ask: Ask) -> Result<PermissionsView, Refusal> {
    let (actor, now) = (ask.actor()?, ask.app.clock.now());
    let name = actor.clone();
    let look = move |state: &State| (Brief::of(state, &actor, &|_| None), state.guards.clone());
    let (brief, guards) = ask.app.cell.read(look).await?;
    let brief = brief.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no actor {name}")))?;
    let (mut actors, mut effective, mut of) = (Vec::new(), None, Some(&brief));
    while let Some(brief) = of {
        let layers = LayersView::of(brief, now);
        effective = Some(layers.narrow(effective));
        actors.push(layers);
        of = match &brief.parent {
            Some(Ancestor::Known(parent)) => Some(parent),
            Some(Ancestor::Deleted(_)) => {
                effective = Some(Vec::new());
                None
            }
            None => None,
        };
    }
    let effective = effective.unwrap_or_default();
    let meets = |guard: &&Guard| effective.iter().any(|permission| guard.spec.resource.meet(&permission.target));
    let guards = guards.all().filter(meets).map(GuardView::of).collect();
    Ok(PermissionsView { actors, effective, guards, changes_at: changes_at(&brief, now) })
}

/// The id of a decision says when it was made, so its entry is found without an index.
async fn read(ask: Ask) -> Result<DecisionView, Refusal> {
    let id: DecisionId = ask.path("id")?;
    let unknown = || {
        let message = format!("decision {id} is not recorded");
        Refusal::new(Kind::NotFound, message).hint("Of decisions that allow, a class records as many as it says")
    };
    let made_at = id.made_at();
    let mut index = first_at(&ask, Timestamp(made_at.0.saturating_sub(NEAR_MS))).await?;
    loop {
        let page = ask.app.cell.entries(index, PAGE).await?;
        let Some(last) = page.last() else { return Err(unknown()) };
        index = last.index + 1;
        let is_over = last.at > made_at.plus_ms(NEAR_MS);
        if let Some(found) = page.into_iter().find_map(|entry| decision_in(entry, id)) {
            return Ok(found);
        }
        if is_over {
            return Err(unknown());
        }
    }
}

fn decision_in(entry: Entry, id: DecisionId) -> Option<DecisionView> {
    match entry.event {
        Event::Permission(PermissionEvent::Decided { decided }) if decided.id == id => {
            Some(DecisionView { index: entry.index, at: entry.at, decided: *decided })
        }
        _ => None,
    }
}

/// The first entry that is not older, by halving.
async fn first_at(ask: &Ask, at: Timestamp) -> Result<u64, Refusal> {
    let (mut low, mut high) = (1, ask.app.cell.recorded().borrow().index);
    while low < high {
        let middle = low + (high - low) / 2;
        let is_older = ask.app.cell.entries(middle, 1).await?.first().is_some_and(|entry| entry.at < at);
        if is_older { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

impl VerdictsView {
    pub(crate) fn of(Judged { id, decision, .. }: Judged) -> Self {
        Self { decision_id: id, verdicts: decision.layers, obligations: decision.obligations }
    }
}

impl LayersView {
    fn of(brief: &Brief, now: Timestamp) -> Self {
        let in_force = brief.delegations.iter().filter(|delegation| delegation.lapse(now).is_none());
        let lineage = &brief.lineage;
        let parent = lineage.parent.as_ref().map(|parent| format!("actor {parent}"));
        let nobody = brief.spec.permissions.delegation.required.then(|| "nobody".to_owned());
        Self {
            actor: Text(brief.actor.clone()),
            class: Text(brief.class.clone()),
            revision: brief.revision,
            barred: brief.barred.clone(),
            allow: brief.spec.permissions.allow.clone(),
            forbid: brief.spec.permissions.forbid.clone(),
            only: brief.only.clone(),
            delegated_by: parent.or_else(|| lineage.user.as_ref().map(ToString::to_string)).or(nobody),
            delegated: in_force.flat_map(|delegation| delegation.terms.allow.clone()).collect(),
        }
    }

    /// What is left of what all before it allow; all that it allows itself if it is the first.
    fn narrow(&self, before: Option<Vec<Permission>>) -> Vec<Permission> {
        if self.barred.is_some() {
            return Vec::new();
        }
        let mut left = before.map_or_else(|| self.allow.clone(), |before| both(&before, &self.allow));
        if !self.only.is_empty() {
            left = both(&left, &self.only);
        }
        if self.delegated_by.is_some() { both(&left, &self.delegated) } else { left }
    }
}

/// What two lists allow both, without what another of them contains.
fn both(one: &[Permission], other: &[Permission]) -> Vec<Permission> {
    let mut all: Vec<Permission> = Vec::new();
    for permission in one.iter().flat_map(|one| other.iter().filter_map(|other| one.both(other))) {
        if !permission.is_within(&all) {
            all.retain(|present| !permission.contains(present));
            all.push(permission);
        }
    }
    all
}
