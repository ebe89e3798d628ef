//! What the state machine keeps of a binding, and of a binding that is over.

use super::message::BindNotice;
use credence_model::actor::{Outcome, UnbindMode};
use credence_model::command::Held;
use credence_model::id::Digest;

/// A binding of which something is left.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) notice: Box<BindNotice>,
    pub(super) phase: Phase,
    pub(super) heard: Heard,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// The worker's last holder is not gone yet.
    Waiting,
    Starting,
    Running,
    /// Being ended, and what its end will be called.
    Stopping(UnbindMode, Outcome),
}

/// A binding that is over, whose report may not have been heard.
#[derive(Debug)]
pub(super) struct End {
    pub(super) held: Held,
    pub(super) outcome: Outcome,
    pub(super) archive: Option<Digest>,
    pub(super) heard: Heard,
}

/// How far a report has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Not sent on the present stream.
    No,
    /// Heard once the heartbeat with this number is acknowledged on the present stream.
    By(u64),
    Yes,
}

/// Orders the ways to end a binding.
pub(super) fn harshness(mode: UnbindMode) -> u8 {
    match mode {
        UnbindMode::Suspend => 0,
        UnbindMode::Terminate => 1,
        UnbindMode::Quarantine => 2,
        UnbindMode::Drop => 3,
    }
}
