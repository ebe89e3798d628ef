//! A binding of a process tree that runs already: `credence run`.

use super::{Holder, Watched, told_to_end};
use crate::endpoint::Endpoint;
use crate::event::{HolderEvent, LocalRun, RunNotice};
use credence_attest::process_tree::TreeRoot;
use credence_model::actor::UnbindMode;
use credence_model::refusal::{Kind, Refusal};
use credence_wire::local::Bound;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What a program is said to have ended with whose caller went away without a word: as if by SIGHUP.
const HANGUP: i32 = 128 + 1;
/// How long a caller may take to come back to a node whose program was replaced, in seconds.
const REJOIN_SECS_MAX: u64 = 10;

/// How the caller is told, and tells.
struct Caller {
    notices: mpsc::Sender<RunNotice>,
    exited: oneshot::Receiver<i32>,
}

impl Holder {
    pub(super) async fn process(self, run: LocalRun) -> HolderEvent {
        let LocalRun { root, notices, exited, part, .. } = run;
        match self.open(root).await {
            Ok(endpoint) => {
                self.tell(HolderEvent::Started(None)).await;
                drop(part);
                self.serve(root, endpoint, Caller { notices, exited }).await
            }
            Err(error) => {
                let refusal = Refusal::new(Kind::Unavailable, error.to_string());
                // The caller may have gone already.
                let _ = notices.try_send(RunNotice::Refused(refusal));
                HolderEvent::StartFailed(error.to_string())
            }
        }
    }

    /// Goes on with a tree that became an actor under an earlier program of this process. Its caller comes back, or is gone.
    pub(super) async fn process_again(
        mut self,
        root: TreeRoot,
        socket: OwnedFd,
        mut rejoined: mpsc::Receiver<Box<LocalRun>>,
    ) -> HolderEvent {
        let endpoint = match self.open_again(root, socket).await {
            Ok(endpoint) => endpoint,
            Err(error) => return HolderEvent::StartFailed(error.to_string()),
        };
        let patience = Duration::from_secs(REJOIN_SECS_MAX);
        let mut leave = self.leave.clone();
        let back = tokio::select! {
            back = tokio::time::timeout(patience, rejoined.recv()) => back.ok().flatten(),
            _ = self.stopped() => None,
            Ok(()) = leave.changed() => {
                let over = HolderEvent::Stopped { archive: None, trouble: None };
                return self.left(root, endpoint, None, None).await.unwrap_or(over);
            }
        };
        let caller = back.map(|run| {
            let LocalRun { notices, exited, .. } = *run;
            Caller { notices, exited }
        });
        // Whoever does not come back has hung up: nobody listens, and nobody will tell.
        let caller = caller.unwrap_or_else(|| Caller { notices: mpsc::channel(1).0, exited: oneshot::channel().1 });
        self.serve(root, endpoint, caller).await
    }

    /// From the moment that the identity is served.
    async fn serve(mut self, root: TreeRoot, endpoint: Endpoint, caller: Caller) -> HolderEvent {
        let Caller { notices, mut exited } = caller;
        let _ = notices.try_send(RunNotice::Bound(self.bound()));
        if let Watched::Left = self.watch(&mut exited).await {
            let over = HolderEvent::Stopped { archive: None, trouble: None };
            return self.left(root, endpoint, None, Some(Box::new(notices))).await.unwrap_or(over);
        }
        let mode = self.stopped().await;
        self.close(endpoint).await;
        let _ = notices.try_send(RunNotice::Ended(in_words(mode).to_owned()));
        HolderEvent::Stopped { archive: None, trouble: None }
    }

    async fn watch(&mut self, exited: &mut oneshot::Receiver<i32>) -> Watched {
        let mut fresh = pin!(self.fresh());
        let (mut mode, mut leave) = (self.mode.clone(), self.leave.clone());
        tokio::select! {
            () = &mut fresh => {}
            () = told_to_end(&mut mode) => {}
            Ok(()) = leave.changed() => return Watched::Left,
            code = exited => self.tell(HolderEvent::Exited(code.unwrap_or(HANGUP))).await,
        }
        Watched::Ended
    }

    fn bound(&self) -> Bound {
        Bound {
            spiffe_id: self.notice.spiffe_id.to_string(),
            actor: self.notice.actor.actor.to_string(),
            epoch: self.notice.epoch.0,
            endpoint: format!("unix://{}", self.socket().display()),
            worker: self.notice.worker.to_string(),
            binding: self.notice.binding.to_string(),
        }
    }
}

fn in_words(mode: UnbindMode) -> &'static str {
    match mode {
        UnbindMode::Suspend => "the actor was suspended",
        UnbindMode::Terminate => "the actor was terminated",
        UnbindMode::Quarantine => "the actor was quarantined",
        UnbindMode::Drop => "the node lost its lease, or another holder took over",
    }
}
