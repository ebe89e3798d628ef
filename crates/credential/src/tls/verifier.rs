//! The rustls verifier of both ends.

use crate::bundle::X509Bundle;
use crate::tls::{LiveBundles, PeerRule};
use crate::x509_svid::{self, VerifiedX509Svid, VerifyError};
use credence_model::id::Digest;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use thiserror::Error;

/// What the peer's chain must lead to.
#[derive(Debug)]
pub(super) enum Trust {
    /// An authority in the bundle of the peer's own trust domain.
    Bundles(LiveBundles),
    /// The one root with this digest, which the peer sends along.
    PinnedRoot(Digest),
}

/// Verifies a peer by SPIFFE ID.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    rule: PeerRule,
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a handshake was refused although rustls itself had no objection.
#[derive(Error)]
enum Refused {
    #[error(transparent)]
    Svid(#[from] VerifyError),
    #[error("x509-svid: {0} is not the peer that is expected here")]
    Unexpected(SpiffeId),
    #[error("x509-svid: the chain does not end in the root that the join token names")]
    OtherRoot,
}

/// rustls shows only `Debug` of what a verifier says, so this is the sentence as well.
impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Verifier {
    pub(super) fn new(trust: Trust, rule: PeerRule, mandatory: bool, provider: &CryptoProvider) -> Self {
        Self { trust, rule, mandatory, algorithms: provider.signature_verification_algorithms }
    }

    fn check(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let refused =
            |refused: Refused| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))));
        let chain: Vec<_> = std::iter::once(leaf).chain(others).map(|der| der.as_ref()).collect();
        let peer = self.verify(&chain, Timestamp::from_secs(now.as_secs())).map_err(refused)?;
        if self.rule.accepts(&peer) { Ok(()) } else { Err(refused(Refused::Unexpected(peer.id))) }
    }

    fn verify(&self, chain: &[&[u8]], now: Timestamp) -> Result<VerifiedX509Svid, Refused> {
        match &self.trust {
            Trust::Bundles(bundles) => Ok(x509_svid::verify_in(chain, &bundles.current(), now)?),
            Trust::PinnedRoot(digest) => {
                let root = chain.iter().skip(1).find(|der| Digest::of(der) == *digest).ok_or(Refused::OtherRoot)?;
                // The root itself says whose trust domain it is; without that, any leaf ID could hang below it.
                let id = x509_svid::inspect(root)?.spiffe_id.ok_or(Refused::OtherRoot)?;
                let bundle = X509Bundle::new(id.trust_domain(), &[root]).map_err(|_| Refused::OtherRoot)?;
                Ok(x509_svid::verify(chain, &bundle, now)?)
            }
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
