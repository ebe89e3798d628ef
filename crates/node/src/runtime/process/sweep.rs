//! What happens when a supervisor is killed before it could end its tree: its processes are found and killed from outside.
//!
//! They are known by the session that the supervisor led, and by the endpoint in their environment. A program that left the
//! session, cleared its environment and killed its own supervisor escapes this; it has lost its identity all the same,
//! because the root of its tree is gone.

use crate::runtime::tree::{Process, descendants, processes};
use rustix::process::Signal;
use std::time::Duration;

/// Most rounds of looking and killing.
const ROUNDS_MAX: usize = 100;
/// Time between two rounds, in milliseconds.
const ROUND_MS: u64 = 10;

/// Kills every process of the session `session` or with the variable `mark` in its environment, until there is none.
pub(super) async fn sweep(session: u32, mark: Option<(String, String)>) {
    let Ok(session) = i32::try_from(session) else { return };
    let mark = mark.map(|(name, value)| format!("{name}={value}"));
    for _ in 0..ROUNDS_MAX {
        let left: Vec<Process> =
            processes().into_iter().filter(|process| is_of(process, session, mark.as_deref())).collect();
        if left.is_empty() {
            return;
        }
        for process in left {
            process.signal(Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(ROUND_MS)).await;
    }
    tracing::error!(session, "processes of an actor do not end although they were killed");
}

/// Kills everything below a supervisor that does not do it itself. It is still the parent or the foster parent of all of them,
/// so nobody escapes this while it lives; it is itself killed afterwards.
pub(super) async fn fell(supervisor: u32) {
    let Ok(supervisor) = i32::try_from(supervisor) else { return };
    for _ in 0..ROUNDS_MAX {
        let left: Vec<Process> = descendants(supervisor).into_iter().filter(|process| !process.is_dead()).collect();
        if left.is_empty() {
            return;
        }
        for process in left {
            process.signal(Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(ROUND_MS)).await;
    }
}

fn is_of(process: &Process, session: i32, mark: Option<&str>) -> bool {
    if process.is_dead() {
        return false;
    }
    process.session == session || mark.is_some_and(|mark| has(process.pid, mark))
}

fn has(pid: i32, mark: &str) -> bool {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}
