//! What commands about guards lead to.

use super::Decision;
use super::catalogue::{applied, check_version, mismatch};
use crate::command::{Answer, Command};
use crate::event::{Event, PermissionEvent};
use crate::guard::{GUARDS_MAX, OVERLAPPING_MAX};
use crate::id::GuardRef;
use crate::label::check_labels;
use crate::refusal::{Kind, Refusal};
use crate::state::State;

pub(super) fn apply(state: &State, command: &Command) -> Result<Decision, Refusal> {
    let Command::ApplyGuard { guard, labels, spec, if_version } = command else { return Err(mismatch()) };
    check_labels("metadata.labels", labels)?;
    spec.validate()?;
    let old = state.guards.get(guard);
    check_version("guard", guard, old.map(|old| old.version), *if_version)?;
    if let Some(old) = old.filter(|old| old.labels == *labels && old.spec == *spec) {
        let answer = Answer::Applied { version: old.version, revision: 0, changed: false };
        return Ok(Decision { events: Vec::new(), answer });
    }
    if old.is_none() && state.guards.len() >= GUARDS_MAX {
        let refusal = Refusal::new(Kind::Limited, format!("there are {GUARDS_MAX} guards already"));
        return Err(refusal.hint("Write what several of one owner say into one"));
    }
    // All that cover one resource overlap, so none is covered by more than this.
    let others = state.guards.overlapping(&spec.resource).filter(|found| found.guard != *guard).count();
    if others >= OVERLAPPING_MAX {
        let message = format!("{others} other guards cover some of {}", spec.resource);
        return Err(Refusal::new(Kind::Limited, message)
            .field("spec.resource")
            .hint("Name less, or write it into one"));
    }
    let (guard, labels, spec) = (guard.clone(), labels.clone(), Box::new(spec.clone()));
    Ok(applied(state, 0, Event::Permission(PermissionEvent::GuardApplied { guard, labels, spec })))
}

pub(super) fn delete(state: &State, guard: &GuardRef) -> Result<Decision, Refusal> {
    if state.guards.get(guard).is_none() {
        return Err(Refusal::new(Kind::NotFound, format!("there is no guard {guard}")));
    }
    Ok(Decision::done(vec![Event::Permission(PermissionEvent::GuardDeleted { guard: guard.clone() })]))
}
