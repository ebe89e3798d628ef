//! Certificates that were verified a moment ago. Verifying one takes longer than everything else about a question, and a proxy
//! shows the same one with each request of a connection.
//!
//! INVARIANT: what is found here was verified with the bundle and the intermediates that are in force now, less than
//! [`PROOF_MS_MAX`] ago, and has not expired since. Whether the actor still acts in that binding is not a part of the proof.

use crate::endpoint::Identity;
use credence_credential::bundle::Bundle;
use credence_credential::x509_svid::VerifiedX509Svid;
use credence_model::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long a certificate is believed without being verified again, in milliseconds.
const PROOF_MS_MAX: u64 = 1_000;
/// Most certificates that are remembered; beyond that all are verified again.
const PROOFS_MAX: usize = 1_024;

/// What was verified for one gateway.
#[derive(Default)]
pub(super) struct Proofs(Mutex<HashMap<Box<str>, Proof>>);

struct Proof {
    // Not kept alive here: one of them has a key.
    gateway: Weak<Identity>,
    bundle: Weak<Bundle>,
    since: Instant,
    svid: Arc<VerifiedX509Svid>,
}

impl Proofs {
    /// What a certificate, as the proxy wrote it, was verified as.
    pub(super) fn find(
        &self,
        certificate: &str,
        (gateway, bundle): (&Arc<Identity>, &Arc<Bundle>),
        now: Timestamp,
    ) -> Option<Arc<VerifiedX509Svid>> {
        let all = self.all();
        let proof = all.get(certificate)?;
        let is_same = std::ptr::eq(proof.gateway.as_ptr(), Arc::as_ptr(gateway))
            && std::ptr::eq(proof.bundle.as_ptr(), Arc::as_ptr(bundle));
        let is_valid = proof.svid.not_before <= now && now <= proof.svid.not_after;
        let is_fresh = proof.since.elapsed() < Duration::from_millis(PROOF_MS_MAX);
        (is_same && is_valid && is_fresh).then(|| Arc::clone(&proof.svid))
    }

    /// Remembers what a certificate was verified as just now.
    pub(super) fn keep(
        &self,
        certificate: &str,
        (gateway, bundle): (&Arc<Identity>, &Arc<Bundle>),
        svid: &Arc<VerifiedX509Svid>,
    ) {
        let (gateway, bundle) = (Arc::downgrade(gateway), Arc::downgrade(bundle));
        let mut all = self.all();
        if all.len() >= PROOFS_MAX {
            all.clear();
        }
        all.insert(certificate.into(), Proof { gateway, bundle, since: Instant::now(), svid: Arc::clone(svid) });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Box<str>, Proof>> {
        // Every change is one insert or a removal of all, so the map is whole even if somebody panicked while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
