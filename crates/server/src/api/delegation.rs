//! Delegations: what users, and actors, have others do for them; and the actors that actors spawn.

use super::actor::ActorView;
use super::list::{InOrder, Listed, Source, page, page_of};
use super::me;
use super::object::Done;
use crate::judge::judge;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command};
use credence_model::delegation::{Delegation, Grantee, Grantor, Lapse, Offer, Terms};
use credence_model::id::{ActorId, ActorRef, ClassName, ClassRef, DelegationId, Namespace};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::permission::detail::AuthorizationDetail;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::template::Named;
use credence_model::time::Timestamp;
use credence_model::user::User;
use credence_policy::asked::Asked;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::{Bound, RangeBounds as _};

/// How long a delegation lasts if nothing is said, in seconds.
pub const TTL_SECS_DEFAULT: u64 = 3_600;

/// A delegation as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelegationView {
    /// What was delegated.
    #[serde(flatten)]
    pub delegation: Delegation,
    /// What it allows, as authorization details (RFC 9396).
    #[serde(default)]
    pub authorization_details: Vec<AuthorizationDetail>,
    /// Why it counts for nothing now, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapse: Option<Lapse>,
}

/// Something is to be delegated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantBody {
    /// To whom.
    pub to: Grantee,
    /// What is allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Permission>,
    /// The same, or more, as authorization details (RFC 9396).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<AuthorizationDetail>,
    /// The user who delegates; whoever asks, if missing. An administrator who names another is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Only to actors that act in this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What for, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
    /// When it begins; now if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// How long it lasts from then on, in seconds; an hour if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u64>,
    /// How often it may be used; as often as wanted if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
}

/// What is to be narrower; what is missing stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NarrowBody {
    /// What is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Permission>>,
    /// The same, or more, as authorization details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<Vec<AuthorizationDetail>>,
    /// Only to actors that act in this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How often it may be used, what was used counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
}

/// Why a delegation is revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RevokeBody {
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An actor wants another one below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpawnBody {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its class.
    pub class: ClassName,
    /// A proposed id; generated if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ActorId>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What is delegated to it; nothing if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Permission>,
    /// The same, or more, as authorization details.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<AuthorizationDetail>,
    /// How long that lasts, in seconds; an hour if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u64>,
    /// What for, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
}

/// Which delegations to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DelegationQuery {
    /// Only those of the user of this issuer …
    issuer: Option<String>,
    /// … and name.
    subject: Option<String>,
    /// Only those that count now.
    #[serde(default)]
    in_force: bool,
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    const ONE: &str = "/v1/delegations/{id}";
    vec![
        route(Method::GET, "/v1/delegations", Who::User, "lists delegations; a user's own", list),
        route(Method::POST, "/v1/delegations", Who::User, "delegates something", grant),
        route(Method::GET, ONE, Who::User, "shows a delegation", read),
        route(Method::POST, "/v1/delegations/{id}/narrow", Who::User, "makes a delegation narrower", narrow),
        route(Method::POST, "/v1/delegations/{id}/revoke", Who::User, "revokes a delegation", revoke),
        route(Method::POST, "/v1/children", Who::Workload, "creates an actor below the calling one", spawn),
    ]
}

async fn list(ask: Ask<DelegationQuery>) -> Result<Listed<DelegationView>, Refusal> {
    let DelegationQuery { issuer, subject, in_force, limit, after } = ask.query;
    let now = ask.app.clock.now();
    let granted_by = only(&ask.caller);
    let view = move |_: &State, delegation: &Delegation| {
        let user = match &delegation.by {
            Grantor::User(user) => Some(user),
            Grantor::Actor(_) => None,
        };
        let is_of = |wanted: &Option<String>, of: fn(&User) -> &String| {
            wanted.as_ref().is_none_or(|wanted| user.map(of) == Some(wanted))
        };
        let is_meant = is_of(&issuer, |user| &user.issuer)
            && is_of(&subject, |user| &user.subject)
            && !(in_force && delegation.lapse(now).is_some());
        is_meant.then(|| DelegationView::of(delegation.clone(), now))
    };
    match granted_by {
        Some(grantor) => page_of(&ask.app, limit, after.as_deref(), GrantedBy(grantor), view).await,
        None => page(&ask.app, limit, after.as_deref(), |state| &state.delegations, view).await,
    }
}

/// The delegations of a grantor.
#[derive(Clone)]
struct GrantedBy(Grantor);

impl Source for GrantedBy {
    type Name = DelegationId;
    type Item = Delegation;

    fn from<'s>(&'s self, state: &'s State, begin: Bound<DelegationId>) -> InOrder<'s, DelegationId, Delegation> {
        // One grantor has a bounded number of them.
        let all =
            state.delegations.granted_by(&self.0).filter(move |found| (begin, Bound::Unbounded).contains(&found.id));
        Box::new(all.map(|delegation| (delegation.id, Cow::Owned(delegation))))
    }
}

/// Whose delegations somebody reaches: a user its own, and an administrator all.
fn only(caller: &Option<Caller>) -> Option<Grantor> {
    match caller {
        Some(Caller::User { user }) => Some(Grantor::User(user.clone())),
        _ => None,
    }
}

async fn grant(ask: Ask<Nothing, GrantBody>) -> Result<DelegationView, Refusal> {
    let GrantBody { to, allow, authorization_details, user, session, purpose, not_before, ttl_secs, uses } =
        ask.body.clone();
    let allow = with_details(allow, &authorization_details)?;
    let user = grantor(&ask, user)?;
    let lasts_ms = ttl_secs.unwrap_or(TTL_SECS_DEFAULT).saturating_mul(1000);
    let offer = Offer { allow, session, purpose, not_before, lasts_ms, uses };
    granted(&ask, Command::GrantDelegation { by: Grantor::User(user), to, offer }).await
}

async fn read(ask: Ask) -> Result<DelegationView, Refusal> {
    find(&ask, ask.path("id")?).await
}

async fn narrow(ask: Ask<Nothing, NarrowBody>) -> Result<DelegationView, Refusal> {
    let id: DelegationId = ask.path("id")?;
    let old = find(&ask, id).await?.delegation.terms;
    let NarrowBody { allow, authorization_details, session, expires_at, uses } = ask.body.clone();
    let allow = match (allow, authorization_details) {
        (None, None) => old.allow.clone(),
        (allow, details) => with_details(allow.unwrap_or_default(), &details.unwrap_or_default())?,
    };
    let terms = Terms {
        allow,
        session: session.or(old.session),
        expires_at: expires_at.unwrap_or(old.expires_at),
        uses: uses.or(old.uses),
        ..old
    };
    granted(&ask, Command::NarrowDelegation { delegation: id, of: only(&ask.caller), terms }).await
}

async fn revoke(ask: Ask<Nothing, RevokeBody>) -> Result<Done, Refusal> {
    let (delegation, reason) = (ask.path("id")?, ask.body.reason.clone());
    ask.submit(Command::RevokeDelegation { delegation, of: only(&ask.caller), reason }).await?;
    Ok(Done {})
}

/// A child is created only if its parent may spawn it at this moment, and has only what its parent delegates to it.
async fn spawn(ask: Ask<Nothing, SpawnBody>) -> Result<ActorView, Refusal> {
    let SpawnBody { namespace, class, id, labels, allow, authorization_details, ttl_secs, purpose } = ask.body.clone();
    let allow = with_details(allow, &authorization_details)?;
    let parent = acting(&ask)?;
    let class = ClassRef { namespace, class };
    if parent.namespace != class.namespace {
        let message = format!("actor {parent} spawns in its own namespace");
        return Err(Refusal::new(Kind::Denied, message).field("namespace"));
    }
    let lasts_ms = ttl_secs.unwrap_or(TTL_SECS_DEFAULT).saturating_mul(1000);
    let offer = Offer { allow, session: None, purpose, not_before: None, lasts_ms, uses: None };
    let offer = Some(offer).filter(|offer| !offer.allow.is_empty());
    // What could not be delegated leaves no child behind.
    let now = ask.app.clock.now();
    offer.iter().try_for_each(|offer| offer.terms(now).validate(now, u64::MAX / 1000))?;
    may_spawn(&ask, &parent, &class).await?;
    let lineage = Lineage { parent: Some(parent.clone()), ..Lineage::default() };
    let child = match ask.submit(Command::SpawnActor { class, id, labels, lineage }).await?.answer {
        Answer::Actor { actor, .. } => actor,
        _ => return Err(Refusal::new(Kind::Bug, "spawning an actor was answered with something else")),
    };
    if let Some(offer) = offer {
        pass_on(&ask, parent, &child, offer).await?;
    }
    super::actor::find(&ask.app, child).await
}

/// Delegates to a new child, once: the key of a retry is the one of its creation.
async fn pass_on(
    ask: &Ask<Nothing, SpawnBody>,
    parent: ActorRef,
    child: &ActorRef,
    offer: Offer,
) -> Result<(), Refusal> {
    let (by, to) = (Grantor::Actor(parent.clone()), Grantee::Actor(child.clone()));
    let (giver, given) = (by.clone(), to.clone());
    if ask.app.cell.read(move |state| state.delegations.between(&giver, &given).next().is_some()).await? {
        return Ok(());
    }
    let caller = ask.caller.clone().unwrap_or(Caller::System);
    ask.app.submit(caller, Command::GrantDelegation { by, to, offer }).await.map(drop)
}

async fn may_spawn(ask: &Ask<Nothing, SpawnBody>, parent: &ActorRef, class: &ClassRef) -> Result<(), Refusal> {
    let caller = ask.caller.clone().unwrap_or(Caller::System);
    let asked = Asked::read(parent.clone(), "spawn", ("class", &class.to_string()), (&Value::Null, &Value::Null))?;
    let judged = judge(&ask.app, &caller, asked).await?;
    let Some(denial) = judged.decision.denials().next() else { return Ok(()) };
    let refusal = Refusal::new(Kind::Denied, format!("{} (decision {})", denial.why, judged.id));
    let missing = denial.missing.as_ref().map(|missing| format!("Ask {} for `{}`", missing.who, missing.permission));
    Err(match missing {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    })
}

/// Permissions, and those that authorization details stand for.
fn with_details(mut allow: Vec<Permission>, details: &[AuthorizationDetail]) -> Result<Vec<Permission>, Refusal> {
    for (nth, detail) in details.iter().enumerate() {
        let place = |mut refusal: Refusal| {
            refusal.field = Some(format!("authorization_details[{nth}].{}", refusal.field.unwrap_or_default()));
            refusal
        };
        allow.push(Permission::try_from(detail).map_err(place)?);
    }
    Ok(allow)
}

/// The actor that calls.
fn acting<B>(ask: &Ask<Nothing, B>) -> Result<ActorRef, Refusal> {
    let id = match &ask.caller {
        Some(Caller::Svid { id }) => Some(id),
        _ => None,
    };
    match id.and_then(|id| ask.app.templates.read(id)) {
        Some(Named::Actor(_, actor)) => Ok(actor),
        _ => Err(Refusal::new(Kind::Denied, "only an actor has children").hint("Create an actor with POST /v1/actors")),
    }
}

/// The user who delegates: whoever asks, or whom an administrator names. INVARIANT: a user delegates in no other name.
fn grantor<B>(ask: &Ask<Nothing, B>, named: Option<User>) -> Result<User, Refusal> {
    let own = me::own(&ask.app, ask.caller.as_ref())?;
    match named {
        Some(other) if other != own && only(&ask.caller).is_some() => {
            let message = format!("you are {own}, and delegate in no other name");
            Err(Refusal::new(Kind::Denied, message).field("user").hint("Leave it away"))
        }
        named => Ok(named.unwrap_or(own)),
    }
}

async fn granted<B>(ask: &Ask<Nothing, B>, command: Command) -> Result<DelegationView, Refusal> {
    match ask.submit(command).await?.answer {
        Answer::Delegation { delegation, .. } => find(ask, delegation).await,
        _ => Err(Refusal::new(Kind::Bug, "delegating was answered with something else")),
    }
}

/// Somebody else's is not found: who asks does not learn that it exists.
async fn find<Q, B>(ask: &Ask<Q, B>, id: DelegationId) -> Result<DelegationView, Refusal> {
    let of = only(&ask.caller);
    let found = ask.app.cell.read(move |state| state.delegations.get(&id)).await?;
    let found = found.filter(|found| of.is_none_or(|of| found.by == of));
    let found = found.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no delegation {id}")))?;
    Ok(DelegationView::of(found, ask.app.clock.now()))
}

impl DelegationView {
    fn of(delegation: Delegation, now: Timestamp) -> Self {
        let authorization_details = delegation.terms.allow.iter().map(AuthorizationDetail::from).collect();
        Self { authorization_details, lapse: delegation.lapse(now), delegation }
    }
}
