//! Keys: which kinds are accepted, public keys in their one canonical form, and key pairs.
//!
//! A SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) of each accepted kind has a fixed prefix and a fixed length, so a key has
//! exactly one encoding here and its digest names it without ambiguity.

mod jwt_algorithm;
mod pair;

pub use jwt_algorithm::JwtAlgorithm;
pub use pair::KeyPair;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use credence_model::id::Digest;
use credence_model::refusal::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The kinds of key that Credence makes and certifies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// ECDSA on the curve P-256 with SHA-256.
    #[default]
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on the curve P-384 with SHA-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// Ed25519 (RFC 8032). Not for JWT-SVIDs, whose specification has no EdDSA.
    #[serde(rename = "ed25519")]
    Ed25519,
}

impl KeyAlgorithm {
    /// Every kind there is.
    pub const ALL: [Self; 3] = [Self::EcdsaP256, Self::EcdsaP384, Self::Ed25519];

    /// DER of a SubjectPublicKeyInfo up to the key itself.
    const fn spki_prefix(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256 => &[
                0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
                0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
            ],
            Self::EcdsaP384 => &[
                0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
            ],
            Self::Ed25519 => &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
        }
    }

    /// Bytes of the key after the prefix: an uncompressed point (SEC 1 §2.3.3) or 32 bytes.
    const fn key_bytes(self) -> usize {
        match self {
            Self::EcdsaP256 => 65,
            Self::EcdsaP384 => 97,
            Self::Ed25519 => 32,
        }
    }

    /// How signatures in certificates and certificate requests are verified: ECDSA values in DER.
    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            Self::Ed25519 => &ED25519,
        }
    }

    /// The identifier of its signatures (RFC 5758 §3.2, RFC 8410 §3), in dotted decimal.
    pub(crate) const fn signature_oid(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "1.2.840.10045.4.3.2",
            Self::EcdsaP384 => "1.2.840.10045.4.3.3",
            Self::Ed25519 => "1.3.101.112",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A public key of an accepted kind, in canonical DER, on its curve.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
}

/// Why a key was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is of a kind that Credence does not use.
    #[error("key type {found} is not accepted; use {}", list(.accepted))]
    NotAccepted {
        /// The kind it is of, for people.
        found: String,
        /// The kinds that are accepted here.
        accepted: Vec<KeyAlgorithm>,
    },
    /// It is of a known kind and not a valid key of it, or not canonical DER.
    #[error("public key is damaged: it is not the canonical DER of a key of its kind")]
    Damaged,
    /// A private key could not be read.
    #[error("private key is not an unencrypted PKCS#8 key of a kind in use (ECDSA P-256, ECDSA P-384 or Ed25519)")]
    PrivateKey,
    /// A signature does not match the key and the message.
    #[error("signature does not match its key")]
    Signature,
    /// The cryptographic library refused to work.
    #[error("the cryptographic library failed to {0}")]
    Library(&'static str),
}

impl KeyError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotAccepted { .. } | Self::Damaged | Self::PrivateKey => Kind::Malformed,
            Self::Signature => Kind::Unauthenticated,
            Self::Library(_) => Kind::Bug,
        }
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER; only the kinds in `accepted` and only their canonical encoding.
    pub fn from_spki(spki: &[u8], accepted: &[KeyAlgorithm]) -> Result<Self, KeyError> {
        let Some(algorithm) = KeyAlgorithm::ALL.into_iter().find(|kind| spki.starts_with(kind.spki_prefix())) else {
            return Err(KeyError::NotAccepted { found: name_of(spki)?, accepted: accepted.to_vec() });
        };
        if !accepted.contains(&algorithm) {
            return Err(KeyError::NotAccepted { found: algorithm.to_string(), accepted: accepted.to_vec() });
        }
        let key = Self { algorithm, spki: spki.to_vec() };
        let compressed = algorithm != KeyAlgorithm::Ed25519 && key.raw().first() != Some(&4);
        if key.raw().len() != algorithm.key_bytes() || compressed {
            return Err(KeyError::Damaged);
        }
        // The library checks that the point is on its curve.
        ParsedPublicKey::new(algorithm.verification(), key.raw()).map_err(|_| KeyError::Damaged)?;
        Ok(key)
    }

    /// A key from its bytes without the algorithm.
    pub(crate) fn from_raw(algorithm: KeyAlgorithm, raw: &[u8]) -> Result<Self, KeyError> {
        Self::from_spki(&[algorithm.spki_prefix(), raw].concat(), &[algorithm])
    }

    /// Its kind.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Its SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of its SubjectPublicKeyInfo: the name of the key in orders and in the registry.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.spki)
    }

    /// The key without its algorithm: an uncompressed point, or the 32 bytes of Ed25519.
    pub(crate) fn raw(&self) -> &[u8] {
        self.spki.get(self.algorithm.spki_prefix().len()..).unwrap_or_default()
    }

    /// Checks a signature as certificates carry it (ECDSA values in DER).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let key = ParsedPublicKey::new(self.algorithm.verification(), self.raw()).map_err(|_| KeyError::Damaged)?;
        key.verify_sig(message, signature).map_err(|_| KeyError::Signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}…", self.algorithm, self.digest().short())
    }
}

fn list(accepted: &[KeyAlgorithm]) -> String {
    let names: Vec<_> = accepted.iter().map(ToString::to_string).collect();
    names.join(" or ")
}

/// Names the kind of any SubjectPublicKeyInfo, for people.
pub(crate) fn name_of(spki: &[u8]) -> Result<String, KeyError> {
    if let Some(known) = KeyAlgorithm::ALL.into_iter().find(|kind| spki.starts_with(kind.spki_prefix())) {
        return Ok(known.to_string());
    }
    let (rest, parsed) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| KeyError::Damaged)?;
    if !rest.is_empty() {
        return Err(KeyError::Damaged);
    }
    let curve = parsed.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
    Ok(match (parsed.algorithm.algorithm.to_id_string().as_str(), curve.as_deref()) {
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10", _) => "RSA".into(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => "ECDSA P-521".into(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.10")) => "ECDSA secp256k1".into(),
        ("1.2.840.10045.2.1", _) => "ECDSA on another curve".into(),
        ("1.2.840.10040.4.1", _) => "DSA".into(),
        ("1.3.101.113", _) => "Ed448".into(),
        ("1.3.101.110", _) => "X25519".into(),
        (other, _) => format!("with OID {other}"),
    })
}

#[cfg(test)]
mod tests;
