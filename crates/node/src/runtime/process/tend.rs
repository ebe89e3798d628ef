//! The task that talks to one supervisor from the start of the program to the end of the tree.

use crate::runtime::control::{ExecOutcome, Notice, Order};
use crate::runtime::process::{Supervisor, sweep};
use crate::runtime::{EXECS, ExecOutput, RuntimeError};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
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
    /// To be let go of without an end.
    Leave(oneshot::Sender<Left>),
}

/// A supervisor that nobody talks to: what it said and nobody has read, the socket to it, and the pipes of the program.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) inbox: Vec<u8>,
    pub(super) files: Vec<OwnedFd>,
}

/// How talking to a supervisor came to an end.
enum Attended {
    /// The tree is gone, with this exit code.
    Gone(i32),
    /// The supervisor vanished without saying so.
    Vanished,
    /// Somebody else goes on.
    Left(oneshot::Sender<Left>),
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
    let code = match attend(&mut supervisor, &mut asked, &mut waiting).await {
        Attended::Gone(code) => Some(code),
        Attended::Vanished => None,
        Attended::Left(answer) => return leave(supervisor, answer).await,
    };
    let Supervisor { pid, mut child, control, output, .. } = supervisor;
    // Closed first: a supervisor that does not speak properly is still one that must end.
    drop(control);
    child.wait().await;
    let code = match code {
        Some(code) => code,
        None => {
            tracing::warn!(pid, "the supervisor of an actor ended without a word; its processes are killed");
            sweep::sweep(pid, endpoint).await;
            KILLED
        }
    };
    output.finish().await;
    // Commands that were running have their answer senders dropped here, which says that the tree is gone.
    drop(waiting);
    gone.send_replace(Some(code));
}

/// If anything of it fails, the socket closes and the supervisor ends its tree.
async fn leave(supervisor: Supervisor, answer: oneshot::Sender<Left>) {
    let Supervisor { control, inbox, output, .. } = supervisor;
    let left = async {
        let control = OwnedFd::from(control.into_std()?);
        let [out, err] = output.leave().await?;
        Ok::<_, std::io::Error>(Left { inbox, files: vec![control, out, err] })
    };
    match left.await {
        // Whoever asked may have gone away.
        Ok(left) => drop(answer.send(left)),
        Err(error) => tracing::error!(%error, "a program could not be left to another program of this node"),
    }
}

/// Passes orders and answers to and fro until the tree is gone or left.
async fn attend(
    supervisor: &mut Supervisor,
    asked: &mut mpsc::Receiver<Ask>,
    waiting: &mut BTreeMap<u64, Waiting>,
) -> Attended {
    let mut next_id = 0;
    let mut listening = true;
    let mut end_by = None;
    loop {
        tokio::select! {
            () = until(end_by) => {
                tracing::warn!(pid = supervisor.pid, "the supervisor of an actor does not end its tree; it is felled");
                sweep::fell(supervisor.pid).await;
                // Its last word, if it has one after all, is not waited for.
                supervisor.child.start_kill();
                return Attended::Vanished;
            }
            notice = supervisor.notice() => match notice {
                Ok(Some(Notice::Exited { code })) => return Attended::Gone(code),
                Ok(Some(Notice::Executed { id, outcome })) => answer(waiting.remove(&id), outcome),
                Ok(Some(Notice::Ready | Notice::Started | Notice::Failed { .. })) => {}
                Ok(None) | Err(_) => return Attended::Vanished,
            },
            ask = asked.recv(), if listening => {
                let order = match ask {
                    // Nobody holds the tree any more, so it must not go on.
                    None => { listening = false; Order::Kill }
                    Some(Ask::Order(order)) => order,
                    Some(Ask::Leave(answer)) if end_by.is_none() => return Attended::Left(answer),
                    // It is to end, and so it does.
                    Some(Ask::Leave(_)) => continue,
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
        ExecOutcome::Busy => {
            EXECS.hit();
            Err(RuntimeError::Busy)
        }
    };
    // Whoever asked may have gone away.
    let _ = answer.send(result);
}
