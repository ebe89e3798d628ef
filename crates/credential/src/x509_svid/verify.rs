//! Verifying an X.509-SVID that somebody presents.
//!
//! The path is validated by rustls-webpki (RFC 5280 §6); around it stand the SPIFFE rules that a general library does not
//! know: one SPIFFE ID, no signing certificate as a leaf, the bundle of the leaf's own trust domain and no other, and
//! authorities that are themselves still valid.

use crate::bundle::{BundleSet, X509Bundle};
use crate::certificate::{Certificate, Malformed};
use crate::x509_svid::claims::{self, CLAIMS_OID_TEXT};
use crate::x509_svid::profile::{self, Violation};
use credence_model::id::Digest;
use credence_model::order::Claims;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use thiserror::Error;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext};

/// Longest chain that is read: a leaf, three intermediates, and the root that some send along.
pub const CHAIN_CERTIFICATES_MAX: usize = 5;

/// An X.509-SVID whose chain, validity and profile were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedX509Svid {
    /// Its SPIFFE ID.
    pub id: SpiffeId,
    /// What it says about the binding; an actor's has it, a node's or another authority's has not.
    pub claims: Option<Claims>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
}

impl VerifiedX509Svid {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn key(&self) -> Digest {
        Digest::of(&self.spki)
    }
}

/// Why a presented X.509-SVID is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No certificate at all.
    #[error("x509-svid: no certificate was presented")]
    Absent,
    /// More than [`CHAIN_CERTIFICATES_MAX`] certificates.
    #[error("x509-svid: the chain has {0} certificates; at most {CHAIN_CERTIFICATES_MAX} are read")]
    TooLong(usize),
    /// A certificate cannot be read.
    #[error("x509-svid: certificate {position} of the chain: {why}")]
    Malformed {
        /// Counted from 1, the leaf.
        position: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A certificate breaks a rule of X509-SVID.
    #[error("x509-svid: certificate {position} of the chain: {rule}")]
    Profile {
        /// Counted from 1, the leaf.
        position: usize,
        /// The rule.
        rule: Violation,
    },
    /// The claims extension is there and cannot be read.
    #[error("x509-svid: its credence claims cannot be read")]
    Claims,
    /// No bundle is held for the trust domain.
    #[error("x509-svid: no bundle is held for the trust domain of {0}")]
    NoBundle(SpiffeId),
    /// It was to be verified with the bundle of another trust domain.
    #[error("x509-svid: {id} does not belong to the trust domain {trust_domain}")]
    OtherTrustDomain {
        /// Whose SVID it is.
        id: SpiffeId,
        /// Whose bundle it is.
        trust_domain: TrustDomain,
    },
    /// No authority of the bundle is valid now.
    #[error("x509-svid: the bundle of {0} holds no authority that is valid now")]
    NoAuthority(TrustDomain),
    /// It is not valid yet.
    #[error("x509-svid: {id} is not valid yet (from {} seconds since the epoch); check the clocks", .not_before.as_secs())]
    NotYetValid {
        /// Whose SVID it is.
        id: SpiffeId,
        /// When it will be.
        not_before: Timestamp,
    },
    /// It is not valid any more.
    #[error("x509-svid: {id} expired (at {} seconds since the epoch)", .not_after.as_secs())]
    Expired {
        /// Whose SVID it is.
        id: SpiffeId,
        /// When it expired.
        not_after: Timestamp,
    },
    /// No path leads from it to an authority of the bundle.
    #[error("x509-svid: {id} is not certified by an authority of its trust domain: {why}")]
    Untrusted {
        /// Whose SVID it claims to be.
        id: SpiffeId,
        /// What the path validation said.
        why: String,
    },
}

impl VerifyError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooLong(_) => Kind::Limited,
            _ => Kind::Unauthenticated,
        }
    }
}

/// Verifies a chain (DER, leaf first) with the bundle of its own trust domain out of `bundles`.
// SPEC: Workload API §4.6 (W-05); Federation §4.2 (F-02)
pub fn verify_in<C: AsRef<[u8]>>(
    chain: &[C],
    bundles: &BundleSet,
    now: Timestamp,
) -> Result<VerifiedX509Svid, VerifyError> {
    let leaf = Leaf::read(chain)?;
    let bundle = bundles.find(&leaf.id.trust_domain()).ok_or_else(|| VerifyError::NoBundle(leaf.id.clone()))?;
    leaf.verify(chain, bundle.x509(), now)
}

/// Verifies a chain (DER, leaf first) with one bundle, which must be that of the leaf's trust domain.
// SPEC: X509-SVID §5.1, §5.2
pub fn verify<C: AsRef<[u8]>>(
    chain: &[C],
    bundle: &X509Bundle,
    now: Timestamp,
) -> Result<VerifiedX509Svid, VerifyError> {
    Leaf::read(chain)?.verify(chain, bundle, now)
}

struct Leaf {
    certificate: Certificate,
    id: SpiffeId,
}

impl Leaf {
    fn read<C: AsRef<[u8]>>(chain: &[C]) -> Result<Self, VerifyError> {
        if chain.len() > CHAIN_CERTIFICATES_MAX {
            return Err(VerifyError::TooLong(chain.len()));
        }
        let der = chain.first().ok_or(VerifyError::Absent)?;
        let certificate = parse(der.as_ref(), 1)?;
        let id = profile::leaf(&certificate).map_err(|rule| VerifyError::Profile { position: 1, rule })?;
        Ok(Self { certificate, id })
    }

    fn verify<C: AsRef<[u8]>>(
        self,
        chain: &[C],
        bundle: &X509Bundle,
        now: Timestamp,
    ) -> Result<VerifiedX509Svid, VerifyError> {
        let trust_domain = bundle.trust_domain();
        if !self.id.is_in(trust_domain) {
            return Err(VerifyError::OtherTrustDomain { id: self.id, trust_domain: trust_domain.clone() });
        }
        let Certificate { not_before, not_after, .. } = self.certificate;
        if now.as_secs() < not_before.as_secs() {
            return Err(VerifyError::NotYetValid { id: self.id, not_before });
        }
        if now.as_secs() > not_after.as_secs() {
            return Err(VerifyError::Expired { id: self.id, not_after });
        }
        let mut others = Vec::with_capacity(chain.len());
        for (index, der) in chain.iter().enumerate().skip(1) {
            check_signing(der.as_ref(), index + 1, trust_domain)?;
            others.push(CertificateDer::from(der.as_ref()));
        }
        let leaf = CertificateDer::from(chain.first().ok_or(VerifyError::Absent)?.as_ref());
        self.check_path(&leaf, &others, bundle, now)?;
        let claims = self.claims()?;
        let Certificate { serial, spki, .. } = self.certificate;
        Ok(VerifiedX509Svid { id: self.id, claims, not_before, not_after, serial, spki })
    }

    fn check_path(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        bundle: &X509Bundle,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let anchors = bundle.anchors(now);
        if anchors.is_empty() {
            return Err(VerifyError::NoAuthority(bundle.trust_domain().clone()));
        }
        let untrusted = |error: webpki::Error| VerifyError::Untrusted { id: self.id.clone(), why: error.to_string() };
        let leaf = EndEntityCert::try_from(leaf).map_err(untrusted)?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()));
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        leaf.verify_for_usage(algorithms, &anchors, others, time, EitherEndOfTls, None, None).map_err(untrusted)?;
        Ok(())
    }

    fn claims(&self) -> Result<Option<Claims>, VerifyError> {
        let extension = self.certificate.others.iter().find(|extension| extension.oid == CLAIMS_OID_TEXT);
        extension.map(|extension| claims::decode(&extension.value).ok_or(VerifyError::Claims)).transpose()
    }
}

fn parse(der: &[u8], position: usize) -> Result<Certificate, VerifyError> {
    Certificate::parse(der).map_err(|Malformed(why)| VerifyError::Malformed { position, why })
}

/// webpki reads basic constraints but not key usage, and knows no SPIFFE IDs; both matter for a signing certificate.
fn check_signing(der: &[u8], position: usize, trust_domain: &TrustDomain) -> Result<(), VerifyError> {
    let certificate = parse(der, position)?;
    match profile::signing(&certificate).map_err(|rule| VerifyError::Profile { position, rule })? {
        Some(id) if !id.is_in(trust_domain) => {
            Err(VerifyError::OtherTrustDomain { id, trust_domain: trust_domain.clone() })
        }
        _ => Ok(()),
    }
}

/// Accepts a certificate without extended key usage, or with one for either end of TLS. That a leaf has both was checked
/// before; intermediates may be narrower.
struct EitherEndOfTls;

impl ExtendedKeyUsageValidator for EitherEndOfTls {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in purposes {
            let oid = purpose?.to_decoded_oid();
            if oid == KeyUsage::SERVER_AUTH_REPR || oid == KeyUsage::CLIENT_AUTH_REPR {
                return Ok(());
            }
            present.push(oid);
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = KeyUsage::server_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}
