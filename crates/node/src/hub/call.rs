//! Questions of the control plane about what only the node has: an actor's log, a command beside its program.

use super::Hub;
use crate::protocol;
use crate::runtime::{EXEC_TIMEOUT_MS_MAX, ExecOutput, Running, RuntimeError, log};
use credence_model::id::{ActorId, ActorRef, BindingId, Namespace};
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::limit::Limit;
use credence_wire::node as wire;
use credence_wire::node::{call, from_node, reply};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Most questions that are answered at once.
pub(super) const CALLS_MAX: usize = 64;
/// The control plane asks too much at once.
pub(crate) static CALLS: Limit = Limit::new("server_questions", CALLS_MAX as u64, "questions", "refused: unavailable");

impl Hub {
    /// Answers on the stream that it was asked on, if that is still open then.
    pub(super) fn called(&mut self, called: wire::Call) {
        let Some(out) = self.stream.as_ref().map(|open| open.out.clone()) else { return };
        let Ok(room) = Arc::clone(&self.calls).try_acquire_owned() else {
            CALLS.hit();
            let message = format!("the node answers {CALLS_MAX} questions already");
            let refusal = Refusal::new(Kind::Unavailable, message).hint("try again").retry_after_ms(1_000);
            self.send(reply_to(called.id, Err(refusal))).unwrap_or_default();
            return;
        };
        let log_dir = self.parts.log_dir.clone();
        let running = match &called.call {
            Some(call::Call::Exec(exec)) => self.running(&exec.binding),
            _ => None,
        };
        tokio::spawn(async move {
            let answer = match called.call {
                Some(call::Call::ReadLog(read)) => read_log(log_dir, read).await,
                Some(call::Call::Exec(order)) => exec(running, order).await,
                None => Err(protocol::malformed("call", "it is missing or of an unknown kind")),
            };
            let message = wire::FromNode { message: Some(reply_to(called.id, answer)), ..wire::FromNode::default() };
            // A stream that is over has no use for it.
            let _ = out.send(message).await;
            drop(room);
        });
    }

    fn running(&self, binding: &str) -> Option<Arc<dyn Running>> {
        let binding = BindingId::parse(binding).ok()?;
        self.holders.get(&binding)?.running.clone()
    }
}

fn reply_to(id: u64, answer: Result<reply::Reply, Refusal>) -> from_node::Message {
    let reply = answer.unwrap_or_else(|refusal| reply::Reply::Refused(protocol::refused(&refusal)));
    from_node::Message::Reply(wire::Reply { id, reply: Some(reply) })
}

async fn read_log(log_dir: PathBuf, read: wire::ReadLog) -> Result<reply::Reply, Refusal> {
    let namespace = Namespace::parse(&read.namespace).map_err(|error| protocol::malformed("namespace", error))?;
    let actor = ActorId::parse(&read.actor).map_err(|error| protocol::malformed("actor", error))?;
    let path = log::path(&log_dir, &ActorRef { namespace, actor });
    let bytes_max = usize::try_from(read.bytes_max).unwrap_or(usize::MAX);
    let page = tokio::task::spawn_blocking(move || log::read(&path, read.offset, bytes_max)).await;
    let unreadable = |why: String| Refusal::new(Kind::Unavailable, format!("the log cannot be read: {why}"));
    let page = page.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))?;
    Ok(reply::Reply::LogPage(wire::LogPage { bytes: page.bytes, next_offset: page.next_offset }))
}

async fn exec(running: Option<Arc<dyn Running>>, order: wire::Exec) -> Result<reply::Reply, Refusal> {
    let refusal = |error: RuntimeError| Refusal::new(error.kind(), error.to_string());
    let running = running.ok_or_else(|| {
        Refusal::new(Kind::NotFound, "this binding runs no program that the node started")
            .hint("A program under `credence run` is reached in its own terminal")
    })?;
    let timeout = Duration::from_millis(order.timeout_ms.min(EXEC_TIMEOUT_MS_MAX));
    let ExecOutput { exit_code, stdout, stderr } = running.exec(order.command, timeout).await.map_err(refusal)?;
    Ok(reply::Reply::ExecResult(wire::ExecResult { exit_code, stdout, stderr }))
}
