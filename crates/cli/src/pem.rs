//! Files with certificates, keys and tokens: bounded reads, and PEM taken apart.

use crate::failure::Failure;
use crate::output::table::printable;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_model::refusal::Kind;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a whole file of at most `bytes_max` bytes; `-` is standard input.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let name = name(path);
    let failed = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Denied };
        Failure::new(kind, format!("{name} cannot be read: {error}"))
    };
    let reader: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > bytes_max {
        return Err(Failure::new(Kind::Limited, format!("{name} is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// What errors call a file.
pub(crate) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".into() } else { printable(&path.display().to_string()) }
}

/// Reads a whole text file of at most `bytes_max` bytes; `-` is standard input.
pub(crate) fn read_text(path: &Path, bytes_max: usize) -> Result<Zeroizing<String>, Failure> {
    let bytes = read(path, bytes_max)?;
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Failure::new(Kind::Malformed, format!("{} is not UTF-8 text", name(path))))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The certificates of a PEM text, in DER, in their order. Other blocks are passed over; none at all is an error.
pub(crate) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found: Vec<Vec<u8>> = found.map_err(|error| error.to_string())?.into_iter().map(|der| der.to_vec()).collect();
    if found.is_empty() { Err("there is no certificate in it".into()) } else { Ok(found) }
}

/// The private key of a PEM text, PKCS#8 in DER.
pub(crate) fn private_key(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes());
    let key = key.map_err(|_| "there is no private key in PKCS#8 PEM in it".to_owned())?;
    Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec()))
}

/// A certificate as PEM.
pub(crate) fn write_certificate(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..encoded.len()).step_by(64).filter_map(|at| encoded.get(at..encoded.len().min(at + 64))).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Standard base64 with padding.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
