//! The bytes of a leaf, written directly.
//!
//! An actor gets a certificate at every binding and renewal, so its cost should be that of its signature. A leaf has one
//! fixed profile; writing that in DER is a page. Everything else about certificates is left to libraries, and what is
//! written here is read again by one before it leaves ([`super::validate`]).

use super::build::{BuildError, Template};
use super::claims;
use crate::key::KeyAlgorithm;
use credence_model::id::Digest;
use credence_model::time::Timestamp;
use std::net::IpAddr;

const BOOLEAN_TRUE: &[u8] = &[0x01, 0x01, 0xFF];
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, `[2]`, `[6]` and `[7]` of an implicit primitive type, `[0]` and `[3]` of an explicit one.
const IMPLICIT_0: u8 = 0x80;
const IMPLICIT_2: u8 = 0x82;
const IMPLICIT_6: u8 = 0x86;
const IMPLICIT_7: u8 = 0x87;
const EXPLICIT_0: u8 = 0xA0;
const EXPLICIT_3: u8 = 0xA3;

/// Object identifiers, as their content octets (RFC 5280 §4.2.1 and §4.2.1.12).
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 0x0E];
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 0x23];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];
/// serverAuth and clientAuth, each whole.
const TLS_USAGES: &[u8] = &[
    0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01, 0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03,
    0x02,
];
/// digitalSignature alone: seven unused bits, then bit 0.
const DIGITAL_SIGNATURE: &[u8] = &[0x07, 0x80];
/// [`claims::CLAIMS_OID`].
const CLAIMS: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x81, 0xFD, 0x59, 0x14, 0x01];

/// Bytes of a subject key identifier.
const KEY_ID_BYTES: usize = 20;
/// From this second on (2050-01-01) a time is a GeneralizedTime (RFC 5280 §4.1.2.5).
const GENERALIZED_FROM_SECS: u64 = 2_524_608_000;

/// What of the signing certificate stands in a leaf.
pub(super) struct Signer<'a> {
    /// Its subject name in DER.
    pub(super) name: &'a [u8],
    /// Its subject key identifier.
    pub(super) key_id: &'a [u8],
    /// Its kind of key.
    pub(super) algorithm: KeyAlgorithm,
}

/// The TBSCertificate of a leaf (RFC 5280 §4.1).
// SPEC: X509-SVID §2, §3.1, §4.1, §4.3, §4.4
pub(super) fn to_be_signed(template: &Template, signer: &Signer<'_>) -> Result<Vec<u8>, BuildError> {
    let validity = [time(template.not_before), time(template.not_after)].concat();
    let mut body = Vec::with_capacity(1024);
    put(&mut body, EXPLICIT_0, &[INTEGER, 1, 2]);
    put(&mut body, INTEGER, &positive(&template.serial));
    body.extend_from_slice(signature_algorithm(signer.algorithm));
    body.extend_from_slice(signer.name);
    put(&mut body, SEQUENCE, &validity);
    // The subject stays empty: a second name would only invite a second identity.
    put(&mut body, SEQUENCE, &[]);
    body.extend_from_slice(&template.spki);
    put(&mut body, EXPLICIT_3, &tlv(SEQUENCE, &extensions(template, signer)?));
    Ok(tlv(SEQUENCE, &body))
}

/// The certificate: what was signed, how, and the signature.
pub(super) fn signed(to_be_signed: &[u8], algorithm: KeyAlgorithm, signature: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(to_be_signed.len() + signature.len() + 32);
    body.extend_from_slice(to_be_signed);
    body.extend_from_slice(signature_algorithm(algorithm));
    put(&mut body, BIT_STRING, &[&[0], signature].concat());
    tlv(SEQUENCE, &body)
}

fn extensions(template: &Template, signer: &Signer<'_>) -> Result<Vec<u8>, BuildError> {
    let mut all = Vec::with_capacity(768);
    extension(&mut all, AUTHORITY_KEY_ID, false, &tlv(SEQUENCE, &tlv(IMPLICIT_0, signer.key_id)));
    extension(&mut all, SUBJECT_ALT_NAME, true, &tlv(SEQUENCE, &names(template)?));
    extension(&mut all, KEY_USAGE, true, &tlv(BIT_STRING, DIGITAL_SIGNATURE));
    extension(&mut all, EXTENDED_KEY_USAGE, false, &tlv(SEQUENCE, TLS_USAGES));
    // cA is false by default, and DER leaves defaults out.
    extension(&mut all, BASIC_CONSTRAINTS, true, &tlv(SEQUENCE, &[]));
    let key_id = Digest::of(&template.spki).0;
    let key_id = key_id.get(..KEY_ID_BYTES).unwrap_or_default();
    extension(&mut all, SUBJECT_KEY_ID, false, &tlv(OCTET_STRING, key_id));
    if let Some(ordered) = &template.claims {
        extension(&mut all, CLAIMS, false, &claims::encode(ordered).ok_or(BuildError::Sign)?);
    }
    Ok(all)
}

fn extension(out: &mut Vec<u8>, oid: &[u8], critical: bool, value: &[u8]) {
    let mut body = Vec::with_capacity(value.len() + 24);
    put(&mut body, OID, oid);
    if critical {
        body.extend_from_slice(BOOLEAN_TRUE);
    }
    put(&mut body, OCTET_STRING, value);
    put(out, SEQUENCE, &body);
}

fn names(template: &Template) -> Result<Vec<u8>, BuildError> {
    let mut names = Vec::with_capacity(128);
    put(&mut names, IMPLICIT_6, template.subject.as_str().as_bytes());
    for dns in &template.names.dns {
        if !dns.is_ascii() {
            return Err(BuildError::DnsName);
        }
        put(&mut names, IMPLICIT_2, dns.as_bytes());
    }
    for ip in &template.names.ip {
        match ip {
            IpAddr::V4(ip) => put(&mut names, IMPLICIT_7, &ip.octets()),
            IpAddr::V6(ip) => put(&mut names, IMPLICIT_7, &ip.octets()),
        }
    }
    Ok(names)
}

/// An AlgorithmIdentifier, whole (RFC 5758 §3.2, RFC 8410 §3).
const fn signature_algorithm(algorithm: KeyAlgorithm) -> &'static [u8] {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => &[0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02],
        KeyAlgorithm::EcdsaP384 => &[0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03],
        KeyAlgorithm::Ed25519 => &[0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70],
    }
}

/// The content of an INTEGER: as short as can be, and not negative.
fn positive(serial: &[u8]) -> Vec<u8> {
    let number: Vec<u8> = serial.iter().copied().skip_while(|byte| *byte == 0).collect();
    if number.first().is_some_and(|byte| byte & 0x80 != 0) { [&[0], number.as_slice()].concat() } else { number }
}

fn time(at: Timestamp) -> Vec<u8> {
    let (year, month, day) = date(at.as_secs() / 86_400);
    let secs = at.as_secs() % 86_400;
    let mut text = Vec::with_capacity(16);
    let tag = if at.as_secs() < GENERALIZED_FROM_SECS {
        UTC_TIME
    } else {
        text.extend(two_digits(year / 100));
        GENERALIZED_TIME
    };
    let fields = [year % 100, month, day, secs / 3_600, secs / 60 % 60, secs % 60];
    text.extend(fields.into_iter().flat_map(two_digits));
    text.push(b'Z');
    tlv(tag, &text)
}

const fn two_digits(number: u64) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// Whether these bytes are one SEQUENCE and nothing else; what it holds is read when the certificate is read again.
pub(super) fn is_sequence(der: &[u8]) -> bool {
    match der {
        [SEQUENCE, length, content @ ..] if *length < 0x80 => content.len() == usize::from(*length),
        [SEQUENCE, 0x81, length, content @ ..] => *length >= 0x80 && content.len() == usize::from(*length),
        [SEQUENCE, 0x82, high, low, content @ ..] => {
            *high > 0 && content.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar: counted in eras of 400 years that begin in March,
/// so that the leap day comes last.
const fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 153 days in every five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (era * 400 + year, month, day)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 4);
    put(&mut out, tag, content);
    out
}

/// Tag, length in its shortest form, content.
fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len().to_be_bytes();
    let length = length.get(content.len().leading_zeros() as usize / 8..).unwrap_or_default();
    match length {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_781, (2026, 11, 24)),
            (29_219, (2049, 12, 31)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(date(days), expected, "day {days}");
        }
    }

    #[test]
    fn lengths_have_their_shortest_form() {
        let head = |bytes: usize| tlv(4, &vec![0; bytes]).into_iter().take(4).collect::<Vec<_>>();
        assert_eq!(tlv(4, &[]), [4, 0]);
        assert_eq!(head(127), [4, 127, 0, 0]);
        assert_eq!(head(128), [4, 0x81, 128, 0]);
        assert_eq!(head(256), [4, 0x82, 1, 0]);
    }

    #[test]
    fn times_change_their_form_with_the_year_2050() {
        assert_eq!(time(Timestamp::from_secs(GENERALIZED_FROM_SECS - 1)), b"\x17\x0D491231235959Z");
        assert_eq!(time(Timestamp::from_secs(GENERALIZED_FROM_SECS)), b"\x18\x0F20500101000000Z");
    }
}
