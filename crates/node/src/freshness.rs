//! Rotation: a served identity is replaced when about half of its life is over, and its bundle whenever there is a newer
//! one. Clients see both on the streams that they have open.

use crate::clock::wall;
use crate::endpoint::{Identity, Served};
use crate::event::Event;
use crate::reservoir;
use crate::signing::{Signing, is_signed_by, soon};
use credence_credential::bundle::Bundle;
use credence_credential::key::KeyPair;
use credence_credential::x509_svid::{self, VerifiedX509Svid};
use credence_model::command::Held;
use credence_model::directive::NOT_BEFORE_CUSHION_SECS;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How far from the half of its life an identity is renewed at most, in thousandths of that half.
pub(crate) const JITTER_PER_MILLE: u64 = 100;
/// How long the control plane may take, and the pause after it did not answer, in milliseconds.
const RENEW_MS_MAX: u64 = 10_000;
const PAUSE_MS: u64 = 1_000;

/// Why a chain is not an identity of this binding.
#[derive(Debug, Error)]
pub(crate) enum UnfitError {
    /// It does not verify.
    #[error("the identity that came is not valid here and now: {0}")]
    Invalid(#[from] x509_svid::VerifyError),
    /// It is valid and somebody else's.
    #[error("the identity that came is not that of the binding")]
    Foreign,
}

/// Puts an identity together; nothing that was not verified is ever served.
pub(crate) fn identity(
    held: Held,
    spiffe_id: &SpiffeId,
    chain: Vec<Vec<u8>>,
    key: &KeyPair,
    bundle: &Bundle,
) -> Result<Identity, UnfitError> {
    let svid: VerifiedX509Svid = x509_svid::verify(&chain, bundle.x509(), wall())?;
    let claims = svid.claims.filter(|claims| claims.binding == held.binding && claims.epoch == held.epoch);
    let claims = claims.filter(|_| svid.id == *spiffe_id && svid.spki == key.public().spki());
    Ok(Identity {
        spiffe_id: spiffe_id.clone(),
        claims: claims.ok_or(UnfitError::Foreign)?,
        chain,
        key_pkcs8: Zeroizing::new(key.pkcs8().to_vec()),
        not_after: svid.not_after,
    })
}

/// Replaces what is served, unless it is over.
fn replace(served: &watch::Sender<Served>, with: impl FnOnce(&Arc<Identity>, &Arc<Bundle>) -> Served) {
    served.send_if_modified(|now| {
        let Served::Live { identity, bundle } = &*now else { return false };
        *now = with(identity, bundle);
        true
    });
}

/// Keeps what is served fresh until it is dropped; it never resolves.
pub(crate) async fn keep(
    held: Held,
    served: Arc<watch::Sender<Served>>,
    mut bundles: watch::Receiver<Arc<Bundle>>,
    mut signing: watch::Receiver<Signing>,
    events: mpsc::Sender<Event>,
) {
    bundles.mark_changed();
    let mut renew_at = due(&served);
    loop {
        tokio::select! {
            changed = bundles.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                let newest = Arc::clone(&bundles.borrow_and_update());
                replace(&served, |identity, _| Served::Live { identity: Arc::clone(identity), bundle: newest });
            }
            changed = signing.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                signing.mark_unchanged();
                if is_tainted(&served, &signing) {
                    renew_at = renew_at.min(soon());
                }
            }
            () = tokio::time::sleep_until(renew_at) => {
                renew_at = match renew(held, &served, &bundles, &events).await {
                    Some(fresh) => {
                        let identity = Arc::new(fresh);
                        replace(&served, |_, bundle| Served::Live { identity, bundle: Arc::clone(bundle) });
                        // It may have been signed just before its authority was tainted.
                        let due = if is_tainted(&served, &signing) { soon() } else { due(&served) };
                        // A clock that is wrong must not make it one renewal after the other.
                        due.max(Instant::now() + jittered(Duration::from_millis(PAUSE_MS)))
                    }
                    None => Instant::now() + jittered(Duration::from_millis(PAUSE_MS)),
                };
            }
        }
    }
}

/// Whether what is served was signed by a tainted authority.
fn is_tainted(served: &watch::Sender<Served>, signing: &watch::Receiver<Signing>) -> bool {
    let tainted = signing.borrow().tainted.clone();
    match &*served.borrow() {
        Served::Live { identity, bundle } => is_signed_by(&identity.chain, &tainted, bundle),
        Served::Ended => false,
    }
}

/// Has a fresh key certified.
async fn renew(
    held: Held,
    served: &watch::Sender<Served>,
    bundles: &watch::Receiver<Arc<Bundle>>,
    events: &mpsc::Sender<Event>,
) -> Option<Identity> {
    let spiffe_id = match &*served.borrow() {
        Served::Live { identity, .. } => identity.spiffe_id.clone(),
        Served::Ended => return None,
    };
    let unfit =
        |error: &dyn std::fmt::Display| tracing::warn!(binding = %held.binding, %error, "an identity was not renewed");
    let (key, csr) = reservoir::fresh().inspect_err(|error| unfit(error)).ok()?;
    let (answer, answered) = oneshot::channel();
    events.send(Event::Renew { held, csr, answer }).await.ok()?;
    let chain = tokio::time::timeout(Duration::from_millis(RENEW_MS_MAX), answered).await.ok()?.ok()?;
    let bundle = Arc::clone(&bundles.borrow());
    identity(held, &spiffe_id, chain, &key, &bundle).inspect_err(|error| unfit(error)).ok()
}

/// When what is served now is to be renewed.
fn due(served: &watch::Sender<Served>) -> Instant {
    let left = match &*served.borrow() {
        Served::Live { identity, .. } => left(identity.chain.first().map(Vec::as_slice), identity.not_after),
        Served::Ended => Duration::MAX,
    };
    // A year is as good as never, and no clock overflows.
    Instant::now() + left.min(Duration::from_secs(365 * 86_400))
}

/// How long until about half of a certificate's life is over.
pub(crate) fn left(leaf: Option<&[u8]>, not_after: Timestamp) -> Duration {
    let not_before = leaf.and_then(|leaf| x509_svid::inspect(leaf).ok()).map_or(not_after, |leaf| leaf.not_before);
    jittered_half(not_before, not_after).saturating_sub(Duration::from_millis(since_made(not_before, wall())))
}

/// About half of a life, counted from when the certificate was made: its validity begins a cushion earlier, which is most
/// of it if the life is short.
fn jittered_half(not_before: Timestamp, not_after: Timestamp) -> Duration {
    jittered(Duration::from_millis(since_made(not_before, not_after) / 2))
}

fn since_made(not_before: Timestamp, at: Timestamp) -> u64 {
    at.as_ms().saturating_sub(not_before.as_ms()).saturating_sub(NOT_BEFORE_CUSHION_SECS * 1000)
}

/// A little more or less, so that what began together is not renewed together.
pub(crate) fn jittered(around: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness everything is renewed a little early.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let per_mille = 1000 - JITTER_PER_MILLE + u64::from(u16::from_be_bytes(random)) % (2 * JITTER_PER_MILLE + 1);
    around.mul_f64(per_mille as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::{JITTER_PER_MILLE, NOT_BEFORE_CUSHION_SECS, jittered, jittered_half};
    use credence_model::time::Timestamp;
    use std::time::Duration;

    #[test]
    fn half_a_life_is_counted_from_when_it_began_however_short_it_is() {
        let made = Timestamp::from_secs(1_000_000);
        for life_secs in [10, 300, 900] {
            let half =
                jittered_half(made.minus_secs(NOT_BEFORE_CUSHION_SECS), Timestamp::from_secs(1_000_000 + life_secs));
            let (least, most) = (life_secs * 1000 * 45 / 100, life_secs * 1000 * 55 / 100);
            assert!((least..=most).contains(&(half.as_millis() as u64)), "{life_secs} s: {half:?}");
        }
    }

    #[test]
    fn renewals_are_spread_around_their_time() {
        let times: Vec<_> = (0..1000).map(|_| jittered(Duration::from_secs(1000)).as_secs()).collect();
        assert!(times.iter().all(|secs| secs.abs_diff(1000) <= JITTER_PER_MILLE), "{times:?}");
        assert!(times.iter().any(|secs| *secs < 970) && times.iter().any(|secs| *secs > 1030), "they are not spread");
    }
}
