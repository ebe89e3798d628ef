//! Trust bundles: what a trust domain's SVIDs are verified with.
//!
//! X.509 authorities verify X.509-SVIDs and JWT authorities verify JWT-SVIDs, never the other way round, so they are two
//! types. Bundles of different trust domains are kept apart in a [`BundleSet`] and never merged.

mod document;
pub(crate) mod jwk;

pub use document::{BUNDLE_BYTES_MAX, DocumentError, jwks, read, write};
pub use jwk::{KEY_ID_BYTES_MAX, thumbprint};

use crate::certificate::{Certificate, Malformed};
use crate::key::{JwtAlgorithm, PublicKey};
use credence_model::refusal::Kind;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use std::collections::BTreeMap;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Most authorities of one type in one bundle: many rotations at once, and not a denial of service.
pub const AUTHORITIES_MAX: usize = 64;

/// Why authorities do not make a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// More than [`AUTHORITIES_MAX`] authorities.
    #[error("bundle of {0}: it has more than {AUTHORITIES_MAX} authorities of one type")]
    TooMany(TrustDomain),
    /// An X.509 authority is not a signing certificate in DER.
    #[error("bundle of {trust_domain}: X.509 authority {position} is not a signing certificate in DER ({why})")]
    Authority {
        /// Whose bundle it is.
        trust_domain: TrustDomain,
        /// Counted from 1.
        position: usize,
        /// What is wrong.
        why: String,
    },
    /// A JWT authority has no usable key id, or one that another has too.
    #[error("bundle of {0}: a JWT authority has a key id that is empty, too long or used twice")]
    KeyId(TrustDomain),
    /// The two halves belong to different trust domains.
    #[error("bundle: X.509 authorities of {x509} and JWT authorities of {jwt} do not make one bundle")]
    Mixed {
        /// Trust domain of the X.509 authorities.
        x509: TrustDomain,
        /// Trust domain of the JWT authorities.
        jwt: TrustDomain,
    },
}

impl BundleError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooMany(_) => Kind::Limited,
            _ => Kind::Malformed,
        }
    }
}

/// The X.509 authorities of one trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Bundle {
    trust_domain: TrustDomain,
    authorities: Vec<X509Authority>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct X509Authority {
    der: Vec<u8>,
    anchor: TrustAnchor<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl X509Bundle {
    /// The bundle of these signing certificates in DER. An empty one is allowed and trusts nobody.
    pub fn new<C: AsRef<[u8]>>(trust_domain: TrustDomain, authorities: &[C]) -> Result<Self, BundleError> {
        if authorities.len() > AUTHORITIES_MAX {
            return Err(BundleError::TooMany(trust_domain));
        }
        let mut read = Vec::with_capacity(authorities.len());
        for (index, der) in authorities.iter().enumerate() {
            let authority = X509Authority::read(der.as_ref()).map_err(|why| {
                let trust_domain = trust_domain.clone();
                BundleError::Authority { trust_domain, position: index + 1, why }
            })?;
            read.push(authority);
        }
        Ok(Self { trust_domain, authorities: read })
    }

    /// Reads concatenated DER certificates, as the Workload API sends them.
    // SPEC: Workload API §5.2 (W-06, W-09)
    pub fn from_concatenated(trust_domain: TrustDomain, der: &[u8]) -> Result<Self, BundleError> {
        let (mut rest, mut found) = (der, Vec::new());
        while !rest.is_empty() {
            let position = found.len() + 1;
            if position > AUTHORITIES_MAX {
                return Err(BundleError::TooMany(trust_domain));
            }
            let (after, _) = X509Certificate::from_der(rest).map_err(|_| {
                let (trust_domain, why) = (trust_domain.clone(), "it is not a certificate in DER".to_owned());
                BundleError::Authority { trust_domain, position, why }
            })?;
            let (one, _) = rest.split_at(rest.len() - after.len());
            found.push(one);
            rest = after;
        }
        Self::new(trust_domain, &found)
    }

    /// Whose SVIDs it verifies.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The authorities in DER.
    pub fn authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.authorities.iter().map(|authority| authority.der.as_slice())
    }

    /// All authorities one after the other, as the Workload API wants them.
    pub fn concatenated(&self) -> Vec<u8> {
        self.authorities().flatten().copied().collect()
    }

    /// The authorities that are valid at `now`: an expired root vouches for nobody.
    pub(crate) fn anchors(&self, now: Timestamp) -> Vec<TrustAnchor<'static>> {
        let valid = |authority: &&X509Authority| {
            (authority.not_before.as_secs()..=authority.not_after.as_secs()).contains(&now.as_secs())
        };
        self.authorities.iter().filter(valid).map(|authority| authority.anchor.clone()).collect()
    }
}

impl X509Authority {
    fn read(der: &[u8]) -> Result<Self, String> {
        let certificate = Certificate::parse(der).map_err(|Malformed(why)| why.to_owned())?;
        if !certificate.is_ca() {
            return Err("its basic constraints do not say that it is a CA".to_owned());
        }
        let anchor =
            webpki::anchor_from_trusted_cert(&CertificateDer::from(der)).map_err(|error| error.to_string())?.to_owned();
        let Certificate { not_before, not_after, .. } = certificate;
        Ok(Self { der: der.to_vec(), anchor, not_before, not_after })
    }
}

/// The JWT authorities of one trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtBundle {
    trust_domain: TrustDomain,
    authorities: Vec<JwtAuthority>,
}

/// A key that signs JWT-SVIDs, with the id by which tokens name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtAuthority {
    key_id: String,
    key: PublicKey,
    algorithm: JwtAlgorithm,
}

impl JwtAuthority {
    /// Joins a key with its id; `None` when the key is of a kind that no JWT-SVID is signed with here.
    pub fn new(key_id: impl Into<String>, key: PublicKey) -> Option<Self> {
        let algorithm = JwtAlgorithm::of(key.algorithm())?;
        Some(Self { key_id: key_id.into(), key, algorithm })
    }

    /// Its `kid`.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The one algorithm that it signs with.
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.algorithm
    }
}

impl JwtBundle {
    /// The bundle of these authorities. An empty one is allowed and trusts nobody.
    pub fn new(trust_domain: TrustDomain, authorities: Vec<JwtAuthority>) -> Result<Self, BundleError> {
        if authorities.len() > AUTHORITIES_MAX {
            return Err(BundleError::TooMany(trust_domain));
        }
        for (index, authority) in authorities.iter().enumerate() {
            let id = authority.key_id();
            let usable = !id.is_empty() && id.len() <= KEY_ID_BYTES_MAX;
            if !usable || authorities.iter().skip(index + 1).any(|other| other.key_id() == id) {
                return Err(BundleError::KeyId(trust_domain));
            }
        }
        Ok(Self { trust_domain, authorities })
    }

    /// Whose SVIDs it verifies.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The authorities.
    pub fn authorities(&self) -> &[JwtAuthority] {
        &self.authorities
    }

    /// The authority that a token names.
    pub fn find(&self, key_id: &str) -> Option<&JwtAuthority> {
        self.authorities.iter().find(|authority| authority.key_id == key_id)
    }
}

/// Everything that the SVIDs of one trust domain are verified with, and how fresh it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    x509: X509Bundle,
    jwt: JwtBundle,
    /// Rises with every change of content (`spiffe_sequence`).
    pub sequence: u64,
    /// How soon to look for a newer one, in seconds (`spiffe_refresh_hint`).
    pub refresh_hint_secs: u64,
}

impl Bundle {
    /// Joins the two halves of one trust domain.
    pub fn new(x509: X509Bundle, jwt: JwtBundle, sequence: u64, refresh_hint_secs: u64) -> Result<Self, BundleError> {
        if x509.trust_domain != jwt.trust_domain {
            return Err(BundleError::Mixed { x509: x509.trust_domain, jwt: jwt.trust_domain });
        }
        Ok(Self { x509, jwt, sequence, refresh_hint_secs })
    }

    /// Whose bundle it is.
    pub fn trust_domain(&self) -> &TrustDomain {
        self.x509.trust_domain()
    }

    /// What verifies X.509-SVIDs.
    pub fn x509(&self) -> &X509Bundle {
        &self.x509
    }

    /// What verifies JWT-SVIDs.
    pub fn jwt(&self) -> &JwtBundle {
        &self.jwt
    }
}

/// Bundles of several trust domains, each apart from the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleSet {
    bundles: BTreeMap<TrustDomain, Bundle>,
}

impl BundleSet {
    /// A set without any bundle: it trusts nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a bundle in the place of its trust domain's former one, wholly.
    pub fn replace(&mut self, bundle: Bundle) {
        self.bundles.insert(bundle.trust_domain().clone(), bundle);
    }

    /// The bundle of a trust domain.
    pub fn find(&self, trust_domain: &TrustDomain) -> Option<&Bundle> {
        self.bundles.get(trust_domain)
    }

    /// All bundles, by trust domain.
    pub fn iter(&self) -> impl Iterator<Item = &Bundle> {
        self.bundles.values()
    }
}

impl From<Bundle> for BundleSet {
    fn from(bundle: Bundle) -> Self {
        let mut set = Self::new();
        set.replace(bundle);
        set
    }
}

#[cfg(test)]
mod tests;
