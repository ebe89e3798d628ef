//! TLS between SPIFFE workloads: rustls configurations whose peers are verified by SPIFFE ID and not by host name.
//!
//! Certificates and bundles sit behind handles ([`LiveIdentity`], [`LiveBundles`]) that every new handshake reads, so a
//! rotation needs no restart. Resumption is switched off at both ends: a resumed session would skip the verification,
//! and with it the expiry and the bundle of the day.
//!
//! Host names mean nothing here. A client passes [`unnamed`] where rustls asks for a server name, and no SNI is sent.

mod verifier;

use crate::bundle::BundleSet;
use crate::key::{KeyError, KeyPair};
use crate::x509_svid::{self, VerifiedX509Svid, VerifyError};
use credence_model::id::Digest;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;
use verifier::{Trust, Verifier};

/// Why TLS could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The private key does not belong to the certificate, or there is no certificate.
    #[error("tls: the private key and the certificate chain do not belong together: {0}")]
    Identity(String),
    /// The private key cannot be read.
    #[error("tls: {0}")]
    Key(KeyError),
    /// rustls refused the configuration.
    #[error("tls: the configuration was refused: {0}")]
    Config(String),
}

impl TlsError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        Kind::Bug
    }
}

/// Which verified peers are let in. A peer whose SVID does not verify is refused before this is asked.
#[derive(Clone)]
pub enum PeerRule {
    /// Exactly this SPIFFE ID.
    Exactly(SpiffeId),
    /// Anybody in this trust domain; who may do what is decided later, request by request.
    Within(TrustDomain),
    /// Whoever this function accepts.
    Where(Arc<dyn Fn(&VerifiedX509Svid) -> bool + Send + Sync>),
}

impl PeerRule {
    fn accepts(&self, peer: &VerifiedX509Svid) -> bool {
        match self {
            Self::Exactly(id) => peer.id == *id,
            Self::Within(trust_domain) => peer.id.is_in(trust_domain),
            Self::Where(accepts) => accepts(peer),
        }
    }
}

impl fmt::Debug for PeerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(id) => write!(f, "exactly {id}"),
            Self::Within(trust_domain) => write!(f, "within {trust_domain}"),
            Self::Where(_) => f.write_str("a predicate"),
        }
    }
}

/// Whether a server asks its clients for an X.509-SVID.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// Clients may come without one; one that is presented must verify.
    Optional(PeerRule),
    /// A client without one is refused.
    Required(PeerRule),
}

/// The bundles that handshakes verify with: a handle whose content can be replaced at any time.
#[derive(Clone, Debug)]
pub struct LiveBundles(Arc<RwLock<Arc<BundleSet>>>);

impl LiveBundles {
    /// A handle that starts with these bundles.
    pub fn new(bundles: BundleSet) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(bundles))))
    }

    /// Replaces all bundles; handshakes from now on see the new ones.
    pub fn replace(&self, bundles: BundleSet) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(bundles);
    }

    /// The bundles of this moment.
    pub fn current(&self) -> Arc<BundleSet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The X.509-SVID that one end presents: a handle whose content can be replaced or taken away at any time.
#[derive(Clone)]
pub struct LiveIdentity(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl LiveIdentity {
    /// A handle without an identity yet.
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// A handle that starts with this chain (DER, leaf first) and its private key (PKCS#8 DER).
    pub fn new<C: AsRef<[u8]>>(chain: &[C], pkcs8: &[u8]) -> Result<Self, TlsError> {
        let identity = Self::empty();
        identity.replace(chain, pkcs8)?;
        Ok(identity)
    }

    /// Replaces the identity; handshakes from now on present the new one. A server that meets clients with
    /// [`first_contact_client_config`] puts its root at the end of the chain.
    pub fn replace<C: AsRef<[u8]>>(&self, chain: &[C], pkcs8: &[u8]) -> Result<(), TlsError> {
        // Reading the key ourselves first keeps the accepted kinds the same everywhere.
        KeyPair::from_pkcs8(pkcs8).map_err(TlsError::Key)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.to_vec()));
        let chain = chain.iter().map(|der| CertificateDer::from(der.as_ref().to_vec())).collect();
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|error| TlsError::Identity(error.to_string()))?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }

    /// Takes the identity away; handshakes from now on present nothing.
    pub fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The certificate chain of this moment (DER, leaf first), if there is an identity.
    pub fn chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.current().map(|certified| certified.cert.clone())
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for LiveIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveIdentity").field("present", &self.current().is_some()).finish()
    }
}

impl ResolvesServerCert for LiveIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

impl ResolvesClientCert for LiveIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current()
    }

    fn has_certs(&self) -> bool {
        self.current().is_some()
    }
}

/// The server's side: presents `identity` and verifies clients with `bundles`. The caller sets ALPN.
pub fn server_config(
    identity: &LiveIdentity,
    bundles: &LiveBundles,
    clients: ClientAuth,
) -> Result<ServerConfig, TlsError> {
    let (mandatory, rule) = match clients {
        ClientAuth::Optional(rule) => (false, rule),
        ClientAuth::Required(rule) => (true, rule),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(Trust::Bundles(bundles.clone()), rule, mandatory, &provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| TlsError::Config(error.to_string()))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(identity.clone()));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The client's side: verifies the server with `bundles` and presents `identity` when asked. The caller sets ALPN.
pub fn client_config(
    identity: &LiveIdentity,
    bundles: &LiveBundles,
    server: PeerRule,
) -> Result<ClientConfig, TlsError> {
    client(identity, Trust::Bundles(bundles.clone()), server)
}

/// The client's side before it has any bundle: the server's chain must end in the root certificate whose DER has this
/// SHA-256, and that root must be of the trust domain that the server's SPIFFE ID belongs to.
pub fn first_contact_client_config(root: Digest, server: PeerRule) -> Result<ClientConfig, TlsError> {
    client(&LiveIdentity::empty(), Trust::PinnedRoot(root), server)
}

fn client(identity: &LiveIdentity, trust: Trust, server: PeerRule) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(trust, server, true, &provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| TlsError::Config(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(identity.clone()));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// What to pass where rustls asks for the server's name, which is not looked at.
pub fn unnamed() -> ServerName<'static> {
    ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
}

/// Why a handshake failed, as one sentence: ours when it was ours to refuse, else that of rustls.
pub fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(rustls::OtherError(ours))) => {
            ours.to_string()
        }
        other => other.to_string(),
    }
}

/// The peer of a connection, from the chain that rustls kept: verified again, so a long connection can be asked at any
/// later moment whether its peer's SVID still holds.
pub fn peer_identity(
    chain: &[CertificateDer<'_>],
    bundles: &LiveBundles,
    now: Timestamp,
) -> Result<VerifiedX509Svid, VerifyError> {
    x509_svid::verify_in(chain, &bundles.current(), now)
}

#[cfg(test)]
mod tests;
