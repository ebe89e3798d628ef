//! Key pairs: made, read from PKCS#8, and used to sign, over aws-lc-rs.

use crate::key::{KeyAlgorithm, KeyError, PublicKey};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use std::fmt;
use zeroize::Zeroizing;

/// A private key with its public key. The PKCS#8 copy is wiped when it is dropped, and `Debug` shows the public key only.
pub struct KeyPair {
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
    signer: Signer,
}

enum Signer {
    /// One key in the two signature forms: DER for certificates, fixed length for JOSE (RFC 7518 §3.4).
    Ecdsa {
        der: Box<EcdsaKeyPair>,
        fixed: Box<EcdsaKeyPair>,
    },
    Ed25519(Box<Ed25519KeyPair>),
}

impl KeyPair {
    /// Makes a new key with the library's random number generator.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let rng = SystemRandom::new();
        let made = match ecdsa(algorithm) {
            Some((der, _)) => EcdsaKeyPair::generate_pkcs8(der, &rng),
            // Version 1 carries no public key, which is the form every reader of PKCS#8 knows (RFC 5958 §2).
            None => Ed25519KeyPair::generate_pkcs8v1(&rng),
        };
        let document = made.map_err(|_| KeyError::Library("make a key"))?;
        Self::read(algorithm, document.as_ref())
    }

    /// Reads an unencrypted PKCS#8 key of any kind in use, in DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let read = KeyAlgorithm::ALL.into_iter().find_map(|algorithm| Self::read(algorithm, der).ok());
        read.ok_or(KeyError::PrivateKey)
    }

    fn read(algorithm: KeyAlgorithm, der: &[u8]) -> Result<Self, KeyError> {
        let (signer, spki) = match ecdsa(algorithm) {
            Some((asn1, fixed)) => {
                let asn1 = EcdsaKeyPair::from_pkcs8(asn1, der).map_err(|_| KeyError::PrivateKey)?;
                let fixed = EcdsaKeyPair::from_pkcs8(fixed, der).map_err(|_| KeyError::PrivateKey)?;
                let spki = asn1.public_key().as_der();
                (Signer::Ecdsa { der: Box::new(asn1), fixed: Box::new(fixed) }, spki)
            }
            None => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyError::PrivateKey)?;
                let spki = key.public_key().as_der();
                (Signer::Ed25519(Box::new(key)), spki)
            }
        };
        let spki = spki.map_err(|_| KeyError::Library("write a public key"))?;
        let public = PublicKey::from_spki(spki.as_ref(), &[algorithm])?;
        Ok(Self { pkcs8: Zeroizing::new(der.to_vec()), public, signer })
    }

    /// The kind of key.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.public.algorithm()
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The private key as unencrypted PKCS#8 DER (RFC 5958), for the one who owns it.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Signs as certificates want it: ECDSA values in DER.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.signer {
            Signer::Ecdsa { der, .. } => sign_ecdsa(der, message),
            Signer::Ed25519(key) => {
                key.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(|_| FAILED)
            }
        }
    }

    /// Signs as JOSE wants it: ECDSA values as two integers of fixed length (RFC 7518 §3.4).
    pub fn sign_jose(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.signer {
            Signer::Ecdsa { fixed, .. } => sign_ecdsa(fixed, message),
            Signer::Ed25519(_) => self.sign(message),
        }
    }
}

const FAILED: KeyError = KeyError::Library("sign");

fn sign_ecdsa(key: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    key.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec()).map_err(|_| FAILED)
}

fn ecdsa(algorithm: KeyAlgorithm) -> Option<(&'static EcdsaSigningAlgorithm, &'static EcdsaSigningAlgorithm)> {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => Some((&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_FIXED_SIGNING)),
        KeyAlgorithm::EcdsaP384 => Some((&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING)),
        KeyAlgorithm::Ed25519 => None,
    }
}

impl rcgen::PublicKeyData for KeyPair {
    fn der_bytes(&self) -> &[u8] {
        self.public.raw()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.public.algorithm() {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

impl rcgen::SigningKey for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Self::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).field("private", &"redacted").finish()
    }
}
