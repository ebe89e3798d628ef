//! How what actors may do changes.

use super::catalogue::with_class;
use crate::class::consent::{Consent, ConsentState};
use crate::event::{Entry, PermissionEvent};
use crate::id::ClassRef;
use crate::permission::Permission;
use crate::state::State;

pub(super) fn apply(state: &mut State, entry: &Entry, event: &PermissionEvent) {
    let mut consent = |class, revision, is, only| consent(state, entry, class, revision, is, only);
    match event {
        PermissionEvent::ConsentWanted { class, revision } => {
            consent(class, *revision, ConsentState::Wanted, Vec::new())
        }
        PermissionEvent::RevisionConsented { class, revision, only } => {
            consent(class, *revision, ConsentState::Given, only.clone());
        }
        PermissionEvent::ConsentWithdrawn { class, revision } => {
            consent(class, *revision, ConsentState::Withdrawn, Vec::new());
        }
    }
}

fn consent(state: &mut State, entry: &Entry, class: &ClassRef, number: u32, is: ConsentState, only: Vec<Permission>) {
    with_class(state, entry, class, |class| {
        if let Some(revision) = class.revisions.get_mut(&number) {
            revision.consent = Consent { state: is, only, by: entry.caller.clone(), at: entry.at };
        }
    });
}
