//! How authorities change.

use crate::authority::{Authority, AuthorityState, RETIRED_MAX};
use crate::event::{Entry, Event};
use crate::id::Digest;
use crate::state::State;
use crate::time::Timestamp;

pub(super) fn apply(state: &mut State, entry: &Entry) {
    state.authorities.sequence += 1;
    match &entry.event {
        Event::AuthorityPrepared { authority, keys } => state.authorities.all.push(Authority {
            id: *authority,
            keys: keys.clone(),
            state: AuthorityState::Prepared,
            since: entry.at,
            sequence: state.authorities.sequence,
            signed_until: Timestamp::default(),
        }),
        Event::AuthorityActivated { authority, .. } => {
            if let Some(active) = state.authorities.active().map(|active| active.id) {
                enter(state, &active, AuthorityState::Old, entry.at);
            }
            enter(state, authority, AuthorityState::Active, entry.at);
        }
        Event::AuthorityTainted { authority, .. } => enter(state, authority, AuthorityState::Tainted, entry.at),
        Event::AuthorityWithdrawn { authority, .. } => enter(state, authority, AuthorityState::Withdrawn, entry.at),
        Event::AuthorityRetired { authority, .. } => {
            state.authorities.all.retain(|one| one.id != *authority);
            state.authorities.retired.push_back(*authority);
            if state.authorities.retired.len() > RETIRED_MAX {
                state.authorities.retired.pop_front();
            }
        }
        _ => {}
    }
}

fn enter(state: &mut State, id: &Digest, into: AuthorityState, at: Timestamp) {
    let sequence = state.authorities.sequence;
    if let Some(found) = state.authorities.all.iter_mut().find(|authority| authority.id == *id) {
        found.state = into;
        found.since = at;
        found.sequence = sequence;
    }
}

/// A credential was ordered: its authority must stay for as long as it is valid.
pub(super) fn signed(state: &mut State, event: &Event) {
    let until = match event {
        Event::NodeAttested { not_after, .. }
        | Event::NodeRenewed { not_after, .. }
        | Event::ActorBound { not_after, .. }
        | Event::X509SvidOrdered { not_after, .. } => *not_after,
        Event::JwtSvidOrdered { expires_at, .. } => *expires_at,
        _ => return,
    };
    let active = state.authorities.all.iter_mut().find(|authority| authority.state == AuthorityState::Active);
    if let Some(active) = active {
        active.signed_until = active.signed_until.max(until);
    }
}
