//! The task that talks to one supervisor from the start of the program to the end of the tree.

use crate::runtime::control::{ExecOutcome, Notice, Order};
use crate::runtime::process::{Supervisor, sweep};
use crate::runtime::{ExecOutput, RuntimeError};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot, watch};

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
    loop {
        tokio::select! {
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
                // A supervisor that does not take it is ending; its last notice may still be in the socket.
                if supervisor.tell(&order).await.is_err() {
                    listening = false;
                }
            }
        }
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
