//! Certificates as text (RFC 7468 §5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// Writes DER certificates as PEM, in the order given.
pub fn certificates<'a>(ders: impl IntoIterator<Item = &'a [u8]>) -> String {
    ders.into_iter().fold(String::new(), |mut text, der| {
        text += "-----BEGIN CERTIFICATE-----\n";
        let body = STANDARD.encode(der);
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
            rest = after;
        }
        text + "-----END CERTIFICATE-----\n"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    #[test]
    fn what_is_written_reads_back_as_the_same_certificates() {
        let ders: Vec<Vec<u8>> = vec![vec![1; 47], vec![2; 48], vec![3; 49], vec![4; 1]];
        let text = certificates(ders.iter().map(Vec::as_slice));
        let read: Vec<Vec<u8>> =
            CertificateDer::pem_slice_iter(text.as_bytes()).map(|der| der.expect("PEM").to_vec()).collect();
        assert_eq!(read, ders);
        assert!(text.lines().all(|line| line.len() <= 64));
    }
}
