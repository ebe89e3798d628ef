//! The reservoir: keys made ahead of need, so that a binding's first X.509-SVID comes in the same message as the binding.
//!
//! INVARIANT: a key is offered on one stream and certified once. Those that were offered on an older stream and not used
//! are thrown away when a new one begins.

use credence_credential::csr::{self, CsrError};
use credence_credential::key::{KeyAlgorithm, KeyError, KeyPair};
use credence_model::id::{BindingId, Digest};
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

/// Most keys in one offer.
pub(crate) const OFFER_KEYS_MAX: usize = 64;

/// Why no key could be made.
#[derive(Debug, Error)]
pub(crate) enum KeyMakingError {
    /// The key itself.
    #[error("a key cannot be made: {0}")]
    Key(#[from] KeyError),
    /// Its request.
    #[error("a key's request cannot be made: {0}")]
    Csr(#[from] CsrError),
}

/// Keys by where they are in their life. All are wiped when they are dropped.
#[derive(Default)]
pub(crate) struct Reservoir {
    /// Offered on the present stream.
    offered: HashMap<Digest, KeyPair>,
    /// Certified for a binding that was not started yet.
    claimed: BTreeMap<BindingId, KeyPair>,
}

impl Reservoir {
    /// A new stream begins: what was offered on the older one is of no use.
    pub(crate) fn begin(&mut self) {
        self.offered.clear();
    }

    /// Makes so many keys more; answers their requests in DER, at most one offer.
    pub(crate) fn fill(&mut self, count: usize) -> Result<Vec<Vec<u8>>, KeyMakingError> {
        (0..count.min(OFFER_KEYS_MAX)).map(|_| self.make()).collect()
    }

    fn make(&mut self) -> Result<Vec<u8>, KeyMakingError> {
        let (key, request) = fresh()?;
        self.offered.insert(key.public().digest(), key);
        Ok(request)
    }

    /// The key with this digest was certified for a binding. Says whether it was one that was offered.
    pub(crate) fn claim(&mut self, binding: BindingId, key: &Digest) -> bool {
        let found = self.offered.remove(key);
        found.map(|key| self.claimed.insert(binding, key)).is_some()
    }

    /// The key of a binding that starts.
    pub(crate) fn take(&mut self, binding: BindingId) -> Option<KeyPair> {
        self.claimed.remove(&binding)
    }

    /// Forgets the keys of bindings that are over before they started.
    pub(crate) fn keep_claimed(&mut self, holds: impl Fn(BindingId) -> bool) {
        self.claimed.retain(|binding, _| holds(*binding));
    }
}

/// A fresh key and its request in DER.
pub(crate) fn fresh() -> Result<(KeyPair, Vec<u8>), KeyMakingError> {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256)?;
    let request = csr::request(&key)?;
    Ok((key, request))
}

#[cfg(test)]
mod tests {
    use super::{OFFER_KEYS_MAX, Reservoir};
    use credence_credential::csr;
    use credence_model::id::BindingId;

    #[test]
    fn a_key_is_used_once_and_only_on_the_stream_it_was_offered_on() {
        let mut reservoir = Reservoir::default();
        let offered = reservoir.fill(3).expect("keys");
        let digest = |index: usize| {
            csr::prove(&offered[index], csr::ACCEPTED_BY_DEFAULT).expect("a proof of possession").digest()
        };
        let (one, two) = ("01arz3ndektsv4rrffq69g5fav", "01arz3ndektsv4rrffq69g5faw");
        let [one, two] = [one, two].map(|text| BindingId::parse(text).expect("a binding"));
        assert!(reservoir.claim(one, &digest(0)));
        assert!(!reservoir.claim(two, &digest(0)), "a key was used twice");
        reservoir.begin();
        assert!(!reservoir.claim(two, &digest(1)), "a key of an older stream was used");
        assert!(reservoir.take(one).is_some_and(|key| key.public().digest() == digest(0)));
        assert!(reservoir.take(one).is_none());
    }

    #[test]
    fn an_offer_is_never_larger_than_the_control_plane_takes() {
        assert_eq!(Reservoir::default().fill(1000).expect("keys").len(), OFFER_KEYS_MAX);
    }
}
