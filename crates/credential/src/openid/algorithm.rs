//! Which signatures of providers are accepted. None that is symmetric, and never `none`.

use crate::key::{KeyAlgorithm, PublicKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// A signature algorithm of providers (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// Reads `alg`; Ed25519 has two names (RFC 9864).
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// A public key of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// RSA: modulus and exponent, big-endian.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// An elliptic curve's.
    Curve(PublicKey),
}

impl Key {
    /// What it signs with if its provider does not say: RS256 is every provider's default (OpenID Connect Core §3.1.3.7).
    pub(super) fn usual(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::Curve(key) => match key.algorithm() {
                KeyAlgorithm::EcdsaP256 => Algorithm::Es256,
                KeyAlgorithm::EcdsaP384 => Algorithm::Es384,
                KeyAlgorithm::Ed25519 => Algorithm::EdDsa,
            },
        }
    }

    /// Whether it can sign so.
    pub(super) fn suits(&self, algorithm: Algorithm) -> bool {
        self.usual() == algorithm || (self.usual() == Algorithm::Rs256 && algorithm == Algorithm::Ps256)
    }

    /// Whether `signature` is this key's over `message`. No key answers for an algorithm that it does not suit.
    pub(super) fn check(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.suits(algorithm) {
            return false;
        }
        match self {
            Self::Rsa { modulus, exponent } => {
                let parameters = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }
            Self::Curve(key) => {
                let verification: &'static dyn VerificationAlgorithm = match key.algorithm() {
                    KeyAlgorithm::EcdsaP256 => &ECDSA_P256_SHA256_FIXED,
                    KeyAlgorithm::EcdsaP384 => &ECDSA_P384_SHA384_FIXED,
                    KeyAlgorithm::Ed25519 => &ED25519,
                };
                UnparsedPublicKey::new(verification, key.raw()).verify(message, signature).is_ok()
            }
        }
    }
}
