//! How what actors may do changes.

use super::catalogue::with_class;
use super::guard;
use crate::class::consent::{Consent, ConsentState};
use crate::delegation::Revoked;
use crate::event::{Entry, PermissionEvent};
use crate::id::{ActorRef, ClassRef};
use crate::permission::Permission;
use crate::state::State;

pub(super) fn apply(state: &mut State, entry: &Entry, event: &PermissionEvent) {
    match event {
        PermissionEvent::ConsentWanted { class, revision } => {
            consent(state, entry, class, *revision, ConsentState::Wanted, Vec::new());
        }
        PermissionEvent::RevisionConsented { class, revision, only } => {
            consent(state, entry, class, *revision, ConsentState::Given, only.clone());
        }
        PermissionEvent::ConsentWithdrawn { class, revision } => {
            consent(state, entry, class, *revision, ConsentState::Withdrawn, Vec::new());
        }
        PermissionEvent::ActorDescends { actor, lineage } => {
            if let Some(parent) = &lineage.parent {
                *state.children.entry(parent.clone()).or_default() += 1;
            }
            state.lineages.insert(actor.clone(), lineage.clone());
        }
        PermissionEvent::DelegationGranted { delegation } => state.delegations.insert(delegation),
        PermissionEvent::DelegationNarrowed { delegation, terms } => {
            state.delegations.change(delegation, |delegation| delegation.terms = terms.clone());
        }
        PermissionEvent::DelegationRevoked { delegation, reason } => {
            let revoked = Revoked { at: entry.at, by: entry.caller.clone(), reason: reason.clone() };
            state.delegations.change(delegation, |delegation| delegation.revoked = Some(revoked));
        }
        PermissionEvent::Used { actor, delegations, budgets } => {
            for delegation in delegations {
                state.delegations.change(delegation, |delegation| delegation.used += 1);
            }
            budgets.iter().for_each(|taken| state.budgets.take(actor, taken));
        }
        PermissionEvent::GuardApplied { guard, labels, spec } => guard::applied(state, entry, guard, labels, spec),
        PermissionEvent::GuardDeleted { guard } => state.guards.remove(guard),
        // It changes nothing; it is there to be found.
        PermissionEvent::Decided { .. } => {}
        PermissionEvent::DelegationsForgotten { delegations } => {
            for delegation in delegations {
                state.delegations.remove(delegation);
            }
        }
    }
}

/// A child that has ended makes room for another.
pub(super) fn child_ended(state: &mut State, actor: &ActorRef) {
    let Some(parent) = state.lineages.get(actor).and_then(|lineage| lineage.parent.clone()) else { return };
    match state.children.get_mut(&parent) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            state.children.remove(&parent);
        }
    }
}

/// An actor that was deleted leaves nothing but its name.
pub(super) fn forgotten(state: &mut State, actor: &ActorRef) {
    state.lineages.remove(actor);
    state.children.remove(actor);
    state.budgets.forget(actor);
}

fn consent(state: &mut State, entry: &Entry, class: &ClassRef, number: u32, is: ConsentState, only: Vec<Permission>) {
    with_class(state, entry, class, |class| {
        if let Some(revision) = class.revisions.get_mut(&number) {
            revision.consent = Consent { state: is, only, by: entry.caller.clone(), at: entry.at };
        }
    });
}
