//! Whoever asks: who that is here, and which actors act for it.

use super::list::{InOrder, Listed, Source, page_of};
use crate::app::App;
use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::actor::ActorState;
use credence_model::caller::Caller;
use credence_model::id::{ActorId, ActorRef, ClassName, Namespace};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::user::User;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Bound;

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeView {
    /// How the journal names it; missing if nothing was shown that says who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// The user in whose name it delegates, if it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
}

/// An actor, as the user whom it acts for sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnActorView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its id.
    pub id: ActorId,
    /// Its class.
    pub class: ClassName,
    /// Where it is in its life.
    pub state: ActorState,
    /// The session in which it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The actor that spawned it, by its id: what it may do, that one delegates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ActorId>,
}

/// Which page.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/me", Who::Anyone, "says who asks", read),
        route(Method::GET, "/v1/me/actors", Who::User, "lists the actors that act for the user who asks", actors),
    ]
}

async fn read(ask: Ask) -> Result<MeView, Refusal> {
    Ok(MeView { user: as_user(&ask.app, ask.caller.as_ref()), caller: ask.caller })
}

async fn actors(ask: Ask<PageQuery>) -> Result<Listed<OwnActorView>, Refusal> {
    let user = own(&ask.app, ask.caller.as_ref())?;
    let view = |state: &State, actor: &ActorRef| {
        let (actor, lineage) = (state.actors.get(actor)?, state.lineages.get(actor)?);
        Some(OwnActorView {
            namespace: actor.actor.namespace.clone(),
            id: actor.actor.actor.clone(),
            class: actor.class.clone(),
            state: actor.state,
            session: lineage.session.clone(),
            parent: lineage.parent.as_ref().map(|parent| parent.actor.clone()),
        })
    };
    page_of(&ask.app, ask.query.limit, ask.query.after.as_deref(), OfUser(user), view).await
}

/// The actors of a user.
#[derive(Clone)]
struct OfUser(User);

impl Source for OfUser {
    type Name = ActorRef;
    type Item = ActorRef;

    fn from<'s>(&'s self, state: &'s State, begin: Bound<ActorRef>) -> InOrder<'s, ActorRef, ActorRef> {
        Box::new(state.lineages.of_user(&self.0, begin).map(|(actor, _)| (actor.clone(), Cow::Borrowed(actor))))
    }
}

/// Whoever asks, as a user: as its identity provider names it, or by the trust domain that authenticated it.
pub(super) fn as_user(app: &App, caller: Option<&Caller>) -> Option<User> {
    let subject = match caller? {
        Caller::User { user } => return Some(user.clone()),
        Caller::Local { uid } => format!("uid:{uid}"),
        Caller::Svid { id } => id.to_string(),
        Caller::System | Caller::Node { .. } => return None,
    };
    Some(User { issuer: format!("spiffe://{}", app.trust_domain), subject })
}

/// The same where somebody has to be one.
pub(super) fn own(app: &App, caller: Option<&Caller>) -> Result<User, Refusal> {
    as_user(app, caller).ok_or_else(|| Refusal::new(Kind::Denied, "only a person delegates"))
}
