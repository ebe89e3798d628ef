//! Certificate signing requests (RFC 2986): a key and the proof that the sender holds its private half.
//!
//! Nothing else is taken from a request: names, attributes and extensions that it asks for are ignored, because the
//! registry says who the sender is.

use crate::key::{KeyAlgorithm, KeyError, KeyPair, PublicKey};
use credence_model::id::Digest;
use credence_model::refusal::Kind;
use thiserror::Error;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

/// Largest request that is read, in bytes.
pub const CSR_BYTES_MAX: usize = 8 * 1024;

/// The kinds of key that are certified unless the operator says otherwise.
pub const ACCEPTED_BY_DEFAULT: &[KeyAlgorithm] = &[KeyAlgorithm::EcdsaP256];

/// A public key whose sender proved that it holds the private key. Made only by [`prove`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenKey {
    key: PublicKey,
}

/// Why a certificate signing request was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CsrError {
    /// It is larger than [`CSR_BYTES_MAX`].
    #[error("csr: it has {bytes} bytes; at most {CSR_BYTES_MAX} are read")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// It is not one PKCS#10 request in DER.
    #[error("csr: it is not a PKCS#10 certificate request in DER")]
    Malformed,
    /// Its key is not of an accepted kind, or its signature does not match.
    #[error("csr: {0}")]
    Key(KeyError),
    /// It is signed with an algorithm that does not belong to its key.
    #[error("csr: signature algorithm {found} does not belong to a key of type {key}")]
    SignatureAlgorithm {
        /// The algorithm in dotted decimal.
        found: String,
        /// The kind of key.
        key: KeyAlgorithm,
    },
    /// The request could not be written.
    #[error("csr: it could not be written")]
    Write,
}

impl CsrError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::Limited,
            Self::Malformed | Self::SignatureAlgorithm { .. } => Kind::Malformed,
            Self::Key(error) => error.kind(),
            Self::Write => Kind::Bug,
        }
    }
}

impl ProvenKey {
    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Its SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        self.key.spki()
    }

    /// SHA-256 of its SubjectPublicKeyInfo.
    pub fn digest(&self) -> Digest {
        self.key.digest()
    }
}

/// Reads a request in DER and checks that it was signed with the private half of the key in it.
pub fn prove(der: &[u8], accepted: &[KeyAlgorithm]) -> Result<ProvenKey, CsrError> {
    if der.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLarge { bytes: der.len() });
    }
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| CsrError::Malformed)?;
    if !rest.is_empty() {
        return Err(CsrError::Malformed);
    }
    let info = &request.certification_request_info;
    let key = PublicKey::from_spki(info.subject_pki.raw, accepted).map_err(CsrError::Key)?;
    let signed_with = request.signature_algorithm.algorithm.to_id_string();
    if signed_with != key.algorithm().signature_oid() || request.signature_algorithm.parameters.is_some() {
        return Err(CsrError::SignatureAlgorithm { found: signed_with, key: key.algorithm() });
    }
    key.verify(info.raw, &request.signature_value.data).map_err(CsrError::Key)?;
    Ok(ProvenKey { key })
}

/// Writes a request for `key`, in DER: an empty subject and no attributes, because nobody would read them.
pub fn request(key: &KeyPair) -> Result<Vec<u8>, CsrError> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let request = params.serialize_request(key).map_err(|_| CsrError::Write)?;
    Ok(request.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn csr(algorithm: KeyAlgorithm) -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate(algorithm).expect("a key");
        let der = request(&key).expect("a request");
        (key, der)
    }

    #[test]
    fn a_request_proves_its_own_key_and_nothing_else() {
        for algorithm in KeyAlgorithm::ALL {
            let (key, der) = csr(algorithm);
            let proven = prove(&der, &KeyAlgorithm::ALL).expect("accepted");
            assert_eq!((proven.key(), proven.digest()), (key.public(), Digest::of(key.public().spki())));
        }
    }

    #[test]
    fn every_bad_request_is_refused_with_the_field_that_was_wrong() {
        let (_, der) = csr(KeyAlgorithm::EcdsaP256);
        let mut bad_signature = der.clone();
        let middle = bad_signature.len() - 20;
        bad_signature[middle] ^= 1;
        let mut other_key = der.clone();
        let at = der.windows(4).position(|window| window == [0x03, 0x42, 0x00, 0x04]).expect("the key") + 4;
        let (stranger, _) = csr(KeyAlgorithm::EcdsaP256);
        other_key[at..at + 64].copy_from_slice(&stranger.public().spki()[27..]);
        let trailing = [&der[..], &[0]].concat();
        let ed25519 = csr(KeyAlgorithm::Ed25519).1;
        for (bad, message) in [
            (&bad_signature, "csr: signature does not match its key"),
            (&other_key, "csr: signature does not match its key"),
            (&ed25519, "csr: key type Ed25519 is not accepted; use ECDSA P-256"),
            (&trailing, "csr: it is not a PKCS#10 certificate request in DER"),
            (&vec![], "csr: it is not a PKCS#10 certificate request in DER"),
            (&vec![0; CSR_BYTES_MAX + 1], "csr: it has 8193 bytes; at most 8192 are read"),
        ] {
            let error = prove(bad, ACCEPTED_BY_DEFAULT).expect_err("accepted");
            assert_eq!(error.to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn no_change_of_one_byte_proves_another_key(at in 0_usize..1000, flip in 1_u8..=255) {
            let (key, mut der) = csr(KeyAlgorithm::EcdsaP256);
            let at = at % der.len();
            der[at] ^= flip;
            // Outside the signed part a lax reader may see the same request: then it is the same key that was proven.
            if let Ok(proven) = prove(&der, ACCEPTED_BY_DEFAULT) {
                prop_assert_eq!(proven.key.spki(), key.public().spki());
            }
        }
    }
}
