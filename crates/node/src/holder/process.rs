//! A binding of a process tree that runs already: `credence run`.

use super::Holder;
use crate::event::{HolderEvent, LocalRun, RunNotice};
use credence_model::actor::UnbindMode;
use credence_model::refusal::{Kind, Refusal};
use credence_wire::local::Bound;
use std::pin::pin;

/// What a program is said to have ended with whose caller went away without a word: as if by SIGHUP.
const HANGUP: i32 = 128 + 1;

impl Holder {
    pub(super) async fn process(mut self, run: LocalRun) -> HolderEvent {
        let LocalRun { root, notices, mut exited, .. } = run;
        let endpoint = match self.open(root).await {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let refusal = Refusal::new(Kind::Unavailable, error.to_string());
                // The caller may have gone already.
                let _ = notices.try_send(RunNotice::Refused(refusal));
                return HolderEvent::StartFailed(error.to_string());
            }
        };
        self.tell(HolderEvent::Started(None)).await;
        let _ = notices.try_send(RunNotice::Bound(self.bound()));
        {
            let mut fresh = pin!(self.fresh());
            tokio::select! {
                () = &mut fresh => {}
                _ = self.stopped() => {}
                code = &mut exited => self.tell(HolderEvent::Exited(code.unwrap_or(HANGUP))).await,
            }
        }
        let mode = self.stopped().await;
        self.close(endpoint).await;
        let _ = notices.try_send(RunNotice::Ended(in_words(mode).to_owned()));
        HolderEvent::Stopped { archive: None, trouble: None }
    }

    fn bound(&self) -> Bound {
        Bound {
            spiffe_id: self.notice.spiffe_id.to_string(),
            actor: self.notice.actor.actor.to_string(),
            epoch: self.notice.epoch.0,
            endpoint: format!("unix://{}", self.socket().display()),
            worker: self.notice.worker.to_string(),
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
