//! What commands about delegations lead to.

use super::actor::ended;
use super::catalogue::find_class;
use super::{Decision, Moment, draw, find_actor};
use crate::actor::ActorState;
use crate::budget::Taken;
use crate::class::Class;
use crate::command::{Answer, REASON_BYTES_MAX, Take, Use};
use crate::decided::{Decided, VERDICTS_MAX, WHY_BYTES_MAX};
use crate::delegation::{
    Delegation, Grantee, Grantor, Offer, PER_GRANTOR_MAX, REMEMBERED_PER_GRANTOR_MAX, REMEMBERED_SECS, Terms,
};
use crate::event::{Event, PermissionEvent};
use crate::id::{ActorRef, DelegationId, Digest, NodeName};
use crate::refusal::{Kind, Refusal};
use crate::state::{State, class_ref};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Most that is forgotten at once; the rest follows.
const FORGOTTEN_MAX: usize = 256;

pub(super) fn grant(
    state: &State,
    by: &Grantor,
    to: &Grantee,
    offer: &Offer,
    moment: Moment,
) -> Result<Decision, Refusal> {
    let terms = offer.terms(moment.now);
    let class = match to {
        Grantee::Class(class) => {
            if let Grantor::Actor(actor) = by {
                let message = format!("actor {actor} delegates to actors that it spawned, not to a class");
                return Err(Refusal::new(Kind::Denied, message).field("to"));
            }
            find_class(state, class)?
        }
        Grantee::Actor(actor) => check_actor(state, by, actor)?,
    };
    if let Grantor::User(user) = by {
        user.validate("by")?;
    }
    terms.validate(moment.now, secs_max(class))?;
    let (all, living) = state.delegations.count_of(by, moment.now);
    if living >= PER_GRANTOR_MAX {
        let message = format!("{by} has {PER_GRANTOR_MAX} delegations that are not over");
        return Err(Refusal::new(Kind::Limited, message).hint("Revoke one first"));
    }
    if all >= REMEMBERED_PER_GRANTOR_MAX {
        let message = format!("{by} has granted {REMEMBERED_PER_GRANTOR_MAX} delegations within a week");
        return Err(Refusal::new(Kind::Limited, message).hint("One that is over is forgotten after seven days"));
    }
    let id = DelegationId::generate(moment.now, draw(moment.entropy, 0));
    let delegation =
        Delegation { id, by: by.clone(), to: to.clone(), terms, used: 0, granted_at: moment.now, revoked: None };
    Ok(changed(id, PermissionEvent::DelegationGranted { delegation }))
}

/// Whether somebody may delegate to an actor; answers the actor's class. INVARIANT: a user delegates only to actors that act
/// for it, and an actor only to its children.
fn check_actor<'s>(state: &'s State, by: &Grantor, name: &ActorRef) -> Result<&'s Class, Refusal> {
    let lineage = state.lineages.get(name).cloned().unwrap_or_default();
    let denied = |message: String| Err(Refusal::new(Kind::Denied, message).field("to"));
    match by {
        // Whether it is there, whom it acts for instead and what became of it is not this user's business.
        Grantor::User(user) if lineage.user.as_ref() != Some(user) => {
            return denied(format!("actor {name} does not act for {user}"));
        }
        Grantor::Actor(parent) if lineage.parent.as_ref() != Some(parent) => {
            return denied(format!("actor {name} was not spawned by {parent}"));
        }
        _ => {}
    }
    let actor = find_actor(state, name)?;
    if matches!(actor.state, ActorState::Quarantined | ActorState::Terminated) {
        return Err(ended(&actor, "delegated to"));
    }
    find_class(state, &class_ref(&actor))
}

fn secs_max(class: &Class) -> u64 {
    let revision = class.in_force().or_else(|| class.newest());
    revision.map_or(0, |(_, revision)| revision.spec.permissions.delegation.max_secs)
}

pub(super) fn narrow(
    state: &State,
    id: &DelegationId,
    of: Option<&Grantor>,
    terms: &Terms,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let found = find(state, id, of)?;
    if found.is_over(now) {
        let message = format!("delegation {id} is over, and a delegation does not begin anew");
        return Err(Refusal::new(Kind::Conflict, message).hint("Grant another one"));
    }
    if found.terms == *terms {
        return Ok(unchanged(id));
    }
    if let Some(field) = terms.wider_than(&found.terms) {
        let message = "it is wider than what was delegated";
        return Err(Refusal::new(Kind::Denied, message)
            .field(field)
            .hint("A delegation only becomes narrower; grant another one"));
    }
    terms.validate(now.min(found.granted_at), u64::MAX / 1000)?;
    Ok(changed(*id, PermissionEvent::DelegationNarrowed { delegation: *id, terms: terms.clone() }))
}

pub(super) fn revoke(
    state: &State,
    id: &DelegationId,
    of: Option<&Grantor>,
    reason: Option<&String>,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(Refusal::new(Kind::Malformed, format!("longer than {REASON_BYTES_MAX} bytes")).field("reason"));
    }
    if find(state, id, of)?.is_over(now) {
        return Ok(unchanged(id));
    }
    Ok(changed(*id, PermissionEvent::DelegationRevoked { delegation: *id, reason: reason.cloned() }))
}

/// Somebody else's is not found: who asks does not learn that it exists.
fn find(state: &State, id: &DelegationId, of: Option<&Grantor>) -> Result<Delegation, Refusal> {
    let found = state.delegations.get(id).filter(|found| of.is_none_or(|of| found.by == *of));
    found.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no delegation {id}")))
}

/// Uses up what is counted, and records the decisions that it follows from. INVARIANT: it is all there, or nothing is taken.
pub(super) fn take(state: &State, uses: &[Use], now: Timestamp) -> Result<Decision, Refusal> {
    let mut taken = Uncommitted { state, now, delegations: BTreeMap::new(), budgets: BTreeMap::new() };
    let mut events = Vec::new();
    for used in uses {
        let Use { actor, decided, delegations, budgets } = used;
        let is_allowed = decided.as_ref().is_some_and(|decided| decided.allowed);
        if is_allowed || !delegations.is_empty() || !budgets.is_empty() {
            check_users(state, actor, budgets)?;
        }
        delegations.iter().try_for_each(|id| taken.use_delegation(*id))?;
        budgets.iter().try_for_each(|take| taken.use_budget(actor, take))?;
        events.extend(decided.as_deref().map(recorded).transpose()?);
        events.extend(counted(state, used));
    }
    Ok(Decision::done(events))
}

/// What the uses before one of the same command take.
struct Uncommitted<'s> {
    state: &'s State,
    now: Timestamp,
    delegations: BTreeMap<DelegationId, u64>,
    budgets: BTreeMap<(ActorRef, Digest), i64>,
}

impl Uncommitted<'_> {
    fn use_delegation(&mut self, id: DelegationId) -> Result<(), Refusal> {
        let mut found = find(self.state, &id, None)?;
        let before = self.delegations.entry(id).or_default();
        found.used = found.used.saturating_add(*before);
        if let Some(lapse) = found.lapse(self.now) {
            return Err(Refusal::new(Kind::Denied, format!("delegation {id} counts no more: {lapse}")));
        }
        *before += 1;
        Ok(())
    }

    fn use_budget(&mut self, actor: &ActorRef, Take { taken, most }: &Take) -> Result<(), Refusal> {
        let whose = taken.of.as_ref().unwrap_or(actor);
        let recorded = self.state.budgets.taken(whose, taken.budget, taken.since_secs).ten_thousandths();
        let before = self.budgets.entry((whose.clone(), taken.budget)).or_default();
        // Beside each other in one command they are taken at one moment, and so in one period.
        let sum = before.checked_add(taken.amount);
        match sum.filter(|sum| recorded.checked_add(*sum).is_some_and(|all| all <= *most)) {
            Some(sum) => *before = sum,
            None => return Err(Refusal::new(Kind::Denied, format!("the budget of {whose} is used up"))),
        }
        Ok(())
    }
}

/// What is taken counts in the present period, or in the later one that something was counted in already.
fn counted(state: &State, Use { actor, delegations, budgets, .. }: &Use) -> Option<Event> {
    let counted = |Take { taken, .. }: &Take| {
        let whose = taken.of.as_ref().unwrap_or(actor);
        Taken { since_secs: state.budgets.period_secs(whose, taken.budget, taken.since_secs), ..taken.clone() }
    };
    let (delegations, budgets) = (delegations.clone(), budgets.iter().map(counted).collect::<Vec<_>>());
    let is_counted = !delegations.is_empty() || !budgets.is_empty();
    is_counted.then(|| Event::Permission(PermissionEvent::Used { actor: actor.clone(), delegations, budgets }))
}

/// Records what a node decided. INVARIANT: it speaks for actors that it holds, or held last; what it says of others is left out.
pub(super) fn record(state: &State, node: &NodeName, decided: &[Decided]) -> Result<Decision, Refusal> {
    let is_its = |decided: &&Decided| match state.actors.get(&decided.actor) {
        Some(actor) => {
            let holds = actor.binding.as_ref().is_some_and(|held| held.node == *node);
            holds || actor.last.as_ref().is_some_and(|(_, last)| last == node)
        }
        None => false,
    };
    Ok(Decision::done(decided.iter().filter(is_its).map(recorded).collect::<Result<_, _>>()?))
}

fn recorded(decided: &Decided) -> Result<Event, Refusal> {
    if decided.verdicts.len() > VERDICTS_MAX || decided.verdicts.iter().any(|said| said.why.len() > WHY_BYTES_MAX) {
        return Err(Refusal::new(Kind::Malformed, "a decision is told in more words than are recorded"));
    }
    Ok(Event::Permission(PermissionEvent::Decided { decided: Box::new(decided.clone()) }))
}

/// Whoever ended since it was decided uses nothing up, and nothing is counted for who was deleted.
fn check_users(state: &State, actor: &ActorRef, budgets: &[Take]) -> Result<(), Refusal> {
    for name in budgets.iter().filter_map(|take| take.taken.of.as_ref()).chain([actor]) {
        let found = state.actors.get(name);
        if found.is_none_or(|found| matches!(found.state, ActorState::Quarantined | ActorState::Terminated)) {
            return Err(Refusal::new(Kind::Denied, format!("actor {name} has ended")));
        }
    }
    Ok(())
}

/// What nobody needs to remember any more.
pub(super) fn forget(state: &State, now: Timestamp) -> Option<Event> {
    let delegations: Vec<_> = state.delegations.over_by(now.minus_secs(REMEMBERED_SECS)).take(FORGOTTEN_MAX).collect();
    (!delegations.is_empty()).then_some(Event::Permission(PermissionEvent::DelegationsForgotten { delegations }))
}

fn changed(delegation: DelegationId, event: PermissionEvent) -> Decision {
    Decision { events: vec![Event::Permission(event)], answer: Answer::Delegation { delegation, changed: true } }
}

fn unchanged(delegation: &DelegationId) -> Decision {
    Decision { events: Vec::new(), answer: Answer::Delegation { delegation: *delegation, changed: false } }
}
