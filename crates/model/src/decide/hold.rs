//! What holds the control plane, what it still decides then, and its release.

use super::Decision;
use crate::command::{Command, REASON_BYTES_MAX, Report};
use crate::event::Event;
use crate::hold::{EPOCH_JUMP_MIN, HoldCause, Release};
use crate::id::Epoch;
use crate::refusal::{Kind, Refusal};
use crate::state::State;
use crate::time::Timestamp;

/// Longest name of who showed something, in bytes.
const BY_BYTES_MAX: usize = 512;

/// Refuses what must wait for an operator.
pub(super) fn check(state: &State, command: &Command) -> Result<(), Refusal> {
    let Some(hold) = &state.hold else { return Ok(()) };
    match command {
        Command::Start(_)
        | Command::Expire
        | Command::Schedule
        | Command::Hold { .. }
        | Command::Release { .. }
        // What is over is over; nothing follows from it while nothing is bound.
        | Command::Report { report: Report::Detached | Report::Ended { .. }, .. } => Ok(()),
        _ => Err(hold.refusal()),
    }
}

pub(super) fn hold(state: &State, cause: &HoldCause) -> Result<Decision, Refusal> {
    let is_news = match (&state.hold, cause) {
        (None, _) => true,
        (Some(_), HoldCause::Restored { .. }) => false,
        (Some(hold), HoldCause::Behind { seen, .. }) => hold.seen.max(*seen) != hold.seen,
    };
    if matches!(cause, HoldCause::Behind { by, .. } if by.len() > BY_BYTES_MAX) {
        return Err(Refusal::new(Kind::Malformed, format!("longer than {BY_BYTES_MAX} bytes")).field("by"));
    }
    Ok(Decision::done(is_news.then(|| Event::CellHeld { cause: cause.clone() }).into_iter().collect()))
}

pub(super) fn release(state: &State, reason: Option<&String>, now: Timestamp) -> Result<Decision, Refusal> {
    let Some(hold) = &state.hold else {
        return Err(Refusal::new(Kind::Conflict, "this server is not held"));
    };
    if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        let message = format!("longer than {REASON_BYTES_MAX} bytes");
        return Err(Refusal::new(Kind::Malformed, message).field("reason"));
    }
    // The longest lease that anybody may have been told.
    let told = state.nodes.values().map(|node| node.lease_ms);
    let lease_ms = told.chain([state.settings.lease_ms]).max().unwrap_or_default();
    let leases_over_at = hold.since.plus_ms(lease_ms).plus_ms(state.settings.clock_margin_ms);
    let nodes_over_at =
        state.nodes.values().filter(|_| !state.bindings.is_empty()).map(|node| state.lease_ends_at(node));
    let over_at = nodes_over_at.chain([leases_over_at]).max().unwrap_or(leases_over_at);
    if over_at > now || !state.bindings.is_empty() {
        let left_ms = over_at.ms_since(now).max(100);
        let message = "leases from before this server was held may still run, and nobody else may be who holds them";
        let hint = format!("They are over in {:.1} s; release it then", left_ms as f64 / 1000.0);
        return Err(Refusal::new(Kind::Unavailable, message).hint(hint).retry_after_ms(left_ms));
    }
    let lost_ms = now.ms_since(hold.lost_from);
    let base = state.epoch_max.max(hold.seen.epoch).0;
    let epoch_floor = Epoch(base.saturating_add(EPOCH_JUMP_MIN).saturating_add(lost_ms));
    let bundle_floor = hold.seen.bundle_sequence.max(state.bundle_floor);
    Ok(Decision::done(vec![Event::CellReleased {
        release: Release { epoch_floor, bundle_floor, reason: reason.cloned() },
    }]))
}
