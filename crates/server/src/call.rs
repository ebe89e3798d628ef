//! Questions to nodes: what only the node has (an actor's output, a command beside it), asked over its open stream.

use crate::limits::{QUESTIONS, QUESTIONS_WAITING_MAX};
use credence_model::id::NodeName;
use credence_model::refusal::{Kind, Refusal};
use credence_wire::node::{call, reply};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The open streams by node: who wants something asks here.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    open: Mutex<HashMap<NodeName, (u64, mpsc::Sender<Question>)>>,
}

/// One question, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) call: call::Call,
    pub(crate) answer: oneshot::Sender<Result<reply::Reply, Refusal>>,
}

impl Calls {
    /// A stream was opened; it receives the questions from now on.
    pub(crate) fn open(&self, node: &NodeName, session: u64) -> mpsc::Receiver<Question> {
        let (sender, receiver) = mpsc::channel(QUESTIONS_WAITING_MAX);
        let mut open = self.lock();
        if open.get(node).is_none_or(|(newest, _)| *newest < session) {
            open.insert(node.clone(), (session, sender));
        }
        receiver
    }

    /// A stream is over; a newer one stays.
    pub(crate) fn close(&self, node: &NodeName, session: u64) {
        let mut open = self.lock();
        if open.get(node).is_some_and(|(newest, _)| *newest == session) {
            open.remove(node);
        }
    }

    /// How many streams are open.
    pub(crate) fn streams(&self) -> usize {
        self.lock().len()
    }

    /// Asks a node and waits for what it says, for so long at most.
    pub(crate) async fn ask(
        &self,
        node: &NodeName,
        call: call::Call,
        timeout: Duration,
    ) -> Result<reply::Reply, Refusal> {
        let away = || {
            let message = format!("node {node} is not connected");
            Refusal::new(Kind::Unavailable, message).retry_after_ms(2_000)
        };
        let sender = self.lock().get(node).map(|(_, sender)| sender.clone()).ok_or_else(away)?;
        let (answer, answered) = oneshot::channel();
        sender.try_send(Question { call, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                QUESTIONS.hit();
                let message = format!("node {node} has {QUESTIONS_WAITING_MAX} questions waiting");
                Refusal::new(Kind::Unavailable, message).retry_after_ms(1_000)
            }
            mpsc::error::TrySendError::Closed(_) => away(),
        })?;
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(away()),
            Err(_) => {
                let message = format!("node {node} did not answer within {} ms", timeout.as_millis());
                Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(2_000))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeName, (u64, mpsc::Sender<Question>)>> {
        // The map is whole even if somebody panicked while holding it: every change is one insert or remove.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Calls;
    use credence_model::id::NodeName;
    use credence_model::refusal::Kind;
    use credence_wire::node::{LogPage, ReadLog, call, reply};
    use std::time::Duration;

    fn question() -> call::Call {
        call::Call::ReadLog(ReadLog::default())
    }

    #[tokio::test]
    async fn a_question_finds_the_newest_stream_of_its_node() {
        let calls = Calls::default();
        let node = NodeName::parse("alpha").expect("a name");
        let minute = Duration::from_secs(60);
        let away = calls.ask(&node, question(), minute).await.expect_err("nobody is there");
        assert_eq!(away.kind, Kind::Unavailable);
        let old = calls.open(&node, 1);
        let mut new = calls.open(&node, 2);
        drop(old);
        calls.close(&node, 1);
        let answer = async {
            let question = new.recv().await.expect("a question");
            question.answer.send(Ok(reply::Reply::LogPage(LogPage::default()))).expect("somebody listens");
        };
        let (asked, ()) = tokio::join!(calls.ask(&node, question(), minute), answer);
        assert!(matches!(asked, Ok(reply::Reply::LogPage(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_answer_is_not_waited_for_without_end() {
        let calls = Calls::default();
        let node = NodeName::parse("alpha").expect("a name");
        let _open = calls.open(&node, 1);
        let refusal = calls.ask(&node, question(), Duration::from_secs(5)).await.expect_err("nobody answers");
        assert_eq!(
            (refusal.kind, refusal.message.as_str()),
            (Kind::Unavailable, "node alpha did not answer within 5000 ms")
        );
    }
}
