//! What the creation of an actor that comes from somewhere leads to: a child, a copy, or one that acts for a user.

use super::actor::{at_first, created, ended};
use super::{Decision, Moment, find_actor};
use crate::actor::{Actor, ActorState};
use crate::class::permissions::SpawnTerms;
use crate::command::Command;
use crate::delegation::check_session;
use crate::event::{Event, PermissionEvent};
use crate::id::{ActorRef, ClassRef};
use crate::lineage::Lineage;
use crate::refusal::{Kind, Refusal};
use crate::state::{State, class_ref};

pub(super) fn spawn(state: &State, command: &Command, moment: Moment) -> Result<Decision, Refusal> {
    let Command::SpawnActor { class, id, labels, lineage } = command else {
        return Err(Refusal::new(Kind::Bug, "a command reached the wrong decision"));
    };
    let lineage = inherited(state, class, lineage)?;
    let (actor, event) = created(state, class, id.as_ref(), labels, moment)?;
    let answer = at_first(actor.clone());
    let comes_from = (lineage != Lineage::default()).then_some(PermissionEvent::ActorDescends { actor, lineage });
    Ok(Decision { events: std::iter::once(event).chain(comes_from.map(Event::Permission)).collect(), answer })
}

/// What the new actor has from where it comes from.
fn inherited(state: &State, class: &ClassRef, said: &Lineage) -> Result<Lineage, Refusal> {
    let malformed = |field: &str, message: &str| Err(Refusal::new(Kind::Malformed, message).field(field));
    if said.depth != 0 {
        return malformed("depth", "it is counted here");
    }
    if said.session.is_some() && said.user.is_none() {
        return malformed("session", "a session is somebody's; say the user, too");
    }
    said.user.iter().try_for_each(|user| user.validate("user"))?;
    said.session.iter().try_for_each(|session| check_session("session", session))?;
    if let Some(copied) = &said.forked_from {
        let copied = find_actor(state, copied)?;
        if class_ref(&copied) != *class {
            return malformed("forked_from", "a copy is of the same class");
        }
        if copied.state == ActorState::Quarantined {
            return Err(ended(&copied, "copied"));
        }
        let of_original = state.lineages.get(&copied.actor);
        if said.user.is_none() && of_original.is_some_and(|lineage| lineage.user.is_some() || lineage.parent.is_some())
        {
            return malformed("user", "the original acts for somebody; say whom the copy acts for");
        }
    }
    let Some(parent) = &said.parent else { return Ok(said.clone()) };
    if said.user.is_some() {
        return malformed("user", "a child acts for whom its parent acts");
    }
    let parent = find_actor(state, parent)?;
    let depth = check_parent(state, &parent)?;
    let of_parent = state.lineages.get(&parent.actor).cloned().unwrap_or_default();
    Ok(Lineage { user: of_parent.user, session: of_parent.session, depth, ..said.clone() })
}

/// Whether an actor may have one more child; answers the depth of that.
fn check_parent(state: &State, parent: &Actor) -> Result<u32, Refusal> {
    if matches!(parent.state, ActorState::Quarantined | ActorState::Terminated) {
        return Err(ended(parent, "a parent"));
    }
    let limited = |message: String| Err(Refusal::new(Kind::Limited, message).field("parent"));
    let children = state.children.get(&parent.actor).copied().unwrap_or_default();
    let most = terms(state, parent).max_children;
    if children >= most {
        return limited(format!(
            "{} has {children} children that have not ended, and its class allows {most}",
            parent.actor
        ));
    }
    let mut below = 1;
    let mut ancestor = Some(parent.actor.clone());
    while let Some(name) = ancestor {
        let found = find_actor(state, &name)?;
        let most = terms(state, &found).max_depth;
        if below > most {
            return limited(format!("the class of {name} allows a chain of {most} below it"));
        }
        below += 1;
        ancestor = parent_of(state, &name);
    }
    Ok(below - 1)
}

fn parent_of(state: &State, actor: &ActorRef) -> Option<ActorRef> {
    state.lineages.get(actor)?.parent.clone()
}

/// What the class of an actor says of its children; nothing may be spawned without a revision in force.
fn terms(state: &State, actor: &Actor) -> SpawnTerms {
    let nothing = SpawnTerms { max_depth: 0, max_children: 0 };
    let in_force = state.class_of(actor).filter(|class| class.enabled).and_then(|class| class.in_force());
    in_force.map_or(nothing, |(_, revision)| revision.spec.permissions.spawn.clone())
}
