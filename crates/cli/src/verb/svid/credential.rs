//! Which sort of credential a file holds: PEM, DER or a compact token.

use crate::failure::Failure;
use crate::pem;
use credence_model::refusal::Kind;
use std::path::Path;
use zeroize::Zeroizing;

/// Largest credential file that is read, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;

/// A credential, not looked into yet.
pub(crate) enum Credential {
    /// Certificates in DER, leaf first.
    X509(Vec<Vec<u8>>),
    /// A compact JWS; a bearer token, so it is wiped and never printed.
    Jwt(Zeroizing<String>),
}

/// Reads a file; `-` is standard input.
pub(crate) fn read(file: &Path) -> Result<Credential, Failure> {
    let bytes = pem::read(file, CREDENTIAL_BYTES_MAX)?;
    recognise(&bytes).map_err(|why| {
        let failure = Failure::new(Kind::Malformed, format!("{}: {why}", pem::name(file)));
        failure.hint("Expected an X.509-SVID in PEM or DER, or a JWT-SVID")
    })
}

/// Tells the sorts apart by how they begin.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Credential, String> {
    if bytes.first() == Some(&0x30) {
        return split_der(bytes).map(Credential::X509);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is neither a certificate nor text".to_owned())?.trim();
    if text.contains("-----BEGIN") {
        return pem::certificates(text).map(Credential::X509);
    }
    let token = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if token.is_empty() || !token.contains('.') || !token.bytes().all(in_token) {
        return Err("it is neither a certificate nor a token".into());
    }
    Ok(Credential::Jwt(Zeroizing::new(token.to_owned())))
}

/// Splits concatenated DER, as the Workload API sends chains, by the length that each part says it has.
fn split_der(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let length = der_length(bytes).filter(|length| *length <= bytes.len()).ok_or("it is damaged DER")?;
        let (part, rest) = bytes.split_at(length);
        parts.push(part.to_vec());
        bytes = rest;
    }
    Ok(parts)
}

/// Length of the SEQUENCE at the start, header included.
fn der_length(bytes: &[u8]) -> Option<usize> {
    let (0x30, &first) = (*bytes.first()?, bytes.get(1)?) else { return None };
    if first < 0x80 {
        return Some(2 + usize::from(first));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return None;
    }
    let length = bytes.get(2..2 + count)?.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    length.checked_add(2 + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_are_told_apart_and_anything_else_is_refused() {
        let sort = |bytes: &[u8]| match recognise(bytes) {
            Ok(Credential::X509(parts)) => format!("{} certificates", parts.len()),
            Ok(Credential::Jwt(token)) => format!("token {}", token.as_str()),
            Err(why) => why,
        };
        assert_eq!(sort(b"  a.b.c \n"), "token a.b.c");
        assert_eq!(sort(b"Bearer a.b.c"), "token a.b.c");
        assert_eq!(sort(&[0x30, 1, 0, 0x30, 0]), "2 certificates");
        assert_eq!(sort(&[0x30, 0x81, 1, 0]), "1 certificates");
        for bytes in [&[0x30, 5, 0][..], &[0x30], &[0x30, 0x80], &[0x30, 0x84, 255, 255, 255, 255], &[0x30, 0, 1]] {
            assert_eq!(sort(bytes), "it is damaged DER", "{bytes:?}");
        }
        assert_eq!(sort(b"hello"), "it is neither a certificate nor a token");
        assert_eq!(sort(b"-----BEGIN X-----\n-----END X-----\n"), "there is no certificate in it");
        assert_eq!(sort(&[0xff, 0xfe]), "it is neither a certificate nor text");
    }
}
