//! The independent check before a signature leaves: the certificate is read again, with another parser than the one that
//! wrote it, and must say exactly what was ordered.
//!
//! It deliberately does not check the signature's value: that costs three times what making it does, and a wrong one
//! convinces nobody.

use crate::certificate::Certificate;
use crate::x509_svid::build::{SigningCertificate, Template};
use crate::x509_svid::claims::{self, CLAIMS_OID_TEXT};
use crate::x509_svid::profile::EMPTY_NAME;
use credence_model::refusal::Kind;
use rcgen::SigningKey;
use std::net::IpAddr;
use thiserror::Error;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::extensions::{GeneralName, SubjectAlternativeName, X509Extension};
use x509_parser::nom::Parser as _;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AlgorithmIdentifier, X509Version};

/// A built certificate does not say what was ordered: a bug, and the reason not to let the certificate go.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("x509-svid: {0} is not what was ordered; the certificate was not issued")]
pub struct Mismatch(String);

impl Mismatch {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        Kind::Bug
    }
}

/// Extensions of a leaf, by the content octets of their identifiers (RFC 5280 §4.2.1), and what those hold that never
/// changes: keyUsage digitalSignature alone, both usages of TLS, cA false.
const KEY_USAGE: (&[u8], &[u8]) = (&[0x55, 0x1D, 0x0F], &[0x03, 0x02, 0x07, 0x80]);
const BASIC_CONSTRAINTS: (&[u8], &[u8]) = (&[0x55, 0x1D, 0x13], &[0x30, 0x00]);
const EXTENDED_KEY_USAGE: (&[u8], &[u8]) =
    (&[0x55, 0x1D, 0x25], b"\x30\x14\x06\x08\x2B\x06\x01\x05\x05\x07\x03\x01\x06\x08\x2B\x06\x01\x05\x05\x07\x03\x02");
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 0x0E];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 0x23];

/// Checks that `der` says what `template` ordered, all of it and nothing more, and that `signer` signed it.
// SPEC: X509-SVID §2, §3.1, §4.1, §4.3, §4.4
pub fn validate<S: SigningKey>(
    der: &[u8],
    template: &Template,
    signer: &SigningCertificate<S>,
) -> Result<(), Mismatch> {
    // Extensions are compared byte by byte, so they need not be understood.
    let read = X509CertificateParser::new().with_deep_parse_extensions(false).parse(der);
    let (rest, built) = read.map_err(|_| Mismatch("the encoding".to_owned()))?;
    let (tbs, id, authority) = (&built.tbs_certificate, &template.subject, &signer.certificate);
    let secs = |at: ASN1Time| u64::try_from(at.timestamp()).ok();
    let (not_before, not_after) = (secs(tbs.validity.not_before), secs(tbs.validity.not_after));
    let signature =
        |found: &AlgorithmIdentifier<'_>| found.algorithm.to_id_string() == signer.algorithm.signature_oid();
    let extensions = tbs.extensions();
    let distinct = extensions
        .iter()
        .enumerate()
        .all(|(nth, one)| extensions.iter().skip(nth + 1).all(|other| one.oid != other.oid));
    let wanted = 6 + usize::from(template.claims.is_some());
    let facts = [
        ("the encoding", rest.is_empty() && tbs.version == X509Version::V3),
        ("the SPIFFE ID", !id.path().is_empty() && id.is_in(signer.trust_domain())),
        ("the key", tbs.subject_pki.raw == template.spki),
        ("the start of validity", not_before == Some(template.not_before.as_secs())),
        ("the end of validity", not_after == Some(template.not_after.as_secs())),
        ("the validity within the authority's", not_after <= Some(authority.not_after.as_secs())),
        ("the serial number", is_serial(tbs.raw_serial(), &template.serial)),
        ("the subject", tbs.subject.as_raw() == EMPTY_NAME),
        ("the issuer", tbs.issuer.as_raw() == authority.subject),
        ("the signature algorithm", signature(&tbs.signature) && signature(&built.signature_algorithm)),
        ("the set of extensions", distinct && (extensions.len() == wanted || template.claims.is_none())),
    ];
    let fact = facts.into_iter().find_map(|(what, holds)| (!holds).then_some(what));
    match fact.or_else(|| extensions.iter().find_map(|one| flaw(one, template, authority))) {
        Some(what) => Err(Mismatch(what.to_owned())),
        None => Ok(()),
    }
}

/// What is wrong with an extension: it is not one of those that a leaf has, or does not hold exactly what it has to.
fn flaw(extension: &X509Extension<'_>, template: &Template, authority: &Certificate) -> Option<&'static str> {
    let (oid, value, critical) = (extension.oid.as_bytes(), extension.value, extension.critical);
    let unless = |holds: bool, what| (!holds).then_some(what);
    if oid == SUBJECT_ALT_NAME {
        unless(critical, "the names").or_else(|| names_flaw(value, template))
    } else if oid == KEY_USAGE.0 {
        unless(critical && value == KEY_USAGE.1, "the usages")
    } else if oid == BASIC_CONSTRAINTS.0 {
        unless(critical && value == BASIC_CONSTRAINTS.1, "the usages")
    } else if oid == EXTENDED_KEY_USAGE.0 {
        unless(!critical && value == EXTENDED_KEY_USAGE.1, "the usages")
    } else if oid == SUBJECT_KEY_ID {
        unless(!critical && !value.is_empty(), "the subject key identifier")
    } else if oid == AUTHORITY_KEY_ID {
        let names = authority.subject_key_id.as_deref().is_some_and(|id| names_key(value, id));
        unless(!critical && names, "the authority key identifier")
    } else {
        let ordered = template.claims.as_ref().and_then(claims::encode);
        let same = ordered.is_some_and(|ordered| extension.oid.to_id_string() == CLAIMS_OID_TEXT && ordered == value);
        unless(!critical && same, "the claims")
    }
}

/// An AuthorityKeyIdentifier with a key identifier alone: `30 n 80 n id`.
fn names_key(value: &[u8], id: &[u8]) -> bool {
    let Some((head, found)) = value.split_at_checked(4) else { return false };
    let short = |bytes: usize| u8::try_from(bytes).ok().filter(|byte| *byte < 0x80);
    found == id
        && short(id.len() + 2).zip(short(id.len())).is_some_and(|(outer, inner)| head == [0x30, outer, 0x80, inner])
}

/// INTEGER content octets are minimal and signed: leading zeros go, and a sign octet comes before a high bit.
fn is_serial(content: &[u8], serial: &[u8]) -> bool {
    let strip = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let positive = content.first().is_some_and(|byte| byte & 0x80 == 0);
    positive && strip(content) == strip(serial)
}

/// The one SPIFFE ID first, then the other names in their order.
fn names_flaw(value: &[u8], template: &Template) -> Option<&'static str> {
    let Ok((rest, read)) = SubjectAlternativeName::from_der(value) else { return Some("the names") };
    let mut found = read.general_names.iter();
    let (names, id) = (&template.names, template.subject.as_str());
    if !matches!(found.next(), Some(GeneralName::URI(uri)) if *uri == id) {
        return Some("the SPIFFE ID");
    }
    let has_dns = names.dns.iter().all(|name| matches!(found.next(), Some(GeneralName::DNSName(dns)) if dns == name));
    let is_ip = |bytes: &[u8], ip: &IpAddr| match ip {
        IpAddr::V4(ip) => bytes == ip.octets(),
        IpAddr::V6(ip) => bytes == ip.octets(),
    };
    let has_ips =
        names.ip.iter().all(|ip| matches!(found.next(), Some(GeneralName::IPAddress(bytes)) if is_ip(bytes, ip)));
    (!(has_dns && has_ips && found.next().is_none() && rest.is_empty())).then_some("the names")
}
