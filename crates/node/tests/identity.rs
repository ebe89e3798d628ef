//! Identities to serve. An endpoint passes on what the node has verified; it does not look inside.

use credence_credential::bundle::{Bundle, JwtAuthority, JwtBundle, X509Bundle};
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::x509_svid::{CaTemplate, build_root};
use credence_model::id::{BindingId, Digest, Epoch};
use credence_model::order::{Claims, RevisionClaim};
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use credence_node::endpoint::{Identity, Served};
use std::sync::{Arc, LazyLock};
use zeroize::Zeroizing;

/// The actor.
pub(crate) const ACTOR: &str = "spiffe://td.test/ns/finance/agent/expense/actor/a1";
/// The trust domain's bundle is known by this.
pub(crate) const TRUST_DOMAIN: &str = "spiffe://td.test";

/// It is always now.
pub(crate) fn wall() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// The actor's identity number so many: each is another one.
pub(crate) fn served(number: u8) -> Served {
    let claims = Claims {
        class: id("spiffe://td.test/ns/finance/agent/expense"),
        revision: RevisionClaim { number: 3, digest: Digest([5; 32]) },
        epoch: Epoch(7),
        worker: id("spiffe://td.test/ns/finance/pool/small/worker/w1"),
        binding: BindingId::generate(wall(), [1; 10]),
    };
    let identity = Identity {
        spiffe_id: id(ACTOR),
        claims,
        chain: vec![vec![number; 3], vec![9; 2]],
        key_pkcs8: Zeroizing::new(vec![number; 4]),
        not_after: wall(),
    };
    Served::Live { identity: Arc::new(identity), bundle: Arc::clone(&BUNDLE) }
}

static BUNDLE: LazyLock<Arc<Bundle>> = LazyLock::new(|| {
    let trust_domain = TrustDomain::parse("td.test").expect("valid");
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let (not_before, not_after) = (wall(), Timestamp::from_secs(wall().as_secs() + 3600));
    let template = CaTemplate { trust_domain: trust_domain.clone(), not_before, not_after, serial: [1; 16] };
    let x509 =
        X509Bundle::new(trust_domain.clone(), &[build_root(&template, &key).expect("a root")]).expect("a bundle");
    let authority = JwtAuthority::new("jwt-1", key.public().clone()).expect("a key");
    let jwt = JwtBundle::new(trust_domain, vec![authority]).expect("a bundle");
    Arc::new(Bundle::new(x509, jwt, 1, 60).expect("a bundle"))
});

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).expect("valid")
}
