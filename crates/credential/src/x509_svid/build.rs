//! Building certificates: leaves by [`super::leaf`], signing certificates with rcgen.

use crate::certificate::{Certificate, Malformed};
use crate::key::{KeyAlgorithm, PublicKey};
use crate::x509_svid::{leaf, profile};
use credence_model::order::Claims;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose, SanType, SerialNumber,
    SigningKey, SubjectPublicKeyInfo,
};
use std::net::IpAddr;
use std::time::Duration;
use thiserror::Error;

/// Bytes of a serial number: 128 random bits (RFC 5280 §4.1.2.2 allows 159).
pub const SERIAL_BYTES: usize = 16;

/// The last second that an X.509 date can name: 9999-12-31T23:59:59Z.
const LATEST_SECS: u64 = 253_402_300_799;

/// What an X.509-SVID shall say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its one SPIFFE ID, which has a path.
    pub subject: SpiffeId,
    /// The certified key: SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
    /// The claims about the binding; none for nodes and the server.
    pub claims: Option<Claims>,
    /// Start of validity; whole seconds count.
    pub not_before: Timestamp,
    /// End of validity; whole seconds count.
    pub not_after: Timestamp,
    /// Random and not zero.
    pub serial: [u8; SERIAL_BYTES],
    /// Other names, for the server's own SVID only.
    pub names: ServerNames,
}

/// Names by which a server is also reached by clients that know no SPIFFE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ip: Vec<IpAddr>,
}

/// What a signing certificate shall say. Its SPIFFE ID is the trust domain's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaTemplate {
    /// The trust domain that it signs for.
    pub trust_domain: TrustDomain,
    /// Start of validity; whole seconds count.
    pub not_before: Timestamp,
    /// End of validity; whole seconds count.
    pub not_after: Timestamp,
    /// Random and not zero.
    pub serial: [u8; SERIAL_BYTES],
}

/// Why a certificate could not be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The SPIFFE ID has no path, or belongs to another trust domain than the signing certificate.
    #[error("x509-svid: {subject} cannot be certified by the authority of {trust_domain}")]
    Subject {
        /// The SPIFFE ID.
        subject: SpiffeId,
        /// Whose authority it is.
        trust_domain: TrustDomain,
    },
    /// The validity is empty, beyond the calendar or beyond that of the signing certificate.
    #[error("x509-svid: its validity is empty or ends after that of the authority")]
    Validity,
    /// The serial number is zero.
    #[error("x509-svid: its serial number is zero")]
    Serial,
    /// A DNS name is not ASCII.
    #[error("x509-svid: DNS name is not ASCII")]
    DnsName,
    /// The key is not a SubjectPublicKeyInfo that can be certified.
    #[error("x509-svid: its key is not a SubjectPublicKeyInfo of a known kind")]
    Key,
    /// The signing certificate cannot be read or breaks a rule.
    #[error("signing certificate: {0}")]
    SigningCertificate(String),
    /// The signing certificate is for another key.
    #[error("signing certificate: it does not belong to the private key")]
    OtherKey,
    /// Signing failed.
    #[error("x509-svid: signing failed")]
    Sign,
}

impl BuildError {
    /// What sort of error it is: whoever asks for a certificate is never to blame.
    pub fn kind(&self) -> Kind {
        Kind::Bug
    }
}

/// A signing certificate together with something that signs with its key.
pub struct SigningCertificate<S> {
    issuer: rcgen::Issuer<'static, S>,
    der: Vec<u8>,
    pub(super) certificate: Certificate,
    pub(super) algorithm: KeyAlgorithm,
    trust_domain: TrustDomain,
}

impl<S: SigningKey> SigningCertificate<S> {
    /// Joins a signing certificate in DER with its key; refuses a certificate that is for another key, or that is no
    /// signing certificate of a trust domain.
    pub fn new(der: &[u8], key: S) -> Result<Self, BuildError> {
        let certificate =
            Certificate::parse(der).map_err(|Malformed(why)| BuildError::SigningCertificate(why.to_owned()))?;
        let id = profile::signing(&certificate).map_err(|rule| BuildError::SigningCertificate(rule.to_string()))?;
        let id = id.ok_or_else(|| BuildError::SigningCertificate("it has no SPIFFE ID".to_owned()))?;
        if key.subject_public_key_info() != certificate.spki {
            return Err(BuildError::OtherKey);
        }
        let algorithm =
            PublicKey::from_spki(&certificate.spki, &KeyAlgorithm::ALL).map_err(|_| BuildError::Key)?.algorithm();
        let issuer = rcgen::Issuer::from_ca_cert_der(&der.into(), key)
            .map_err(|error| BuildError::SigningCertificate(error.to_string()))?;
        Ok(Self { issuer, der: der.to_vec(), certificate, algorithm, trust_domain: id.trust_domain() })
    }

    /// The signing certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The trust domain that it signs for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Start of its validity.
    pub fn not_before(&self) -> Timestamp {
        self.certificate.not_before
    }

    /// End of its validity. Nothing it signs is valid for longer.
    pub fn not_after(&self) -> Timestamp {
        self.certificate.not_after
    }

    /// Whether `issuer`, a signing certificate in DER, names itself as this one's issuer does. Says nothing about the
    /// signature: it tells an own intermediate of an own former root from one of the present root.
    pub fn names_as_issuer(&self, issuer: &[u8]) -> bool {
        Certificate::parse(issuer).is_ok_and(|issuer| {
            issuer.subject == self.certificate.issuer && issuer.subject_key_id == self.certificate.authority_key_id
        })
    }

    /// The key it signs with.
    pub fn key(&self) -> &S {
        self.issuer.key()
    }

    /// Builds and signs an X.509-SVID; returns its DER, which [`super::validate`] must see before anyone else does.
    pub fn build(&self, template: &Template) -> Result<Vec<u8>, BuildError> {
        if template.subject.path().is_empty() || !template.subject.is_in(&self.trust_domain) {
            let (subject, trust_domain) = (template.subject.clone(), self.trust_domain.clone());
            return Err(BuildError::Subject { subject, trust_domain });
        }
        if template.not_after.as_secs() > self.certificate.not_after.as_secs() {
            return Err(BuildError::Validity);
        }
        if !leaf::is_sequence(&template.spki) {
            return Err(BuildError::Key);
        }
        check_validity(template.not_before, template.not_after)?;
        check_serial(&template.serial)?;
        let name = self.certificate.subject.as_slice();
        let key_id = self.certificate.subject_key_id.as_deref().unwrap_or_default();
        let signer = leaf::Signer { name, key_id, algorithm: self.algorithm };
        let to_be_signed = leaf::to_be_signed(template, &signer)?;
        let signature = self.issuer.key().sign(&to_be_signed).map_err(|_| BuildError::Sign)?;
        Ok(leaf::signed(&to_be_signed, self.algorithm, &signature))
    }

    /// Builds and signs an intermediate for `spki`, which may sign leaves only.
    pub fn build_intermediate(&self, template: &CaTemplate, spki: &[u8]) -> Result<Vec<u8>, BuildError> {
        if template.trust_domain != self.trust_domain {
            let (subject, trust_domain) = (template.trust_domain.id(), self.trust_domain.clone());
            return Err(BuildError::Subject { subject, trust_domain });
        }
        if template.not_after.as_secs() > self.certificate.not_after.as_secs() {
            return Err(BuildError::Validity);
        }
        let key = SubjectPublicKeyInfo::from_der(spki).map_err(|_| BuildError::Key)?;
        let mut params = ca_params(template, "intermediate", spki, BasicConstraints::Constrained(0))?;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|_| BuildError::Sign)?;
        Ok(certificate.der().to_vec())
    }
}

/// Builds a self-signed root in DER.
pub fn build_root(template: &CaTemplate, key: &impl SigningKey) -> Result<Vec<u8>, BuildError> {
    let spki = key.subject_public_key_info();
    let params = ca_params(template, "root", &spki, BasicConstraints::Unconstrained)?;
    let certificate = params.self_signed(key).map_err(|_| BuildError::Sign)?;
    Ok(certificate.der().to_vec())
}

// SPEC: X509-SVID §3.2, §4.1, §4.3; SPIFFE-ID §3.1 (ID-08)
fn ca_params(
    template: &CaTemplate,
    role: &str,
    spki: &[u8],
    constraints: BasicConstraints,
) -> Result<CertificateParams, BuildError> {
    let mut params = params(template.not_before, template.not_after, &template.serial)?;
    // An issuer needs a name (RFC 5280 §4.1.2.4), and path building is quickest when no two authorities share one.
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Credence");
    let digest = credence_model::id::Digest::of(spki);
    params.distinguished_name.push(DnType::CommonName, format!("{role} {}", digest.short()));
    params.subject_alt_names.push(SanType::URI(ascii(template.trust_domain.id().as_str())?));
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(
    not_before: Timestamp,
    not_after: Timestamp,
    serial: &[u8; SERIAL_BYTES],
) -> Result<CertificateParams, BuildError> {
    check_validity(not_before, not_after)?;
    check_serial(serial)?;
    let (start, end) = (not_before.as_secs(), not_after.as_secs());
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(start);
    params.not_after = epoch + Duration::from_secs(end);
    params.serial_number = Some(SerialNumber::from_slice(serial));
    Ok(params)
}

fn check_validity(not_before: Timestamp, not_after: Timestamp) -> Result<(), BuildError> {
    let (start, end) = (not_before.as_secs(), not_after.as_secs());
    if start < end && end <= LATEST_SECS { Ok(()) } else { Err(BuildError::Validity) }
}

fn check_serial(serial: &[u8; SERIAL_BYTES]) -> Result<(), BuildError> {
    if serial.iter().any(|byte| *byte != 0) { Ok(()) } else { Err(BuildError::Serial) }
}

fn ascii(text: &str) -> Result<rcgen::string::Ia5String, BuildError> {
    rcgen::string::Ia5String::try_from(text).map_err(|_| BuildError::DnsName)
}

impl<S> std::fmt::Debug for SigningCertificate<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningCertificate").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}
