//! The independent check before a signature leaves: the certificate is read again, with another parser than the one that
//! wrote it, and must say exactly what was ordered.
//!
//! It deliberately does not check the signature's value: that costs three times what making it does, and a wrong one
//! convinces nobody.

use crate::certificate::{Certificate, DIGITAL_SIGNATURE, Malformed};
use crate::x509_svid::build::{SigningCertificate, Template};
use crate::x509_svid::claims::{self, CLAIMS_OID_TEXT};
use crate::x509_svid::profile::{self, EMPTY_NAME};
use credence_model::refusal::Kind;
use rcgen::SigningKey;
use thiserror::Error;

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

/// Checks that `der` says what `template` ordered, all of it and nothing more, and that `signer` signed it.
pub fn validate<S: SigningKey>(
    der: &[u8],
    template: &Template,
    signer: &SigningCertificate<S>,
) -> Result<(), Mismatch> {
    let built = Certificate::parse(der).map_err(|Malformed(why)| Mismatch(format!("the encoding ({why})")))?;
    let id = profile::leaf(&built).map_err(|rule| Mismatch(format!("the profile ({rule})")))?;
    let authority = &signer.certificate;
    let facts = [
        ("the SPIFFE ID", id == template.subject),
        ("the trust domain", id.is_in(signer.trust_domain())),
        ("the key", built.spki == template.spki),
        ("the start of validity", built.not_before.as_secs() == template.not_before.as_secs()),
        ("the end of validity", built.not_after.as_secs() == template.not_after.as_secs()),
        ("the validity within the authority's", built.not_after <= authority.not_after),
        ("the serial number", is_serial(&built.serial, &template.serial)),
        ("the subject", built.subject == EMPTY_NAME),
        ("the issuer", built.issuer == authority.subject),
        ("the authority key identifier", built.authority_key_id == authority.subject_key_id),
        ("the subject key identifier", built.subject_key_id.is_some()),
        ("the signature algorithm", built.signature_oid == signer.algorithm.signature_oid()),
        ("the names", names_match(&built, template)),
        ("the usages", usages_match(&built)),
        ("the claims", claims_match(&built, template)),
    ];
    match facts.into_iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(Mismatch(what.to_owned())),
        None => Ok(()),
    }
}

/// INTEGER content octets are minimal and signed: leading zeros go, and a sign octet comes before a high bit.
fn is_serial(content: &[u8], serial: &[u8]) -> bool {
    let strip = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let positive = content.first().is_some_and(|byte| byte & 0x80 == 0);
    positive && strip(content) == strip(serial)
}

fn names_match(built: &Certificate, template: &Template) -> bool {
    let names = &built.names;
    names.uris.len() == 1
        && names.critical
        && names.others == 0
        && names.dns == template.names.dns
        && names.ips == template.names.ip
}

fn usages_match(built: &Certificate) -> bool {
    let basic = built.basic_constraints.is_some_and(|basic| basic.critical && !basic.ca && basic.path_len.is_none());
    let usage = built.key_usage.is_some_and(|usage| usage.critical && usage.flags == DIGITAL_SIGNATURE);
    basic && usage && built.extended_key_usage.is_some_and(|eku| eku.server && eku.client && !eku.others)
}

fn claims_match(built: &Certificate, template: &Template) -> bool {
    match (built.others.as_slice(), &template.claims) {
        ([], None) => true,
        ([extension], Some(ordered)) => {
            extension.oid == CLAIMS_OID_TEXT
                && !extension.critical
                && claims::encode(ordered).as_deref() == Some(&extension.value)
        }
        _ => false,
    }
}
