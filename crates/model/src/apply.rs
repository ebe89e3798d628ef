//! `apply`: the only way the state ever changes. It takes every recorded entry as true and never refuses.

mod actor;
mod authority;
mod catalogue;
mod guard;
mod hold;
mod node;
mod permission;

use crate::command::ANSWERS_MAX;
use crate::event::{Entry, Event};
use crate::state::{Remembered, State};

/// Changes the state by one recorded entry.
pub fn apply(state: &mut State, entry: &Entry) {
    if matches!(entry.event, Event::CellStarted {}) {
        state.stopped_at = state.last_at;
    }
    state.last_index = entry.index;
    state.last_at = entry.at;
    authority::signed(state, &entry.event);
    match &entry.event {
        Event::SettingsChanged { settings } => state.settings = settings.clone(),
        Event::CommandAnswered { key, command, answer } => {
            remember(state, *key, Remembered { command: *command, answer: answer.clone() });
        }
        Event::ClassRevised { .. }
        | Event::ClassLabelled { .. }
        | Event::ClassEnabled { .. }
        | Event::RevisionAllowed { .. }
        | Event::ClassDeleted { .. }
        | Event::PoolApplied { .. }
        | Event::PoolDeleted { .. } => catalogue::apply(state, entry),
        Event::AuthorityPrepared { .. }
        | Event::AuthorityActivated { .. }
        | Event::AuthorityTainted { .. }
        | Event::AuthorityWithdrawn { .. }
        | Event::AuthorityRetired { .. } => authority::apply(state, entry),
        Event::CellStarted {}
        | Event::JoinTokenCreated { .. }
        | Event::NodeAttested { .. }
        | Event::NodeRenewed { .. }
        | Event::NodeAttached { .. }
        | Event::NodeHeard { .. }
        | Event::NodeLost { .. }
        | Event::NodeDeleted { .. }
        | Event::KeysOffered { .. }
        | Event::BundleHeld { .. }
        | Event::WorkerRegistered { .. }
        | Event::WorkerDraining { .. }
        | Event::WorkerGone { .. } => node::apply(state, entry),
        Event::ActorCreated { .. }
        | Event::ActorQueued { .. }
        | Event::ActorUnqueued { .. }
        | Event::ActorBound { .. }
        | Event::ActorRunning { .. }
        | Event::ActorUnbinding { .. }
        | Event::BindingEnded { .. }
        | Event::ActorTerminated { .. }
        | Event::ActorQuarantined { .. }
        | Event::ActorDeleted { .. } => actor::apply(state, entry),
        Event::Permission(event) => permission::apply(state, entry, event),
        Event::CellHeld { .. } | Event::CellReleased { .. } => hold::apply(state, entry),
        // Orders change nothing in the registry; they are there to be found.
        Event::X509SvidOrdered { .. } | Event::JwtSvidOrdered { .. } => {}
    }
}

fn remember(state: &mut State, key: crate::id::Digest, answer: Remembered) {
    if state.answers.insert(key, answer).is_none() {
        state.answers_by_age.push_back(key);
    }
    while state.answers_by_age.len() > ANSWERS_MAX {
        if let Some(oldest) = state.answers_by_age.pop_front() {
            state.answers.remove(&oldest);
        }
    }
}
