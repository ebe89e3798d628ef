//! What an administrator's consent to a revision leads to.

use super::Decision;
use super::catalogue::{applied, find_class, find_revision, newest_number, unchanged};
use crate::class::consent::{ConsentState, ONLY_MAX};
use crate::class::{Class, Revision};
use crate::event::{Event, PermissionEvent};
use crate::id::ClassRef;
use crate::permission::Permission;
use crate::refusal::{Kind, Refusal};
use crate::state::State;

pub(super) fn give(
    state: &State,
    class: &ClassRef,
    revision: Option<u32>,
    only: &[Permission],
) -> Result<Decision, Refusal> {
    let class = find_class(state, class)?;
    let number = revision.unwrap_or_else(|| newest_number(class));
    let found = find_revision(class, number)?;
    check_only(found, only)?;
    if found.consent.holds() && found.consent.only == only {
        return Ok(unchanged(class));
    }
    let event =
        PermissionEvent::RevisionConsented { class: class.class.clone(), revision: number, only: only.to_vec() };
    Ok(applied(state, newest_number(class), Event::Permission(event)))
}

pub(super) fn withdraw(state: &State, class: &ClassRef, revision: Option<u32>) -> Result<Decision, Refusal> {
    let class = find_class(state, class)?;
    let Some(number) = revision.or_else(|| given_last(class)) else {
        return Ok(unchanged(class));
    };
    if find_revision(class, number)?.consent.state == ConsentState::Withdrawn {
        return Ok(unchanged(class));
    }
    check_narrower(class, number)?;
    let event = PermissionEvent::ConsentWithdrawn { class: class.class.clone(), revision: number };
    Ok(applied(state, newest_number(class), Event::Permission(event)))
}

/// The revision whose consent was given last, or if none was given the one in force, which shares that of nobody.
fn given_last(class: &Class) -> Option<u32> {
    let given = class.revisions.iter().filter(|(_, revision)| revision.consent.state == ConsentState::Given);
    let last = given.max_by_key(|(number, revision)| (revision.consent.at, **number)).map(|(number, _)| *number);
    last.or_else(|| class.consented().map(|(number, _)| number))
}

/// Whoever takes a consent back does not want more to be permitted.
fn check_narrower(class: &Class, number: u32) -> Result<(), Refusal> {
    let mut after = class.clone();
    if let Some(revision) = after.revisions.get_mut(&number) {
        revision.consent.state = ConsentState::Withdrawn;
    }
    let (Some((_, now)), Some((next, then))) = (class.in_force(), after.in_force()) else { return Ok(()) };
    let permits_more = then.spec.permissions.is_wider_than(&now.spec.permissions)
        || (!now.consent.only.is_empty() && then.consent.only != now.consent.only);
    if !permits_more {
        return Ok(());
    }
    let message = format!("revision {next} of class {} would be in force then, which permits more", class.class);
    Err(Refusal::new(Kind::Conflict, message)
        .field("revision")
        .hint(format!("Withdraw the consent to revision {next} first")))
}

/// A consent gives nothing that the revision does not permit. What Cedar policies permit cannot be compared.
fn check_only(revision: &Revision, only: &[Permission]) -> Result<(), Refusal> {
    let malformed = |field: String, message: String| Err(Refusal::new(Kind::Malformed, message).field(field));
    if only.len() > ONLY_MAX {
        return malformed("only".into(), format!("more than {ONLY_MAX} permissions"));
    }
    let permissions = &revision.spec.permissions;
    let beyond = only.iter().position(|only| !only.is_within(&permissions.allow));
    match beyond.filter(|_| permissions.cedar.is_empty()) {
        Some(nth) => malformed(format!("only[{nth}]"), "the revision does not permit all of it".into()),
        None => Ok(()),
    }
}
