//! What commands about classes and pools lead to.

use super::Decision;
use crate::class::{Class, Revision};
use crate::command::{Answer, Command};
use crate::event::{Event, PermissionEvent};
use crate::id::{ClassRef, PoolRef};
use crate::label::check_labels;
use crate::pool::SHARE_WITH_MAX;
use crate::refusal::{Kind, Refusal};
use crate::state::State;

pub(super) fn apply_class(state: &State, command: &Command) -> Result<Decision, Refusal> {
    let Command::ApplyClass { class, labels, spec, if_version } = command else { return Err(mismatch()) };
    spec.validate()?;
    check_labels("metadata.labels", labels)?;
    let old = state.classes.get(class);
    check_version("class", class, old.map(|class| class.version), *if_version)?;
    let newest = old.and_then(Class::newest);
    if let (Some(old), Some((number, revision))) = (old, newest)
        && *revision.spec == *spec
    {
        if old.labels == *labels {
            return Ok(unchanged(old));
        }
        let event = Event::ClassLabelled { class: class.clone(), labels: labels.clone() };
        return Ok(applied(state, number, event));
    }
    let revision = newest.map_or(0, |(number, _)| number) + 1;
    let consented = old.and_then(Class::consented).map(|(_, revision)| revision.spec.permissions.clone());
    let is_wider = spec.permissions.is_wider_than(&consented.unwrap_or_default());
    let (labels, spec) = (labels.clone(), Box::new(spec.clone()));
    let mut decision = applied(state, revision, Event::ClassRevised { class: class.clone(), labels, revision, spec });
    if is_wider {
        let wanted = PermissionEvent::ConsentWanted { class: class.clone(), revision };
        decision.events.push(Event::Permission(wanted));
        decision.answer = Answer::Applied { version: state.last_index + 2, revision, changed: true };
    }
    Ok(decision)
}

pub(super) fn enable(
    state: &State,
    class: &ClassRef,
    revision: Option<u32>,
    enabled: bool,
) -> Result<Decision, Refusal> {
    let found = find_class(state, class)?;
    let event = match revision {
        None if found.enabled == enabled => return Ok(unchanged(found)),
        None => Event::ClassEnabled { class: class.clone(), enabled },
        Some(revision) if find_revision(found, revision)?.allowed == enabled => return Ok(unchanged(found)),
        Some(revision) => Event::RevisionAllowed { class: class.clone(), revision, allowed: enabled },
    };
    Ok(applied(state, newest_number(found), event))
}

pub(super) fn delete_class(state: &State, class: &ClassRef) -> Result<Decision, Refusal> {
    find_class(state, class)?;
    let actors = state.actors_per_class.get(class).copied().unwrap_or_default();
    if actors > 0 {
        let message = format!("class {class} still has {actors} actor{}", if actors == 1 { "" } else { "s" });
        return Err(Refusal::new(Kind::Conflict, message).hint("Delete its actors first, or disable the class"));
    }
    Ok(Decision::done(vec![Event::ClassDeleted { class: class.clone() }]))
}

pub(super) fn apply_pool(state: &State, command: &Command) -> Result<Decision, Refusal> {
    let Command::ApplyPool { pool, labels, spec, if_version } = command else { return Err(mismatch()) };
    check_labels("metadata.labels", labels)?;
    if spec.share_with.len() > SHARE_WITH_MAX {
        let message = format!("more than {SHARE_WITH_MAX} namespaces");
        return Err(Refusal::new(Kind::Malformed, message).field("spec.shareWith").hint("Use shareWithAll"));
    }
    if spec.description.len() > crate::class::DESCRIPTION_BYTES_MAX {
        return Err(Refusal::new(Kind::Malformed, "it is too long").field("spec.description"));
    }
    let old = state.pools.get(pool);
    check_version("pool", pool, old.map(|pool| pool.version), *if_version)?;
    if let Some(old) = old.filter(|old| old.labels == *labels && old.spec == *spec) {
        let answer = Answer::Applied { version: old.version, revision: 0, changed: false };
        return Ok(Decision { events: Vec::new(), answer });
    }
    let event = Event::PoolApplied { pool: pool.clone(), labels: labels.clone(), spec: spec.clone() };
    Ok(applied(state, 0, event))
}

pub(super) fn delete_pool(state: &State, pool: &PoolRef) -> Result<Decision, Refusal> {
    if !state.pools.contains_key(pool) {
        return Err(Refusal::new(Kind::NotFound, format!("there is no pool {pool}")));
    }
    if let Some(worker) = state.workers.values().find(|worker| worker.worker.pool == *pool) {
        let message = format!("pool {pool} still has worker {} on node {}", worker.worker.worker, worker.node);
        return Err(Refusal::new(Kind::Conflict, message).hint("Drain its workers first"));
    }
    Ok(Decision::done(vec![Event::PoolDeleted { pool: pool.clone() }]))
}

pub(super) fn find_class<'s>(state: &'s State, class: &ClassRef) -> Result<&'s Class, Refusal> {
    state.classes.get(class).ok_or_else(|| {
        Refusal::new(Kind::NotFound, format!("there is no class {class}"))
            .field("class")
            .hint("Apply its file first: credence apply -f FILE")
    })
}

pub(super) fn find_revision(class: &Class, number: u32) -> Result<&Revision, Refusal> {
    class.revisions.get(&number).ok_or_else(|| {
        let newest = newest_number(class);
        let message = format!("class {} has no revision {number}; the newest is {newest}", class.class);
        Refusal::new(Kind::NotFound, message).field("revision")
    })
}

/// The number of the newest revision.
pub(super) fn newest_number(class: &Class) -> u32 {
    class.newest().map_or(0, |(number, _)| number)
}

pub(super) fn unchanged(class: &Class) -> Decision {
    let answer = Answer::Applied { version: class.version, revision: newest_number(class), changed: false };
    Decision { events: Vec::new(), answer }
}

/// The event gets the next index, which is the object's version from then on.
pub(super) fn applied(state: &State, revision: u32, event: Event) -> Decision {
    let answer = Answer::Applied { version: state.last_index + 1, revision, changed: true };
    Decision { events: vec![event], answer }
}

pub(super) fn check_version(
    what: &str,
    name: &impl std::fmt::Display,
    is: Option<u64>,
    expected: Option<u64>,
) -> Result<(), Refusal> {
    let message = match (expected, is) {
        (None, _) => return Ok(()),
        (Some(expected), is) if expected == is.unwrap_or(0) => return Ok(()),
        (Some(0), _) => format!("{what} {name} exists already"),
        (Some(expected), Some(is)) => {
            format!("{what} {name} changed since you read it: version {is}, you have {expected}")
        }
        (Some(expected), None) => format!("{what} {name} does not exist (any more); you have version {expected}"),
    };
    let hint = "Read it again, make your change there, and apply that";
    Err(Refusal::new(Kind::Conflict, message).field("metadata.version").hint(hint))
}

pub(super) fn mismatch() -> Refusal {
    Refusal::new(Kind::Bug, "a command reached the wrong decision")
}
