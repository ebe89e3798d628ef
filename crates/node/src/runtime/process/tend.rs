//! The task that talks to one supervisor from the start of the program to the end of the tree.

use crate::runtime::control::{ExecOutcome, Notice, Order};
use crate::runtime::process::{Supervisor, sweep};
use crate::runtime::{ExecOutput, RuntimeError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// How long after the end of a grace a supervisor may take to end its tree, in milliseconds. The program shares its user and
/// can stop it with a signal, so it is not waited for without end.
const END_MS_MAX: u64 = 5_000;
/// Exit code of a tree whose supervisor was killed: 128 + SIGKILL.
pub(super) const KILLED: i32 = 137;

/// What the daemon wants from a tree.
#[derive(Debug)]
pub(super) enum Ask {
    /// To end.
    Order(Order),
    /// To run a command.
    Exec { command: Vec<String>, timeout_ms: u64, answer: oneshot::Sender<Result<ExecOutput, RuntimeError>> },
}

/// A tree and who is told about it.
pub(super) struct Tended {
    pub(super) supervisor: Supervisor,
    pub(super) asked: mpsc::Receiver<Ask>,
    /// Told the exit code when the whole tree is gone.
    pub(super) gone: watch::Sender<Option<i32>>,
    /// The variable that only processes of this tree have in their environment.
    pub(super) endpoint: Option<(String, String)>,
}

struct Waiting {
    timeout_ms: u64,
    answer: oneshot::Sender<Result<ExecOutput, RuntimeError>>,
    name: String,
}

pub(super) async fn tend(tended: Tended) {
    let Tended { mut supervisor, mut asked, gone, endpoint } = tended;
    let mut waiting = BTreeMap::new();
    let code = attend(&mut supervisor, &mut asked, &mut waiting).await;
    let Supervisor { pid, mut child, control, output, .. } = supervisor;
    // Closed first: a supervisor that does not speak properly is still one that must end.
    drop(control);
    let status = child.wait().await;
    let code = match code {
        Some(code) => code,
        None => {
            tracing::warn!(pid, ?status, "the supervisor of an actor ended without a word; its processes are killed");
            sweep::sweep(pid, endpoint).await;
            KILLED
        }
    };
    output.finish().await;
    // Commands that were running have their answer senders dropped here, which says that the tree is gone.
    drop(waiting);
    gone.send_replace(Some(code));
}

/// Passes orders and answers to and fro until the tree is gone. `None` if the supervisor vanished without saying so.
async fn attend(
    supervisor: &mut Supervisor,
    asked: &mut mpsc::Receiver<Ask>,
    waiting: &mut BTreeMap<u64, Waiting>,
) -> Option<i32> {
    let mut next_id = 0;
    let mut listening = true;
    let mut end_by = None;
    loop {
        tokio::select! {
            () = until(end_by) => {
                tracing::warn!(pid = supervisor.pid, "the supervisor of an actor does not end its tree; it is felled");
                sweep::fell(supervisor.pid).await;
                // Its last word, if it has one after all, is not waited for.
                let _ = supervisor.child.start_kill();
                return None;
            }
            notice = supervisor.notice() => match notice {
                Ok(Some(Notice::Exited { code })) => return Some(code),
                Ok(Some(Notice::Executed { id, outcome })) => answer(waiting.remove(&id), outcome),
                Ok(Some(Notice::Ready | Notice::Started | Notice::Failed { .. })) => {}
                Ok(None) | Err(_) => return None,
            },
            ask = asked.recv(), if listening => {
                let order = match ask {
                    // Nobody holds the tree any more, so it must not go on.
                    None => { listening = false; Order::Kill }
                    Some(Ask::Order(order)) => order,
                    Some(Ask::Exec { command, timeout_ms, answer }) => {
                        next_id += 1;
                        let name = command.first().cloned().unwrap_or_default();
                        waiting.insert(next_id, Waiting { timeout_ms, answer, name });
                        Order::Exec { id: next_id, command, timeout_ms }
                    }
                };
                end_by = ends_by(&order).or(end_by);
                // A supervisor that does not take it is ending; its last notice may still be in the socket.
                if supervisor.tell(&order).await.is_err() {
                    listening = false;
                }
            }
        }
    }
}

/// When a tree must have ended after this order, at the latest.
fn ends_by(order: &Order) -> Option<Instant> {
    let grace_ms = match order {
        Order::Stop { grace_ms } => *grace_ms,
        Order::Kill => 0,
        Order::Go(_) | Order::Exec { .. } => return None,
    };
    Some(Instant::now() + Duration::from_millis(grace_ms.saturating_add(END_MS_MAX)))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn answer(waiting: Option<Waiting>, outcome: ExecOutcome) {
    let Some(Waiting { timeout_ms, answer, name }) = waiting else { return };
    let result = match outcome {
        ExecOutcome::Done(output) => Ok(output),
        ExecOutcome::Failed { reason } => Err(RuntimeError::Program { program: name, reason }),
        ExecOutcome::TimedOut => Err(RuntimeError::TimedOut(timeout_ms)),
        ExecOutcome::Busy => Err(RuntimeError::Busy),
    };
    // Whoever asked may have gone away.
    let _ = answer.send(result);
}
