//! What commands about actors lead to, except resuming.

use super::{Decision, Moment, answer_about, catalogue, draw, find_actor, time_of_day};
use crate::actor::{Actor, ActorState, Phase, UnbindMode};
use crate::command::{Answer, REASON_BYTES_MAX};
use crate::event::Event;
use crate::id::{ActorId, ActorRef, ClassRef, Epoch};
use crate::label::{Labels, check_labels};
use crate::refusal::{Kind, Refusal};
use crate::state::State;

pub(super) fn create(
    state: &State,
    class: &ClassRef,
    id: Option<&ActorId>,
    labels: &Labels,
    moment: Moment,
) -> Result<Decision, Refusal> {
    let (actor, event) = created(state, class, id, labels, moment)?;
    Ok(Decision { events: vec![event], answer: at_first(actor) })
}

/// The new actor of this class and the event that creates it. INVARIANT: an id that was ever used is refused.
pub(super) fn created(
    state: &State,
    class: &ClassRef,
    id: Option<&ActorId>,
    labels: &Labels,
    moment: Moment,
) -> Result<(ActorRef, Event), Refusal> {
    catalogue::find_class(state, class)?;
    check_labels("labels", labels)?;
    let id = id.cloned().unwrap_or_else(|| ActorId::generate(moment.now, draw(moment.entropy, 1)));
    let actor = ActorRef { namespace: class.namespace.clone(), actor: id };
    if state.actors.contains(&actor) || state.is_tombstone(&actor) {
        let message = format!("actor id {actor} was used before; an id is never used twice");
        return Err(Refusal::new(Kind::Conflict, message).field("id").hint("Choose another, or leave it out"));
    }
    let event = Event::ActorCreated { actor: actor.clone(), class: class.class.clone(), labels: labels.clone() };
    Ok((actor, event))
}

/// What whoever creates an actor is told of it.
pub(super) fn at_first(actor: ActorRef) -> Answer {
    Answer::Actor { actor, state: ActorState::Suspended, epoch: Epoch::default(), binding: None, waiting: false }
}

pub(super) fn suspend(state: &State, actor: &ActorRef) -> Result<Decision, Refusal> {
    let actor = &*find_actor(state, actor)?;
    let mut answer = answer_about(actor);
    let events = match actor.state {
        ActorState::Suspended if actor.wait.is_some() => {
            let reason = "it was suspended".to_owned();
            if let Answer::Actor { waiting, .. } = &mut answer {
                *waiting = false;
            }
            vec![Event::ActorUnqueued { actor: actor.actor.clone(), reason }]
        }
        ActorState::Suspended => Vec::new(),
        ActorState::Starting | ActorState::Running | ActorState::Suspending | ActorState::Lost => {
            if let Answer::Actor { state, .. } = &mut answer
                && *state != ActorState::Lost
            {
                *state = ActorState::Suspending;
            }
            unbind(actor, UnbindMode::Suspend, false).into_iter().collect()
        }
        ActorState::Quarantined | ActorState::Terminated => return Err(ended(actor, "suspended")),
    };
    Ok(Decision { events, answer })
}

pub(super) fn terminate(state: &State, actor: &ActorRef, reason: Option<&String>) -> Result<Decision, Refusal> {
    check_reason(reason)?;
    let actor = &*find_actor(state, actor)?;
    if actor.state == ActorState::Terminated {
        return Err(ended(actor, "terminated again"));
    }
    let event = Event::ActorTerminated { actor: actor.actor.clone(), reason: reason.cloned() };
    Ok(stopped(actor, event, UnbindMode::Terminate, ActorState::Terminated))
}

pub(super) fn quarantine(state: &State, actor: &ActorRef, reason: Option<&String>) -> Result<Decision, Refusal> {
    check_reason(reason)?;
    let actor = &*find_actor(state, actor)?;
    if matches!(actor.state, ActorState::Terminated | ActorState::Quarantined) {
        return Err(ended(actor, "quarantined"));
    }
    let event = Event::ActorQuarantined { actor: actor.actor.clone(), reason: reason.cloned() };
    Ok(stopped(actor, event, UnbindMode::Quarantine, ActorState::Quarantined))
}

pub(super) fn delete(state: &State, actor: &ActorRef) -> Result<Decision, Refusal> {
    let actor = &*find_actor(state, actor)?;
    let mut events = Vec::new();
    if actor.binding.is_some() || !matches!(actor.state, ActorState::Suspended | ActorState::Terminated) {
        let message = format!("actor {} is {} and cannot be deleted", actor.actor, words(actor));
        return Err(Refusal::new(Kind::Conflict, message).hint("Terminate it first, and wait until its worker is free"));
    }
    if actor.state == ActorState::Suspended {
        events.push(Event::ActorTerminated { actor: actor.actor.clone(), reason: None });
    }
    events.push(Event::ActorDeleted { actor: actor.actor.clone() });
    Ok(Decision::done(events))
}

/// The event that ends the actor's binding in this way, unless it is ending in this way (or a harder one) already.
pub(super) fn unbind(actor: &Actor, mode: UnbindMode, wanted: bool) -> Option<Event> {
    let binding = actor.binding.as_ref()?;
    let harder = |mode: UnbindMode| match mode {
        UnbindMode::Suspend => 0,
        UnbindMode::Terminate => 1,
        UnbindMode::Quarantine => 2,
        UnbindMode::Drop => 3,
    };
    match binding.phase {
        Phase::Ending(present) if harder(present) > harder(mode) => None,
        Phase::Ending(present) if present == mode && actor.wanted == wanted => None,
        _ => Some(Event::ActorUnbinding { actor: actor.actor.clone(), binding: binding.id, mode, wanted }),
    }
}

/// Why an actor that has ended cannot be asked for anything more.
pub(super) fn ended(actor: &Actor, verb: &str) -> Refusal {
    let id = &actor.actor.actor;
    let (when, by) = (time_of_day(actor.changed_at), &actor.changed_by);
    if actor.state == ActorState::Quarantined {
        let message = format!("{id} cannot be {verb}: it was quarantined at {when} by {by}");
        return Refusal::new(Kind::Revoked, message)
            .hint("Its state is kept as evidence; terminate it to end it for ever");
    }
    let message = format!("{id} cannot be {verb}: it was terminated at {when} by {by}");
    Refusal::new(Kind::Conflict, message).hint("A terminated actor never returns; create a new one")
}

/// An actor's state in a sentence.
pub(super) fn words(actor: &Actor) -> &'static str {
    match actor.state {
        ActorState::Suspended if actor.wait.is_some() => "waiting for a worker",
        ActorState::Suspended => "suspended",
        ActorState::Starting => "starting",
        ActorState::Running => "running",
        ActorState::Suspending => "being suspended",
        ActorState::Lost => "lost",
        ActorState::Quarantined => "quarantined",
        ActorState::Terminated => "terminated",
    }
}

fn stopped(actor: &Actor, event: Event, mode: UnbindMode, to: ActorState) -> Decision {
    let events = std::iter::once(event).chain(unbind(actor, mode, false)).collect();
    let mut answer = answer_about(actor);
    if let Answer::Actor { state, waiting, .. } = &mut answer {
        *state = to;
        *waiting = false;
    }
    Decision { events, answer }
}

fn check_reason(reason: Option<&String>) -> Result<(), Refusal> {
    match reason {
        Some(text) if text.len() > REASON_BYTES_MAX => {
            Err(Refusal::new(Kind::Malformed, format!("longer than {REASON_BYTES_MAX} bytes")).field("reason"))
        }
        _ => Ok(()),
    }
}
