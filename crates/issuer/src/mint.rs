//! Minting: from an order of the model to a signed credential.

use crate::authority::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_credential::bundle::{Bundle, BundleError, JwtAuthority, JwtBundle, X509Bundle};
use credence_credential::jwt_svid::{self, EncodeError};
use credence_credential::key::JwtAlgorithm;
use credence_credential::x509_svid::{self, BuildError, Mismatch, ServerNames};
use credence_model::id::Digest;
use credence_model::order::{JwtOrder, X509Order};
use credence_model::refusal::Kind;
use credence_model::spiffe_id::TrustDomain;
use std::sync::Arc;
use thiserror::Error;

/// How soon those who hold the bundle look for a newer one, in seconds.
pub const BUNDLE_REFRESH_HINT_SECS: u64 = 300;
/// Bytes of entropy for a serial number or a token id.
pub const NONCE_BYTES: usize = x509_svid::SERIAL_BYTES;

/// Why an order was not signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IssueError {
    /// The order names an authority whose keys are not at hand.
    #[error(
        "issuer: the keys of the authority that was ordered ({0:?}) are not at hand: it was retired, or the issuer has none"
    )]
    Unknown(Option<Digest>),
    /// The key is not the one whose possession was proven.
    #[error("issuer: the key at hand is not the one that was ordered ({ordered:?})")]
    OtherKey {
        /// SHA-256 of the ordered key.
        ordered: Digest,
    },
    /// Server names were asked for in an actor's certificate.
    #[error("issuer: DNS names and IP addresses are for the server's own certificate only")]
    Names,
    /// The signing certificate expires before the credential would begin.
    #[error("issuer: the signing certificate of {0} has expired; restart the server to renew an intermediate")]
    AuthorityExpired(TrustDomain),
    /// The certificate could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What was built is not what was ordered.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The token could not be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The token that was written is not what was ordered.
    #[error("issuer: the token is not what was ordered; it was not issued")]
    Token,
    /// The bundle could not be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl IssueError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::AuthorityExpired(_) | Self::Unknown(_) => Kind::Unavailable,
            Self::Encode(error) => error.kind(),
            _ => Kind::Bug,
        }
    }
}

/// Signs orders. Cheap to clone; signing takes no lock.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The one for orders that name none comes first.
    authorities: Arc<[Arc<Authority>]>,
}

impl Issuer {
    /// An issuer that signs with this authority.
    pub fn new(authority: Authority) -> Self {
        Self { authorities: Arc::new([Arc::new(authority)]) }
    }

    /// An issuer that signs with whichever of these an order names; with the first one if it names none.
    pub fn with(authorities: Vec<Arc<Authority>>) -> Self {
        Self { authorities: authorities.into() }
    }

    /// What it signs with.
    pub fn authorities(&self) -> &[Arc<Authority>] {
        &self.authorities
    }

    fn authority(&self, named: Option<Digest>) -> Result<&Authority, IssueError> {
        let fits = |authority: &&Arc<Authority>| named.is_none_or(|named| authority.id() == named);
        self.authorities.iter().find(fits).map(|found| &**found).ok_or(IssueError::Unknown(named))
    }

    /// Signs an X.509-SVID for the key in `spki`; returns the chain in DER, leaf first, without the root. `names` is for
    /// the server's own SVID, `serial` is random.
    pub fn x509(
        &self,
        order: &X509Order,
        spki: &[u8],
        names: ServerNames,
        serial: [u8; NONCE_BYTES],
    ) -> Result<Vec<Vec<u8>>, IssueError> {
        if Digest::of(spki) != order.key() {
            return Err(IssueError::OtherKey { ordered: order.key() });
        }
        let template = x509_svid::Template {
            subject: order.subject().clone(),
            spki: spki.to_vec(),
            claims: order.claims().cloned(),
            not_before: order.not_before(),
            not_after: order.not_after(),
            serial,
            names,
        };
        sign_x509(self.authority(order.authority())?, template)
    }

    /// Signs a JWT-SVID. `nonce` is random and becomes its `jti`.
    pub fn jwt(&self, order: &JwtOrder, nonce: [u8; NONCE_BYTES]) -> Result<String, IssueError> {
        let template = jwt_svid::Template {
            subject: order.subject().clone(),
            audience: order.audience().to_vec(),
            issued_at: order.issued_at(),
            expires_at: order.expires_at(),
            jwt_id: URL_SAFE_NO_PAD.encode(nonce),
            claims: Some(order.claims().clone()),
        };
        sign_jwt(self.authority(order.authority())?, &template)
    }

    /// The trust domain's bundle: all these authorities. `sequence` rises with every change of its content.
    pub fn bundle(&self, sequence: u64) -> Result<Bundle, IssueError> {
        let trust_domain = self.authority(None)?.trust_domain();
        let roots: Vec<_> = self.authorities.iter().map(|authority| authority.root()).collect();
        let x509 = X509Bundle::new(trust_domain.clone(), &roots)?;
        let jwt = |authority: &Arc<Authority>| {
            JwtAuthority::new(authority.jwt_key_id.clone(), authority.jwt.public().clone())
        };
        let jwt = JwtBundle::new(trust_domain.clone(), self.authorities.iter().filter_map(jwt).collect())?;
        Ok(Bundle::new(x509, jwt, sequence, BUNDLE_REFRESH_HINT_SECS)?)
    }
}

/// INVARIANT: private, so that nothing but an order reaches it.
fn sign_x509(authority: &Authority, mut template: x509_svid::Template) -> Result<Vec<Vec<u8>>, IssueError> {
    let signer = &authority.signer;
    if template.claims.is_some() && template.names != ServerNames::default() {
        return Err(IssueError::Names);
    }
    template.not_after = template.not_after.min(signer.not_after());
    if template.not_after <= template.not_before {
        return Err(IssueError::AuthorityExpired(signer.trust_domain().clone()));
    }
    let leaf = signer.build(&template)?;
    x509_svid::validate(&leaf, &template, signer)?;
    Ok(std::iter::once(leaf).chain(authority.intermediate.clone()).collect())
}

/// INVARIANT: private, so that nothing but an order reaches it.
fn sign_jwt(authority: &Authority, template: &jwt_svid::Template) -> Result<String, IssueError> {
    let key = &authority.jwt;
    let algorithm = JwtAlgorithm::of(key.algorithm()).ok_or(IssueError::Token)?;
    if !template.subject.is_in(authority.trust_domain()) {
        return Err(EncodeError::Subject(template.subject.clone()).into());
    }
    let token = jwt_svid::encode(template, algorithm, &authority.jwt_key_id, |bytes| key.sign_jose(bytes))?;
    let read = jwt_svid::inspect(&token).map_err(|_| IssueError::Token)?;
    let same = read.subject == template.subject
        && read.audience == template.audience
        && read.expires_at.as_secs() == template.expires_at.as_secs()
        && read.issued_at.map(|at| at.as_secs()) == Some(template.issued_at.as_secs())
        && read.jwt_id.as_deref() == Some(template.jwt_id.as_str())
        && read.claims == template.claims
        && read.members.len() == 5 + usize::from(template.claims.is_some());
    if same { Ok(token) } else { Err(IssueError::Token) }
}
