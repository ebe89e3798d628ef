//! A seal for what is given to somebody to bring back: nobody else reads it, and nobody changes it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use credence_model::refusal::{Kind, Refusal};

/// A key that follows from a secret of the server, for one purpose.
pub(crate) struct Seal(RandomizedNonceKey);

impl Seal {
    pub(crate) fn new(secret: &[u8], purpose: &str) -> Result<Self, Refusal> {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose.as_bytes());
        RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map(Self).map_err(|_| unsealable())
    }

    /// Closes it: a nonce, and then what only [`Seal::open`] reads.
    pub(crate) fn close(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let nonce = self.0.seal_in_place_append_tag(Aad::empty(), &mut bytes).map_err(|_| unsealable())?;
        Ok([nonce.as_ref().as_slice(), &bytes].concat())
    }

    /// What was closed with this key; `None` of anything else.
    pub(crate) fn open(&self, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.0.open_in_place(nonce, Aad::empty(), bytes).ok().map(|opened| opened.to_vec())
    }
}

fn unsealable() -> Refusal {
    Refusal::new(Kind::Bug, "something cannot be sealed")
}

#[cfg(test)]
mod tests {
    use super::Seal;

    #[test]
    fn what_was_closed_is_read_with_the_same_key_only_and_unchanged_only() {
        let (seal, other) =
            (Seal::new(b"secret", "pages").expect("a key"), Seal::new(b"secret", "other").expect("one"));
        let sealed = seal.close(b"finance/a-1".to_vec()).expect("sealed");
        assert!(!sealed.windows(3).any(|part| part == b"a-1"), "it can be read");
        assert_eq!(seal.open(sealed.clone()).as_deref(), Some(&b"finance/a-1"[..]));
        assert_eq!(other.open(sealed.clone()), None);
        for nth in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[nth] ^= 1;
            assert_eq!(seal.open(changed), None, "byte {nth}");
        }
        assert_eq!(seal.open(sealed[..8].to_vec()), None);
    }
}
