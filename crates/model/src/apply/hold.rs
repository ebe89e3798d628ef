//! How the control plane is held and released.

use crate::event::{Entry, Event};
use crate::hold::{Hold, HoldCause, LostTime, Release, Seen};
use crate::node::NodeState;
use crate::state::State;

pub(super) fn apply(state: &mut State, entry: &Entry) {
    match &entry.event {
        Event::CellHeld { cause } => hold(state, entry, cause),
        Event::CellReleased { release: Release { epoch_floor, bundle_floor, .. } } => {
            let Some(hold) = state.hold.take() else { return };
            state.epoch_floor = state.epoch_floor.max(*epoch_floor);
            state.epoch_max = state.epoch_max.max(*epoch_floor);
            state.bundle_floor = state.bundle_floor.max(*bundle_floor);
            state.authorities.sequence = state.authorities.sequence.max(state.bundle_floor) + 1;
            state.lost_time = Some(LostTime { from: hold.lost_from, until: hold.since });
            // Time stood still for who waited; who lost its node only then waits since then.
            for actor in state.waiting.actors().cloned().collect::<Vec<_>>() {
                state.actors.change(&actor, |actor| {
                    if let Some(wait) = &mut actor.wait {
                        wait.until = wait.until.plus_ms(entry.at.ms_since(wait.since.max(hold.since)));
                    }
                });
            }
        }
        _ => {}
    }
}

fn hold(state: &mut State, entry: &Entry, cause: &HoldCause) {
    let (seen, seen_by) = match cause {
        HoldCause::Restored { .. } => (Seen::default(), None),
        HoldCause::Behind { by, seen } => (*seen, Some(by.clone())),
    };
    if let Some(hold) = &mut state.hold {
        hold.seen = hold.seen.max(seen);
        hold.seen_by = seen_by.or(hold.seen_by.take());
        return;
    }
    let lost_from = match cause {
        HoldCause::Restored { last_at, .. } => *last_at,
        HoldCause::Behind { .. } => state.stopped_at,
    };
    state.hold = Some(Hold { since: entry.at, cause: cause.clone(), lost_from, seen, seen_by });
    let connected = state.nodes.values().filter(|node| node.state == NodeState::Connected);
    for node in connected.map(|node| node.name.clone()).collect::<Vec<_>>() {
        super::node::lose(state, &node);
    }
}
