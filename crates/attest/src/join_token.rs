//! Join tokens: a secret that lets a new node in once, and the root that the node will trust.
//!
//! The text form is `cjt1.<secret>.<root>`: 32 secret bytes and the SHA-256 of the root certificate's DER, both in
//! base64url without padding. The second part makes first contact mutual: the node proves that it holds the secret only
//! to a server whose chain ends in that root.
//!
//! INVARIANT: the secret never leaves [`JoinToken`] except through [`JoinToken::render`], which is for the person who
//! asked for the token. The server stores the [`JoinToken::digest`], which is of no use to a thief.
//!
//! Expiry and single use are not here: they are state, and the model keeps it.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_model::id::Digest;
use credence_model::refusal::Kind;
use std::fmt;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of secret in a token.
pub const SECRET_BYTES: usize = 32;
/// Bytes of the text form: prefix, dot, 43 characters, dot, 43 characters.
pub const TEXT_BYTES: usize = PREFIX.len() + 1 + ENCODED_BYTES + 1 + ENCODED_BYTES;

/// Names the kind and version of the token, so that scanners find a leaked one.
const PREFIX: &str = "cjt1";
/// 32 bytes in base64url without padding.
const ENCODED_BYTES: usize = 43;
/// Separates this digest from every other SHA-256 in the system.
const DIGEST_DOMAIN: &[u8] = b"credence join token digest v1\0";
/// Separates this derivation from every other HMAC under the same seed.
const DERIVE_DOMAIN: &[u8] = b"credence join token secret v1\0";

/// A join token: a secret and the digest of the root certificate that its holder shall trust.
#[derive(Clone, ZeroizeOnDrop)]
pub struct JoinToken {
    secret: [u8; SECRET_BYTES],
    #[zeroize(skip)]
    root: Digest,
}

/// Why a text is not a join token. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoinTokenError {
    /// It does not begin as every join token does.
    #[error("join token: it does not begin with cjt1.; pass the whole line that `credence token create` printed")]
    NotAJoinToken,
    /// It begins well and is cut off, padded or otherwise damaged.
    #[error("join token: it is damaged (expected {TEXT_BYTES} characters); copy the whole token again")]
    Damaged,
}

impl JoinTokenError {
    /// What sort of error it is.
    pub fn kind(self) -> Kind {
        Kind::Malformed
    }
}

impl JoinToken {
    /// A token made from 32 bytes that nobody can guess.
    pub fn new(secret: &[u8; SECRET_BYTES], root_certificate: Digest) -> Self {
        Self { secret: *secret, root: root_certificate }
    }

    /// The token that belongs to an idempotency key: a retried request gets the same token without the server having
    /// stored it. `seed` is the server's own secret; the result is HMAC-SHA-256 under it (RFC 2104).
    pub fn derive(seed: &[u8; SECRET_BYTES], idempotency_key: &str, root_certificate: Digest) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, seed));
        context.update(DERIVE_DOMAIN);
        context.update(idempotency_key.as_bytes());
        let mut secret = [0; SECRET_BYTES];
        let tag = context.sign();
        secret.iter_mut().zip(tag.as_ref()).for_each(|(byte, from)| *byte = *from);
        let token = Self { secret, root: root_certificate };
        secret.zeroize();
        token
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, JoinTokenError> {
        let rest = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('.'));
        let rest = rest.ok_or(JoinTokenError::NotAJoinToken)?;
        let (secret, root) = rest.split_once('.').ok_or(JoinTokenError::Damaged)?;
        let root = decode(root)?;
        Ok(Self { secret: *decode(secret)?, root: Digest(*root) })
    }

    /// Writes the text form, secret included.
    pub fn render(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret));
        Zeroizing::new(format!("{PREFIX}.{}.{}", secret.as_str(), URL_SAFE_NO_PAD.encode(self.root.0)))
    }

    /// The secret part, to be sent to the server over a channel that was authenticated with [`Self::root`].
    pub fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// SHA-256 of the DER of the root certificate that the holder shall trust at first contact.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// What the server stores instead of the token.
    pub fn digest(&self) -> Digest {
        digest_of_secret(&self.secret)
    }
}

/// The digest of a presented secret: SHA-256 over a domain prefix and the secret. The verifier looks the token up by it,
/// so a lookup reveals nothing about a secret by its timing.
pub fn digest_of_secret(secret: &[u8; SECRET_BYTES]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(DIGEST_DOMAIN);
    context.update(secret);
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(byte, from)| *byte = *from);
    Digest(bytes)
}

/// Whether `secret` is the one whose digest was stored; compared in constant time.
pub fn verify(secret: &[u8; SECRET_BYTES], stored: &Digest) -> bool {
    digest_of_secret(secret).0.ct_eq(&stored.0).into()
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("secret", &"redacted").field("root", &self.root).finish()
    }
}

fn decode(part: &str) -> Result<Zeroizing<[u8; SECRET_BYTES]>, JoinTokenError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    if part.len() != ENCODED_BYTES {
        return Err(JoinTokenError::Damaged);
    }
    match URL_SAFE_NO_PAD.decode_slice(part, bytes.as_mut_slice()) {
        Ok(SECRET_BYTES) => Ok(bytes),
        _ => Err(JoinTokenError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> JoinToken {
        JoinToken::new(&[7; 32], Digest([9; 32]))
    }

    #[test]
    fn a_damaged_token_is_refused_without_being_repeated() {
        let text = token().render();
        assert_eq!(text.len(), TEXT_BYTES);
        for length in 0..text.len() {
            let error = JoinToken::parse(&text[..length]).expect_err("a cut token was accepted");
            assert!(!error.to_string().contains(&text[5..20]));
        }
        let wrong_alphabet = text.replace('-', "+").replace(text.chars().nth(10).unwrap_or('B'), "/");
        for bad in [format!("{}=", *text), format!(" {}", *text), text.replace("cjt1", "cjt2"), wrong_alphabet] {
            assert!(JoinToken::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_but_the_secret_itself_verifies_against_the_stored_digest() {
        let stored = token().digest();
        assert!(verify(token().secret(), &stored));
        assert!(!verify(&[8; 32], &stored));
        assert_ne!(stored, Digest::of(&[7; 32]), "the digest must be separated from plain SHA-256");
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        assert_eq!(format!("{:?}", token()), "JoinToken { secret: \"redacted\", root: 090909090909… }");
    }

    #[test]
    fn a_derived_token_depends_on_the_seed_and_on_the_key_and_on_nothing_else() {
        let derive = |seed, key| JoinToken::derive(&[seed; 32], key, Digest([9; 32])).digest();
        assert_eq!(derive(1, "a"), derive(1, "a"));
        assert_ne!(derive(1, "a"), derive(2, "a"));
        assert_ne!(derive(1, "a"), derive(1, "b"));
    }

    proptest! {
        #[test]
        fn every_token_is_read_back_as_it_was_written(secret: [u8; 32], root: [u8; 32]) {
            let token = JoinToken::new(&secret, Digest(root));
            let read = JoinToken::parse(&token.render()).expect("a rendered token parses");
            prop_assert_eq!((read.secret(), read.root()), (token.secret(), token.root()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(cjt1\\.)?.{0,100}") {
            let _ = JoinToken::parse(&text);
        }
    }
}
