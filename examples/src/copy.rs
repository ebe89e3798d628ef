//! A thief's copy of an identity, to show what it is worth once the identity has moved on: the certificate is still in
//! its time, its signature is good, and it opens nothing.

use crate::post::post;
use crate::{pem, private_file, tool};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spiffe::{JwtSource, X509Source};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Copy {
    /// PEM, leaf first.
    certificates: String,
    /// PKCS#8 in DER.
    key: Vec<u8>,
    /// A JWT-SVID for the tool.
    token: String,
}

/// Copies the identity of the moment.
///
/// # Errors
/// There is no identity, or the file cannot be written.
pub async fn keep(file: &Path) -> Result<(), Box<dyn Error>> {
    let svid = X509Source::new().await?.svid()?;
    let token = JwtSource::new().await?.fetch_jwt_svid([tool::AUDIENCE]).await?;
    let copy = Copy {
        certificates: pem::certificates(svid.cert_chain().iter().map(|certificate| certificate.as_bytes())),
        key: svid.private_key().as_bytes().to_vec(),
        token: token.token().to_owned(),
    };
    private_file::write(file, &serde_json::to_vec(&copy)?)?;
    println!("copied {}", svid.spiffe_id());
    Ok(())
}

/// Calls the tool with the copy and says what it answers; whether anything was accepted.
///
/// # Errors
/// The copy cannot be read, or the tool cannot be reached.
pub async fn replay(file: &Path) -> Result<bool, Box<dyn Error>> {
    let copy: Copy = serde_json::from_slice(&std::fs::read(file)?)?;
    let tls = Arc::new(stolen(&copy)?);
    let url = format!("{}/reports", tool::url()?);
    let mut accepted = false;
    for (what, token) in [("certificate", None), ("token", Some(copy.token.as_str()))] {
        let (status, answer) = post(Arc::clone(&tls), &url, token, &json!({ "report": 0 })).await?;
        accepted |= status.is_success();
        let said = answer.get("error").and_then(serde_json::Value::as_str).unwrap_or("accepted");
        println!("{what}: {} {said}", status.as_u16());
    }
    Ok(accepted)
}

/// TLS as a thief sets it up: with the copied key, and without caring who is at the other end.
fn stolen(copy: &Copy) -> Result<ClientConfig, Box<dyn Error>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_slice_iter(copy.certificates.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(copy.key.clone()));
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_client_auth_cert(chain, key)?;
    Ok(config)
}

/// Believes every server. Only a thief does.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
