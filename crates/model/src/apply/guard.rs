//! How guards change.

use crate::event::Entry;
use crate::guard::{Guard, GuardSpec};
use crate::id::GuardRef;
use crate::label::Labels;
use crate::state::State;

pub(super) fn applied(state: &mut State, entry: &Entry, guard: &GuardRef, labels: &Labels, spec: &GuardSpec) {
    let created_at = state.guards.get(guard).map_or(entry.at, |old| old.created_at);
    let (guard, labels, spec) = (guard.clone(), labels.clone(), spec.clone());
    state.guards.insert(Guard { guard, labels, spec, version: entry.index, created_at });
}
