//! The rules of the X509-SVID document that a certificate is judged by, apart from any trust in it.

use crate::certificate::{CRL_SIGN, Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN};
use credence_model::spiffe_id::SpiffeId;
use credence_model::text::InvalidText;
use thiserror::Error;

/// The DER of a name without any part.
pub(crate) const EMPTY_NAME: &[u8] = &[0x30, 0x00];

/// A rule of X509-SVID that a certificate breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    /// §2: no URI name.
    #[error("it has no URI subject alternative name, so it carries no SPIFFE ID")]
    NoUriName,
    /// §2: more than one URI name.
    #[error("it has {0} URI subject alternative names; an SVID has exactly one")]
    SeveralUriNames(usize),
    /// SPIFFE-ID §2: the URI name is no SPIFFE ID.
    #[error("its URI subject alternative name is not a SPIFFE ID: {0}")]
    Id(InvalidText),
    /// §3.1 and §3.2: a leaf without a path, or a signing certificate with one.
    #[error("its SPIFFE ID {id} {}", if *.leaf { "has no path, so it names a trust domain and not a workload" } else { "has a path, which a signing certificate may not have" })]
    Path {
        /// The SPIFFE ID.
        id: SpiffeId,
        /// Whether it was judged as a leaf.
        leaf: bool,
    },
    /// §3.1: the subject is empty and the subject alternative name is not critical.
    #[error("its subject is empty and its subject alternative name is not critical")]
    NamesNotCritical,
    /// §4.1: cA on a leaf, or no cA on a signing certificate.
    #[error("its basic constraints {}", if *.leaf { "say that it is a CA, and a CA never authenticates" } else { "do not say that it is a CA" })]
    BasicConstraints {
        /// Whether it was judged as a leaf.
        leaf: bool,
    },
    /// §4.3: no key usage, or not critical.
    #[error("its key usage is absent or not critical")]
    KeyUsageNotCritical,
    /// §4.3: a leaf that may sign certificates or CRLs.
    #[error("its key usage allows signing certificates or CRLs, which a leaf may not do")]
    MaySign,
    /// §4.3: a leaf without digitalSignature, or a signing certificate without keyCertSign.
    #[error("its key usage lacks {0}")]
    KeyUsageLacks(&'static str),
    /// §4.4: an extended key usage that is not for both ends of TLS.
    #[error("its extended key usage lacks serverAuth or clientAuth; a leaf that has one needs both")]
    ExtendedKeyUsage,
}

/// The SPIFFE ID of a leaf, or the first rule it breaks.
pub(crate) fn leaf(certificate: &Certificate) -> Result<SpiffeId, Violation> {
    let id = leaf_id(certificate)?;
    leaf_fields(certificate).map_or(Ok(id), Err)
}

/// Every rule that a leaf breaks, as far as they can be told apart.
pub(crate) fn leaf_violations(certificate: &Certificate) -> Vec<Violation> {
    leaf_id(certificate).err().into_iter().chain(leaf_fields(certificate)).collect()
}

// SPEC: X509-SVID §2, §3.1, §5.2
fn leaf_id(certificate: &Certificate) -> Result<SpiffeId, Violation> {
    let id = only_id(certificate)?.ok_or(Violation::NoUriName)?;
    if id.path().is_empty() { Err(Violation::Path { id, leaf: true }) } else { Ok(id) }
}

// SPEC: X509-SVID §3.1, §4.1, §4.3, §4.4, §5.2
fn leaf_fields(certificate: &Certificate) -> Option<Violation> {
    let eku_is_partial = certificate.extended_key_usage.is_some_and(|eku| !(eku.server && eku.client));
    if certificate.is_ca() {
        Some(Violation::BasicConstraints { leaf: true })
    } else if certificate.may(KEY_CERT_SIGN | CRL_SIGN) {
        Some(Violation::MaySign)
    } else if !certificate.key_usage.is_some_and(|usage| usage.critical) {
        Some(Violation::KeyUsageNotCritical)
    } else if !certificate.may(DIGITAL_SIGNATURE) {
        Some(Violation::KeyUsageLacks("digitalSignature"))
    } else if eku_is_partial {
        Some(Violation::ExtendedKeyUsage)
    } else if certificate.subject == EMPTY_NAME && !certificate.names.critical {
        Some(Violation::NamesNotCritical)
    } else {
        None
    }
}

/// The SPIFFE ID of a signing certificate, if it has one, or the first rule it breaks.
// SPEC: X509-SVID §3.2, §4.1, §4.3
pub(crate) fn signing(certificate: &Certificate) -> Result<Option<SpiffeId>, Violation> {
    if !certificate.is_ca() {
        return Err(Violation::BasicConstraints { leaf: false });
    }
    if !certificate.key_usage.is_some_and(|usage| usage.critical) {
        return Err(Violation::KeyUsageNotCritical);
    }
    if !certificate.may(KEY_CERT_SIGN) {
        return Err(Violation::KeyUsageLacks("keyCertSign"));
    }
    match only_id(certificate)? {
        Some(id) if !id.path().is_empty() => Err(Violation::Path { id, leaf: false }),
        id => Ok(id),
    }
}

fn only_id(certificate: &Certificate) -> Result<Option<SpiffeId>, Violation> {
    match certificate.names.uris.as_slice() {
        [] => Ok(None),
        [uri] => SpiffeId::parse(uri).map(Some).map_err(Violation::Id),
        several => Err(Violation::SeveralUriNames(several.len())),
    }
}
