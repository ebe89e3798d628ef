//! Rotation: a served identity is replaced when about half of its life is over, and its bundle whenever there is a newer
//! one. Clients see both on the streams that they have open.

use crate::backoff::{Backoff, jittered};
use crate::clock::wall;
use crate::endpoint::{Identity, Served};
use crate::event::{Event, Events};
use crate::reservoir;
use crate::signing::{Signing, is_signed_by, soon};
use credence_credential::bundle::Bundle;
use credence_credential::key::KeyPair;
use credence_credential::x509_svid::{self, VerifiedX509Svid};
use credence_model::command::Held;
use credence_model::directive::NOT_BEFORE_CUSHION_SECS;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How long the control plane may take, in milliseconds.
const RENEW_MS_MAX: u64 = 10_000;
/// The first pause after it did not renew an identity, and the longest, in milliseconds.
const PAUSE_MS: u64 = 1_000;
const PAUSE_MS_MAX: u64 = 10_000;

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
    events: Events,
) {
    bundles.mark_changed();
    let (mut renew_at, mut backoff) = (due(&served), Backoff::new(PAUSE_MS, PAUSE_MS_MAX));
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
                    Ok(fresh) => {
                        backoff.begin_anew();
                        let identity = Arc::new(fresh);
                        replace(&served, |_, bundle| Served::Live { identity, bundle: Arc::clone(bundle) });
                        // It may have been signed just before its authority was tainted.
                        let due = if is_tainted(&served, &signing) { soon() } else { due(&served) };
                        // A clock that is wrong must not make it one renewal after the other.
                        due.max(Instant::now() + jittered(Duration::from_millis(PAUSE_MS)))
                    }
                    Err(refusal) => {
                        tracing::warn!(binding = %held.binding, %refusal, "an identity was not renewed");
                        Instant::now() + backoff.pause_within(refusal.retry_after_ms, life(&served))
                    }
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
    events: &Events,
) -> Result<Identity, Refusal> {
    let away = || Refusal::new(Kind::Unavailable, "the stream to the control plane broke");
    let late = || Refusal::new(Kind::Unavailable, format!("the control plane did not answer within {RENEW_MS_MAX} ms"));
    let spiffe_id = match &*served.borrow() {
        Served::Live { identity, .. } => identity.spiffe_id.clone(),
        Served::Ended => return Err(Refusal::new(Kind::Conflict, "the binding is over")),
    };
    let (key, csr) = reservoir::fresh().map_err(|error| Refusal::new(Kind::Bug, error.to_string()))?;
    let (answer, answered) = oneshot::channel();
    events.send(Event::Renew { held, csr, answer }).await.map_err(|_| away())?;
    let answer = tokio::time::timeout(Duration::from_millis(RENEW_MS_MAX), answered).await.map_err(|_| late())?;
    let (chain, bundle) = (answer.map_err(|_| away())??, Arc::clone(&bundles.borrow()));
    identity(held, &spiffe_id, chain, &key, &bundle).map_err(|error| Refusal::new(Kind::Bug, error.to_string()))
}

/// How long what is served now is still good for.
fn life(served: &watch::Sender<Served>) -> Duration {
    match &*served.borrow() {
        Served::Live { identity, .. } => Duration::from_millis(identity.not_after.ms_since(wall())),
        Served::Ended => Duration::ZERO,
    }
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

#[cfg(test)]
mod tests {
    use super::{NOT_BEFORE_CUSHION_SECS, PAUSE_MS, jittered_half, keep};
    use crate::backoff::tests::check_around;
    use crate::event::{EVENTS, Event, Events, Renewed};
    use crate::fixture::{Authority, held};
    use crate::signing::Signing;
    use credence_model::refusal::{Kind, Refusal};
    use credence_model::time::Timestamp;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::watch;
    use tokio::time::Instant;

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

    #[tokio::test(start_paused = true)]
    async fn an_identity_is_asked_for_again_after_growing_pauses_that_are_never_shorter_than_told() {
        let authority = Authority::new();
        let served = Arc::new(watch::Sender::new(authority.outdated(held(1))));
        let bundles = watch::Sender::new(Arc::clone(&authority.bundle));
        let signing = watch::Sender::new(Signing::default());
        let (events, mut happening) = Events::new(&EVENTS);
        let keeping = tokio::spawn(keep(held(1), served, bundles.subscribe(), signing.subscribe(), events));
        let away = || Refusal::new(Kind::Unavailable, "away");
        let mut asked_at = Vec::new();
        for refusal in [away(), away(), away().retry_after_ms(30_000), away()] {
            let Some(Event::Renew { answer, .. }) = happening.recv().await else { panic!("it asks") };
            asked_at.push(Instant::now());
            answer.send(Renewed::Err(refusal)).expect("it waits");
        }
        let pauses: Vec<_> = asked_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        check_around(&pauses[..2], &[PAUSE_MS, 2 * PAUSE_MS]);
        assert!(pauses[2] >= Duration::from_millis(30_000), "{pauses:?}");
        keeping.abort();
    }
}
