//! A binding whose program this node starts, stops and packs.

use super::{Holder, Watched, is_harsh, told_to_end};
use crate::backoff::Backoff;
use crate::endpoint::Endpoint;
use crate::event::HolderEvent;
use crate::runtime::{KeptTree, Prepared, Running, StartSpec};
use crate::transfer;
use credence_attest::process_tree::TreeRoot;
use credence_model::actor::UnbindMode;
use credence_model::id::Digest;
use credence_model::refusal::{Kind, Refusal};
use std::error::Error;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How often it is tried to store a state archive.
const PUTS_MAX: u32 = 7;
/// The first pause in between, and the longest, in milliseconds.
const PUT_PAUSE_MS: u64 = 250;
const PUT_PAUSE_MS_MAX: u64 = 4_000;

/// Why it did not start: in words, or because it was told to end before.
enum NotStarted {
    Failed(String),
    Stopped,
}

impl Holder {
    pub(super) async fn slot(self) -> HolderEvent {
        let (endpoint, running) = match self.start().await {
            Ok(started) => started,
            Err(NotStarted::Failed(reason)) => return HolderEvent::StartFailed(reason),
            Err(NotStarted::Stopped) => return HolderEvent::Stopped { archive: None, trouble: None },
        };
        self.run(endpoint, running).await
    }

    /// Goes on with a program that an earlier program of this process started.
    pub(super) async fn slot_again(self, root: TreeRoot, socket: OwnedFd, tree: KeptTree) -> HolderEvent {
        let opened = self.open_again(root, socket).await.map_err(|error| in_full(&error));
        let adopted = opened.and_then(|endpoint| {
            let running = self.workshop.driver.adopt(tree).map_err(|error| in_full(&error))?;
            Ok((endpoint, running))
        });
        match adopted {
            Ok((endpoint, running)) => self.run(endpoint, running).await,
            Err(reason) => HolderEvent::StartFailed(reason),
        }
    }

    /// From the moment that the program runs.
    async fn run(mut self, endpoint: Endpoint, running: Arc<dyn Running>) -> HolderEvent {
        self.tell(HolderEvent::Started(Some(Arc::clone(&running)))).await;
        while let Watched::Left = self.watch_over(&*running).await {
            // One that has just ended cannot be left, and is watched to its end.
            let Some(tree) = running.leave().await else { continue };
            let over = HolderEvent::Stopped { archive: None, trouble: Some("it could not be left".to_owned()) };
            return self.left(running.tree_root(), endpoint, Some(tree), None).await.unwrap_or(over);
        }
        self.end(endpoint, &*running).await;
        let kept = self.keep_state(&*running).await;
        running.discard().await;
        let (archive, trouble) = match kept {
            Ok(archive) => (archive, None),
            Err(trouble) => (None, Some(trouble)),
        };
        HolderEvent::Stopped { archive, trouble }
    }

    /// Stops between two steps if it was told to; what was made until then is taken away by being dropped.
    async fn start(&self) -> Result<(Endpoint, Arc<dyn Running>), NotStarted> {
        let archive = self.fetch().await?;
        let prepared = self.trace.during("program.prepare", self.prepare(archive)).await?;
        self.tell(HolderEvent::Rooted(prepared.tree_root())).await;
        let endpoint = self.open(prepared.tree_root()).await.map_err(|error| failed(&error))?;
        if self.is_stopped() {
            self.close(endpoint).await;
            return Err(NotStarted::Stopped);
        }
        match self.trace.during("program.start", prepared.go()).await {
            Ok(running) => Ok((endpoint, running)),
            Err(error) => {
                self.close(endpoint).await;
                Err(failed(&error))
            }
        }
    }

    async fn fetch(&self) -> Result<Option<PathBuf>, NotStarted> {
        let Some(digest) = self.notice.archive else { return Ok(None) };
        let path = self.workshop.incoming_dir.join(format!("{}.in.tar", self.notice.binding));
        let fetched = transfer::fetch(&self.workshop.channel, self.held(), digest, &path);
        let fetched = self.trace.during("state.fetch", fetched).await;
        let fetched = fetched.map_err(|refusal| format!("its state could not be fetched: {refusal}"));
        match fetched {
            Ok(()) => Ok(Some(path)),
            Err(reason) => {
                remove(&path).await;
                Err(NotStarted::Failed(reason))
            }
        }
    }

    async fn prepare(&self, archive: Option<PathBuf>) -> Result<Box<dyn Prepared>, NotStarted> {
        let runtime = &self.notice.runtime;
        let spec = StartSpec {
            binding: self.notice.binding,
            actor: self.notice.actor.clone(),
            command: runtime.command.clone(),
            env: runtime.env.iter().map(|var| (var.name.clone(), var.value.clone())).collect(),
            pass_env: runtime.pass_env.clone(),
            endpoint: self.socket(),
            archive: archive.clone(),
        };
        let prepared = if self.is_stopped() { None } else { Some(self.workshop.driver.prepare(spec).await) };
        if let Some(path) = archive {
            remove(&path).await;
        }
        prepared.ok_or(NotStarted::Stopped)?.map_err(|error| failed(&error))
    }

    /// Until its end is ordered. A program that ends by itself is told, and then its end is ordered.
    async fn watch_over(&mut self, running: &dyn Running) -> Watched {
        let mut fresh = pin!(self.fresh());
        let mut gone = pin!(running.wait());
        let (mut mode, mut leave) = (self.mode.clone(), self.leave.clone());
        tokio::select! {
            () = &mut fresh => {}
            () = told_to_end(&mut mode) => {}
            Ok(()) = leave.changed() => {
                self.leave.mark_unchanged();
                return Watched::Left;
            }
            code = &mut gone => self.tell(HolderEvent::Exited(code)).await,
        }
        self.stopped().await;
        Watched::Ended
    }

    /// Gently, unless or until it is to be harsh.
    async fn end(&mut self, endpoint: Endpoint, running: &dyn Running) {
        let grace = Duration::from_secs(self.notice.runtime.stop_grace_secs);
        if !is_harsh(self.stopped().await) {
            let mut stopping = pin!(running.stop(grace));
            tokio::select! {
                _ = &mut stopping => {}
                () = self.harshly_stopped() => {}
            }
        }
        // Both at once: under a harsh mode nothing is served any more already, and the program must not have that moment.
        tokio::join!(self.close(endpoint), running.kill());
    }

    /// Packs and stores the state of an actor that is to go on, or that is evidence.
    async fn keep_state(&mut self, running: &dyn Running) -> Result<Option<Digest>, String> {
        if !matches!(self.stopped().await, UnbindMode::Suspend | UnbindMode::Quarantine) {
            return Ok(None);
        }
        let trouble = |why: String| format!("its state could not be kept: {why}");
        let archive = running.archive().await.map_err(|error| trouble(in_full(&error)))?;
        let (channel, held) = (self.workshop.channel.clone(), self.held());
        let stored = stored(|| transfer::put(&channel, held, &archive.path));
        let stored = tokio::select! {
            stored = stored => stored.map_err(|refusal| trouble(refusal.to_string()))?,
            () = self.dropped() => return Ok(None),
        };
        if stored == archive.digest {
            return Ok(Some(stored));
        }
        Err(trouble(format!("{stored} was stored instead of {}", archive.digest)))
    }

    async fn dropped(&mut self) {
        // Whoever holds the reins is gone: that is the end as well.
        let _ = self.mode.wait_for(|mode| *mode == Some(UnbindMode::Drop)).await.map(|mode| *mode);
    }
}

/// Stores an archive; tries again while it is only that the control plane cannot be reached, or is busy.
async fn stored<P>(mut put: impl FnMut() -> P) -> Result<Digest, Refusal>
where
    P: Future<Output = Result<Digest, Refusal>>,
{
    let mut backoff = Backoff::new(PUT_PAUSE_MS, PUT_PAUSE_MS_MAX);
    for _ in 1..PUTS_MAX {
        match put().await {
            Err(refusal) if refusal.kind == Kind::Unavailable => {
                tracing::debug!(%refusal, "state not stored yet");
                tokio::time::sleep(backoff.pause(refusal.retry_after_ms)).await;
            }
            put => return put,
        }
    }
    put().await
}

fn failed(error: &dyn Error) -> NotStarted {
    NotStarted::Failed(in_full(error))
}

/// An error with what caused it, in one line.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

async fn remove(path: &std::path::Path) {
    if let Err(error) = tokio::fs::remove_file(path).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "an archive that was fetched is left over");
    }
}

#[cfg(test)]
mod tests {
    use super::{PUT_PAUSE_MS, PUTS_MAX, stored};
    use crate::backoff::tests::check_around;
    use credence_model::id::Digest;
    use credence_model::refusal::{Kind, Refusal};
    use std::time::Duration;
    use tokio::time::Instant;

    /// What becomes of an archive if putting it is answered so, and the pauses between the attempts.
    async fn put(answers: &[Result<Digest, Refusal>]) -> (Result<Digest, Refusal>, Vec<Duration>) {
        let (mut answers, mut tried_at) = (answers.iter(), Vec::new());
        let stored = stored(|| {
            tried_at.push(Instant::now());
            std::future::ready(answers.next().cloned().expect("it is not tried so often"))
        });
        let stored = stored.await;
        (stored, tried_at.windows(2).map(|pair| pair[1] - pair[0]).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn an_archive_is_put_again_after_growing_pauses_that_are_never_shorter_than_told() {
        let away = || Err(Refusal::new(Kind::Unavailable, "away"));
        let told = Err(Refusal::new(Kind::Unavailable, "busy").retry_after_ms(9_000));
        let (kept, pauses) = put(&[away(), away(), told, away(), Ok(Digest([7; 32]))]).await;
        assert_eq!(kept.ok(), Some(Digest([7; 32])));
        check_around(&pauses[..2], &[PUT_PAUSE_MS, 2 * PUT_PAUSE_MS]);
        assert!(pauses[2] >= Duration::from_millis(9_000), "{pauses:?}");
        check_around(&pauses[3..], &[8 * PUT_PAUSE_MS]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_archive_that_is_refused_is_not_put_again_and_one_that_cannot_be_put_not_without_end() {
        let stale = Err(Refusal::new(Kind::Stale, "over"));
        assert!(put(&[stale]).await.1.is_empty());
        let away = vec![Err(Refusal::new(Kind::Unavailable, "away")); PUTS_MAX as usize];
        let (kept, pauses) = put(&away).await;
        assert_eq!((kept.map_err(|refusal| refusal.kind), pauses.len() + 1), (Err(Kind::Unavailable), away.len()));
    }
}
