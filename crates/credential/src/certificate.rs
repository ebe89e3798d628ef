//! One parsed certificate as owned facts, without judgement: what it says, not whether that is allowed or true.

use crate::der;
use credence_model::time::Timestamp;
use std::net::IpAddr;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

/// Largest certificate that is read, in bytes.
pub(crate) const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// keyUsage flags (RFC 5280 §4.2.1.3) as x509-parser numbers them: bit n of the BIT STRING is `1 << n`.
pub(crate) const DIGITAL_SIGNATURE: u16 = 1;
pub(crate) const KEY_CERT_SIGN: u16 = 1 << 5;
pub(crate) const CRL_SIGN: u16 = 1 << 6;

/// Bytes that are not one X.509 v3 certificate in DER.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What a certificate says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificate {
    /// DER of the SubjectPublicKeyInfo.
    pub(crate) spki: Vec<u8>,
    /// DER of the subject name; `30 00` when empty.
    pub(crate) subject: Vec<u8>,
    /// DER of the issuer name.
    pub(crate) issuer: Vec<u8>,
    /// Content octets of the INTEGER, sign octet included.
    pub(crate) serial: Vec<u8>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) names: Names,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usage: Option<ExtendedKeyUsage>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) authority_key_id: Option<Vec<u8>>,
    /// Extensions that no field above holds.
    pub(crate) others: Vec<OtherExtension>,
}

/// The subject alternative name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) critical: bool,
    pub(crate) uris: Vec<String>,
    pub(crate) dns: Vec<String>,
    pub(crate) ips: Vec<IpAddr>,
    /// How many names there are of any other type.
    pub(crate) others: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyUsage {
    pub(crate) critical: bool,
    pub(crate) flags: u16,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtendedKeyUsage {
    pub(crate) server: bool,
    pub(crate) client: bool,
    pub(crate) others: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct OtherExtension {
    pub(crate) oid: String,
    /// What the extension's OCTET STRING holds.
    pub(crate) value: Vec<u8>,
}

impl Certificate {
    /// Reads exactly one certificate of at most [`CERTIFICATE_BYTES_MAX`] bytes; trailing bytes are an error.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, Malformed> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(Malformed("it is larger than 16 KiB"));
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Malformed("it is not a certificate in DER"))?;
        if !rest.is_empty() {
            return Err(Malformed("bytes follow the certificate"));
        }
        if !der::is_value(der) {
            return Err(Malformed("it is not a certificate in DER"));
        }
        let tbs = &parsed.tbs_certificate;
        if tbs.version.0 != 2 {
            return Err(Malformed("it is not of version 3"));
        }
        if tbs.signature != parsed.signature_algorithm {
            return Err(Malformed("its two signature algorithms differ"));
        }
        let mut certificate = Self {
            spki: tbs.subject_pki.raw.to_vec(),
            subject: tbs.subject.as_raw().to_vec(),
            issuer: tbs.issuer.as_raw().to_vec(),
            serial: parsed.tbs_certificate.raw_serial().to_vec(),
            not_before: time(tbs.validity.not_before.timestamp()),
            not_after: time(tbs.validity.not_after.timestamp()),
            ..Self::default()
        };
        let extensions = tbs.extensions();
        for (nth, extension) in extensions.iter().enumerate() {
            // A certificate has a handful of them, which is no case for a map.
            if extensions.iter().take(nth).any(|earlier| earlier.oid == extension.oid) {
                return Err(Malformed("an extension appears twice"));
            }
            certificate.read(extension)?;
        }
        Ok(certificate)
    }

    fn read(&mut self, extension: &X509Extension<'_>) -> Result<(), Malformed> {
        let critical = extension.critical;
        if !is_well_formed(extension) {
            return Err(Malformed("an extension is not in DER"));
        }
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(san) => {
                self.names.critical = critical;
                san.general_names.iter().try_for_each(|name| self.names.read(name))?;
            }
            ParsedExtension::KeyUsage(usage) => self.key_usage = Some(KeyUsage { critical, flags: usage.flags }),
            ParsedExtension::ExtendedKeyUsage(eku) => {
                let others = eku.any
                    || eku.code_signing
                    || eku.email_protection
                    || eku.time_stamping
                    || eku.ocsp_signing
                    || !eku.other.is_empty();
                let usage = ExtendedKeyUsage { server: eku.server_auth, client: eku.client_auth, others };
                self.extended_key_usage = Some(usage);
            }
            ParsedExtension::BasicConstraints(basic) => {
                let constraints = BasicConstraints { ca: basic.ca };
                self.basic_constraints = Some(constraints);
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = Some(id.key_identifier.as_ref().map(|id| id.0.to_vec()).unwrap_or_default());
            }
            ParsedExtension::ParseError { .. } => return Err(Malformed("an extension cannot be read")),
            _ => {
                self.others.push(OtherExtension { oid: extension.oid.to_id_string(), value: extension.value.to_vec() })
            }
        }
        Ok(())
    }

    /// Whether it is a signing certificate by its basic constraints.
    pub(crate) fn is_ca(&self) -> bool {
        self.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// Whether its key usage holds any of `flags`.
    pub(crate) fn may(&self, flags: u16) -> bool {
        self.key_usage.is_some_and(|usage| usage.flags & flags != 0)
    }
}

impl Names {
    fn read(&mut self, name: &GeneralName<'_>) -> Result<(), Malformed> {
        match name {
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::DNSName(dns) => self.dns.push((*dns).to_owned()),
            GeneralName::IPAddress(bytes) => self.ips.push(ip(bytes)?),
            GeneralName::Invalid(..) => return Err(Malformed("a subject alternative name cannot be read")),
            _ => self.others += 1,
        }
        Ok(())
    }
}

/// Whether an extension that is judged here is in DER and has the tags of its type (RFC 5280 §4.2.1). x509-parser looks at
/// numbers of tags, and neither at their class nor at what follows.
fn is_well_formed(extension: &X509Extension<'_>) -> bool {
    let value = extension.value;
    let is = |tag: u8| der::is_value(value) && value.first() == Some(&tag);
    let holds = |allowed: &[u8]| {
        let tags = der::tags_in_sequence(value).filter(|_| der::is_value(value));
        tags.is_some_and(|tags| tags.iter().all(|tag| allowed.contains(tag)))
    };
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(_) => holds(&[0xA0, 0x81, 0x82, 0xA3, 0xA4, 0xA5, 0x86, 0x87, 0x88]),
        ParsedExtension::KeyUsage(_) => is(0x03),
        ParsedExtension::ExtendedKeyUsage(_) => holds(&[0x06]),
        ParsedExtension::BasicConstraints(_) => holds(&[0x01, 0x02]),
        ParsedExtension::SubjectKeyIdentifier(_) => is(0x04),
        ParsedExtension::AuthorityKeyIdentifier(_) => holds(&[0x80, 0xA1, 0x82]),
        _ => true,
    }
}

/// A name in DER as text for people.
pub(crate) fn name_text(der: &[u8]) -> String {
    X509Name::from_der(der).map(|(_, name)| name.to_string()).unwrap_or_default()
}

fn ip(bytes: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(four.into());
    }
    <[u8; 16]>::try_from(bytes).map(IpAddr::from).map_err(|_| Malformed("an IP address has a wrong length"))
}

/// Seconds since the epoch; certificates can name times before it, which no rule needs to tell apart.
fn time(secs: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(secs).unwrap_or(0))
}
