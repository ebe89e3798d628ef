//! Reading a certificate without believing it, to explain it to a person.

use crate::certificate::{CRL_SIGN, Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN, Malformed, name_text};
use crate::key;
use crate::x509_svid::claims::{self, CLAIMS_OID_TEXT};
use crate::x509_svid::profile;
use crate::x509_svid::verify::VerifyError;
use credence_model::id::Digest;
use credence_model::order::Claims;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use serde::Serialize;
use std::net::IpAddr;

/// What a certificate says. Nothing here was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// The SPIFFE ID, when there is exactly one URI name and it is one.
    pub spiffe_id: Option<SpiffeId>,
    /// Every URI name, as written.
    pub uri_names: Vec<String>,
    /// Every DNS name.
    pub dns_names: Vec<String>,
    /// Every IP address.
    pub ip_addresses: Vec<IpAddr>,
    /// The subject, as text; empty in an SVID that Credence issued.
    pub subject: String,
    /// The issuer, as text.
    pub issuer: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Whether it is a signing certificate.
    pub is_ca: bool,
    /// The key usages that matter here, as RFC 5280 spells them.
    pub key_usage: Vec<&'static str>,
    /// The extended key usages that matter here, as RFC 5280 spells them.
    pub extended_key_usage: Vec<&'static str>,
    /// The kind of its key.
    pub key_type: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Digest,
    /// What it says about a binding.
    pub claims: Option<Claims>,
    /// The rules of X509-SVID that it breaks, in words; for a leaf or a signing certificate, whichever it is.
    pub violations: Vec<String>,
}

/// Reads one certificate in DER.
pub fn inspect(der: &[u8]) -> Result<Inspected, VerifyError> {
    let read = Certificate::parse(der).map_err(|Malformed(why)| VerifyError::Malformed { position: 1, why })?;
    let extension = read.others.iter().find(|extension| extension.oid == CLAIMS_OID_TEXT);
    let claims = extension.and_then(|extension| claims::decode(&extension.value));
    let mut violations: Vec<_> = if read.is_ca() {
        profile::signing(&read).err().iter().map(ToString::to_string).collect()
    } else {
        profile::leaf_violations(&read).iter().map(ToString::to_string).collect()
    };
    if extension.is_some() && claims.is_none() {
        violations.push("its credence claims cannot be read".to_owned());
    }
    let spiffe_id = match read.names.uris.as_slice() {
        [uri] => SpiffeId::parse(uri).ok(),
        _ => None,
    };
    let usages = [(DIGITAL_SIGNATURE, "digitalSignature"), (KEY_CERT_SIGN, "keyCertSign"), (CRL_SIGN, "cRLSign")];
    let eku = read.extended_key_usage;
    let purposes = [
        (eku.is_some_and(|eku| eku.server), "serverAuth"),
        (eku.is_some_and(|eku| eku.client), "clientAuth"),
        (eku.is_some_and(|eku| eku.others), "others"),
    ];
    Ok(Inspected {
        spiffe_id,
        is_ca: read.is_ca(),
        key_usage: usages.into_iter().filter(|(flag, _)| read.may(*flag)).map(|(_, name)| name).collect(),
        extended_key_usage: purposes.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect(),
        key_type: key::name_of(&read.spki).unwrap_or_else(|_| "damaged".to_owned()),
        key: Digest::of(&read.spki),
        claims,
        violations,
        uri_names: read.names.uris,
        dns_names: read.names.dns,
        ip_addresses: read.names.ips,
        subject: name_text(&read.subject),
        issuer: name_text(&read.issuer),
        serial: hex::encode(&read.serial),
        not_before: read.not_before,
        not_after: read.not_after,
    })
}
