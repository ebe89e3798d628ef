//! What the unit tests share: an authority, and templates to start from.

use crate::bundle::{Bundle, JwtAuthority, JwtBundle, X509Bundle};
use crate::key::{KeyAlgorithm, KeyPair};
use crate::x509_svid::{CaTemplate, ServerNames, SigningCertificate, Template, build_root};
use credence_model::id::{BindingId, Digest, Epoch};
use credence_model::order::{Claims, RevisionClaim};
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const ACTOR: &str = "spiffe://td.test/ns/finance/agent/expense/actor/a1";

/// A root, and a JWT key under the id `jwt-1`.
pub(crate) struct Authority {
    pub(crate) signer: SigningCertificate<KeyPair>,
    pub(crate) jwt: KeyPair,
}

impl Authority {
    pub(crate) fn new(trust_domain: &str, algorithm: KeyAlgorithm) -> Self {
        let key = KeyPair::generate(algorithm).expect("a key");
        let der = build_root(&ca_template(trust_domain), &key).expect("a root");
        let signer = SigningCertificate::new(&der, key).expect("a signing certificate");
        Self { signer, jwt: KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key") }
    }

    pub(crate) fn x509(&self) -> X509Bundle {
        X509Bundle::new(self.signer.trust_domain().clone(), &[self.signer.der()]).expect("a bundle")
    }

    pub(crate) fn bundle(&self) -> Bundle {
        let authority = JwtAuthority::new("jwt-1", self.jwt.public().clone()).expect("a JWT key");
        let jwt = JwtBundle::new(self.signer.trust_domain().clone(), vec![authority]).expect("a bundle");
        Bundle::new(self.x509(), jwt, 7, 60).expect("a bundle")
    }
}

pub(crate) fn ca_template(trust_domain: &str) -> CaTemplate {
    CaTemplate {
        trust_domain: TrustDomain::parse(trust_domain).expect("valid"),
        not_before: NOW.minus_secs(1000),
        not_after: NOW.plus_secs(100_000),
        serial: [1; 16],
    }
}

pub(crate) fn template(key: &KeyPair) -> Template {
    Template {
        subject: id(ACTOR),
        spki: key.public().spki().to_vec(),
        claims: Some(claims()),
        not_before: NOW.minus_secs(10),
        not_after: NOW.plus_secs(900),
        serial: [0xf0; 16],
        names: ServerNames::default(),
    }
}

pub(crate) fn claims() -> Claims {
    Claims {
        class: id("spiffe://td.test/ns/finance/agent/expense"),
        revision: RevisionClaim { number: 3, digest: Digest([5; 32]) },
        epoch: Epoch(7),
        worker: id("spiffe://td.test/ns/finance/pool/small/worker/w1"),
        binding: BindingId::generate(NOW, [1; 10]),
    }
}

pub(crate) fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).expect("valid")
}
