//! Which keys sign JWT-SVIDs, and how.

use crate::key::{KeyAlgorithm, PublicKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, UnparsedPublicKey, VerificationAlgorithm,
};

/// The signature algorithms of JWT-SVIDs that are made and accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

impl JwtAlgorithm {
    /// As `alg` spells it (RFC 7518 §3.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Es256, Self::Es384].into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    /// The one algorithm that a kind of key signs tokens with; none for Ed25519 (JWT-SVID §2.1).
    pub const fn of(key: KeyAlgorithm) -> Option<Self> {
        match key {
            KeyAlgorithm::EcdsaP256 => Some(Self::Es256),
            KeyAlgorithm::EcdsaP384 => Some(Self::Es384),
            KeyAlgorithm::Ed25519 => None,
        }
    }

    /// Whether `signature` (two integers of fixed length, RFC 7518 §3.4) is `key`'s over `message`.
    pub(crate) fn check(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &ECDSA_P384_SHA384_FIXED,
        };
        UnparsedPublicKey::new(algorithm, key.raw()).verify(message, signature).is_ok()
    }
}
