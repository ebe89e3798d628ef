//! PEM (RFC 7468): the text form of certificates and private keys in files and on terminals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use zeroize::Zeroizing;

/// Characters of base64 on one line (RFC 7468 §2).
const LINE_CHARACTERS: usize = 64;

/// What a PEM block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// One X.509 certificate.
    Certificate,
    /// One unencrypted PKCS#8 private key.
    PrivateKey,
    /// One PKCS#8 private key under a passphrase (RFC 7468 §11).
    EncryptedPrivateKey,
}

/// A text does not hold the PEM block that it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no PEM block `{}` can be read from it", .0.as_str())]
pub struct PemError(Label);

impl Label {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "CERTIFICATE",
            Self::PrivateKey => "PRIVATE KEY",
            Self::EncryptedPrivateKey => "ENCRYPTED PRIVATE KEY",
        }
    }
}

/// Writes one block, with a line feed at its end. Wiped when dropped, because it may hold a private key.
pub fn write(label: Label, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let (mut rest, name) = (body.as_str(), label.as_str());
    // Reserved at once, so that no half-written copy of a key is left behind by a growing buffer.
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / LINE_CHARACTERS + 64));
    text.push_str("-----BEGIN ");
    text.push_str(name);
    text.push_str("-----\n");
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARACTERS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(name);
    text.push_str("-----\n");
    text
}

/// Every certificate in a text, in order; at least one.
pub fn read_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let wrong = PemError(Label::Certificate);
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates: Vec<_> = read.map_err(|_| wrong)?.into_iter().map(|der| der.to_vec()).collect();
    if certificates.is_empty() { Err(wrong) } else { Ok(certificates) }
}

/// The first PKCS#8 private key in a text.
pub fn read_private_key(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| PemError(Label::PrivateKey))?;
    Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec()))
}

/// The first encrypted PKCS#8 private key in a text; none if there is no such block.
pub fn read_encrypted_private_key(text: &[u8]) -> Result<Option<Vec<u8>>, PemError> {
    let wrong = PemError(Label::EncryptedPrivateKey);
    let text = std::str::from_utf8(text).unwrap_or_default();
    let name = Label::EncryptedPrivateKey.as_str();
    let Some((_, body)) = text.split_once(&format!("-----BEGIN {name}-----")) else { return Ok(None) };
    let (body, _) = body.split_once(&format!("-----END {name}-----")).ok_or(wrong)?;
    let body: String = body.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    STANDARD.decode(body).map(Some).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(der in prop::collection::vec(any::<u8>(), 1..300)) {
            let text = write(Label::PrivateKey, &der);
            prop_assert!(text.lines().all(|line| line.len() <= LINE_CHARACTERS));
            prop_assert_eq!(&*read_private_key(text.as_bytes()).expect("a key"), &der);
            let two = format!("{}{}", *write(Label::Certificate, &der), *write(Label::Certificate, &[1]));
            prop_assert_eq!(read_certificates(two.as_bytes()), Ok(vec![der.clone(), vec![1]]));
            let encrypted = write(Label::EncryptedPrivateKey, &der);
            prop_assert_eq!(read_encrypted_private_key(encrypted.as_bytes()), Ok(Some(der)));
            prop_assert_eq!(read_encrypted_private_key(text.as_bytes()), Ok(None));
            prop_assert!(read_private_key(encrypted.as_bytes()).is_err());
        }
    }

    #[test]
    fn a_text_without_the_block_is_an_error() {
        assert_eq!(read_certificates(b"nothing"), Err(PemError(Label::Certificate)));
        assert!(read_private_key(write(Label::Certificate, &[1]).as_bytes()).is_err());
    }
}
