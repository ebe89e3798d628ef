//! What the node believes and who it is: the newest bundle and its own SVID, kept in its files.
//!
//! INVARIANT: the control plane is told that a bundle is held once every endpoint serves it and it is in the files: what
//! the control plane has signed by then is verified here, after a restart too.

use crate::backoff::Backoff;
use crate::clock::wall;
use crate::config::Config;
use crate::event::{Event, Events};
use crate::freshness;
use crate::identity::{self, IdentityError, NodeIdentity};
use crate::reservoir;
use crate::signing::{Signing, is_signed_by, soon};
use credence_credential::bundle::Bundle;
use credence_credential::key_file::Passphrase;
use credence_model::refusal::{Kind, Refusal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// How long the control plane may take to renew the node's SVID, in seconds.
const RENEW_SECS_MAX: u64 = 10;
/// The first pause after it did not, and the longest, in milliseconds.
const PAUSE_MS: u64 = 2_000;
const PAUSE_MS_MAX: u64 = 60_000;
/// How often it is looked whether everything was replaced, in milliseconds.
const LOOK_AGAIN_MS: u64 = 100;

/// Keeps the node's identity and bundle.
pub(crate) struct Keeper {
    /// Where they are kept.
    dir: PathBuf,
    /// Under what.
    passphrase: Option<Arc<Passphrase>>,
    identities: watch::Sender<Arc<NodeIdentity>>,
    bundles: watch::Receiver<Arc<Bundle>>,
    signing: watch::Receiver<Signing>,
    connected: watch::Receiver<bool>,
    events: Events,
    backoff: Backoff,
}

impl Keeper {
    pub(crate) fn new(
        config: &Config,
        identities: watch::Sender<Arc<NodeIdentity>>,
        bundles: watch::Receiver<Arc<Bundle>>,
        signing: watch::Receiver<Signing>,
        (connected, events): (watch::Receiver<bool>, Events),
    ) -> Self {
        let (dir, passphrase) = (config.data_dir.clone(), config.passphrase.clone());
        let backoff = Backoff::new(PAUSE_MS, PAUSE_MS_MAX);
        Self { dir, passphrase, identities, bundles, signing, connected, events, backoff }
    }

    /// Renews the node's own SVID at half of its life, and soon after another authority signs; saves every bundle and
    /// says so. It never resolves.
    pub(crate) async fn keep(mut self) {
        let mut renew_at = Instant::now() + half_life(&self.identities.borrow());
        let mut look_at: Option<Instant> = None;
        loop {
            let look = look_at.unwrap_or(renew_at);
            tokio::select! {
                changed = self.signing.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    look_at = self.tell().await;
                    if self.is_outdated() {
                        renew_at = renew_at.min(soon());
                    }
                }
                () = tokio::time::sleep_until(look), if look_at.is_some() => look_at = self.tell().await,
                () = tokio::time::sleep_until(renew_at) => {
                    // Whoever would say that it is connected ends with the node.
                    let _ = self.connected.wait_for(|connected| *connected).await.map(|connected| *connected);
                    renew_at = self.renewed().await;
                }
            }
        }
    }

    /// Saves the present bundle and tells the control plane; answers when to look again, if something is still to be
    /// replaced.
    async fn tell(&mut self) -> Option<Instant> {
        let signing = self.signing.borrow_and_update().clone();
        let bundle = Arc::clone(&self.bundles.borrow());
        if let Err(error) = identity::save_bundle(&bundle, &self.dir) {
            // Not told: after a restart the node would not believe what is signed by then.
            tracing::error!(%error, "the bundle could not be saved");
            return Some(Instant::now() + Duration::from_secs(1));
        }
        let reissued = self.is_reissued(&signing, &bundle).await;
        // Nobody to tell is the end of the whole node.
        let _ = self.events.send(Event::BundleKept { sequence: signing.sequence, reissued }).await;
        (!reissued).then(|| Instant::now() + Duration::from_millis(LOOK_AGAIN_MS))
    }

    async fn is_reissued(&self, signing: &Signing, bundle: &Arc<Bundle>) -> bool {
        if signing.tainted.is_empty() {
            return true;
        }
        let (answer, answered) = oneshot::channel();
        if self.events.send(Event::Chains(answer)).await.is_err() {
            return false;
        }
        let Ok(mut chains) = answered.await else { return false };
        chains.push(self.identities.borrow().chain().to_vec());
        let (tainted, bundle) = (signing.tainted.clone(), Arc::clone(bundle));
        // Thousands of signatures are not verified on a thread that others wait for.
        let looked =
            tokio::task::spawn_blocking(move || !chains.iter().any(|chain| is_signed_by(chain, &tainted, &bundle)));
        looked.await.unwrap_or(false)
    }

    /// Whether another authority signs than the one that signed the node's own SVID.
    fn is_outdated(&self) -> bool {
        let active = self.signing.borrow().active;
        let bundle = Arc::clone(&self.bundles.borrow());
        active.is_some_and(|active| !is_signed_by(self.identities.borrow().chain(), &[active], &bundle))
    }

    /// Has a fresh SVID signed; answers when it is to be renewed.
    async fn renewed(&mut self) -> Instant {
        match self.renew().await {
            Ok(fresh) => {
                self.backoff.begin_anew();
                // A clock that is wrong must not make it one renewal after the other.
                let pause = half_life(&fresh).max(Duration::from_secs(1));
                self.identities.send_replace(Arc::new(fresh));
                // An authority may have been replaced meanwhile.
                if self.is_outdated() { soon() + Duration::from_secs(1) } else { Instant::now() + pause }
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "the node's own SVID was not renewed");
                let left = self.identities.borrow().svid().not_after.ms_since(wall());
                Instant::now() + self.backoff.pause_within(refusal.retry_after_ms, Duration::from_millis(left))
            }
        }
    }

    async fn renew(&self) -> Result<NodeIdentity, Refusal> {
        let away = |why: String| Refusal::new(Kind::Unavailable, why);
        let broken = || away("the stream to the control plane broke".to_owned());
        let (key, csr) = reservoir::fresh().map_err(|error| Refusal::new(Kind::Bug, error.to_string()))?;
        let (answer, answered) = oneshot::channel();
        self.events.send(Event::RenewNode { csr, answer }).await.map_err(|_| broken())?;
        let late = |_| away(format!("the control plane did not answer within {RENEW_SECS_MAX} s"));
        let answer = tokio::time::timeout(Duration::from_secs(RENEW_SECS_MAX), answered).await.map_err(late)?;
        let (chain, bundle) = (answer.map_err(|_| broken())??, Bundle::clone(&self.bundles.borrow()));
        let unfit = |error: IdentityError| Refusal::new(Kind::Unavailable, error.to_string());
        let fresh = NodeIdentity::new(chain, key, bundle, wall()).map_err(unfit)?;
        fresh.save(&self.dir, self.passphrase.as_deref()).map_err(unfit)?;
        Ok(fresh)
    }
}

fn half_life(identity: &NodeIdentity) -> Duration {
    // A year is as good as never, and no clock overflows.
    freshness::left(identity.leaf(), identity.svid().not_after).min(Duration::from_secs(365 * 86_400))
}

#[cfg(test)]
mod tests;
