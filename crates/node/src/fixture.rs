//! What the unit tests share: a trust domain, identities in it, and a workshop in which nothing is made.

use crate::clock::{MonoClock, wall};
use crate::endpoint::{Identity, Served};
use crate::event::{EVENTS, Event, Events};
use crate::holder::Workshop;
use crate::hub::HubParts;
use crate::identity::NodeIdentity;
use crate::judge::recorder::recorder;
use crate::judge::{Judge, Known};
use crate::meter::Meters;
use crate::runtime::{Driver, Prepared, RuntimeError, StartSpec};
use crate::signing::Signing;
use credence_credential::bundle::{Bundle, JwtAuthority, JwtBundle, X509Bundle};
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::x509_svid::{CaTemplate, ServerNames, SigningCertificate, Template, build_root};
use credence_model::command::Held;
use credence_model::id::{BindingId, Digest, Epoch, ID_ENTROPY_BYTES};
use credence_model::order::{Claims, RevisionClaim};
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use credence_telemetry::span::Tracer;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

pub(crate) const TRUST_DOMAIN: &str = "td.test";
/// How long what is signed here is good for, in seconds.
const LIFE_SECS: u64 = 3600;

fn id(path: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://{TRUST_DOMAIN}{path}")).expect("a SPIFFE ID")
}

/// Binding number so many.
pub(crate) fn held(number: u8) -> Held {
    Held { binding: BindingId::generate(Timestamp(1), [number; ID_ENTROPY_BYTES]), epoch: Epoch(u64::from(number)) }
}

/// An authority and its bundle.
pub(crate) struct Authority {
    root: SigningCertificate<KeyPair>,
    pub(crate) bundle: Arc<Bundle>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let trust_domain = TrustDomain::parse(TRUST_DOMAIN).expect("a trust domain");
        let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let (not_before, not_after) = (wall().minus_secs(10), wall().plus_secs(LIFE_SECS));
        let template = CaTemplate { trust_domain: trust_domain.clone(), not_before, not_after, serial: [1; 16] };
        let root = SigningCertificate::new(&build_root(&template, &key).expect("a root"), key).expect("an authority");
        let x509 = X509Bundle::new(trust_domain.clone(), &[root.der()]).expect("a bundle");
        let jwt = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let jwt = JwtAuthority::new("jwt-1", jwt.public().clone()).expect("a JWT key");
        let jwt = JwtBundle::new(trust_domain, vec![jwt]).expect("a bundle");
        Self { root, bundle: Arc::new(Bundle::new(x509, jwt, 1, 60).expect("a bundle")) }
    }

    /// A node's identity.
    pub(crate) fn node(&self) -> NodeIdentity {
        let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let template = Template {
            subject: id("/node/alpha"),
            spki: key.public().spki().to_vec(),
            claims: None,
            not_before: wall().minus_secs(10),
            not_after: wall().plus_secs(LIFE_SECS / 2),
            serial: [2; 16],
            names: ServerNames::default(),
        };
        let chain = vec![self.root.build(&template).expect("a certificate")];
        NodeIdentity::new(chain, key, Bundle::clone(&self.bundle), wall()).expect("an identity")
    }

    /// What the endpoint of a binding serves whose certificate is over.
    pub(crate) fn outdated(&self, held: Held) -> Served {
        let identity = Identity { chain: Vec::new(), not_after: wall(), ..self.actor(held) };
        Served::Live { identity: Arc::new(identity), bundle: Arc::clone(&self.bundle) }
    }

    /// The identity of an actor in this binding.
    pub(crate) fn actor(&self, held: Held) -> Identity {
        let claims = Claims {
            class: id("/ns/finance/agent/expense"),
            revision: RevisionClaim { number: 1, digest: Digest([5; 32]) },
            epoch: held.epoch,
            worker: id("/ns/finance/pool/small/worker/w1"),
            binding: held.binding,
        };
        let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let spiffe_id = id("/ns/finance/agent/expense/actor/a1");
        let template = Template {
            subject: spiffe_id.clone(),
            spki: key.public().spki().to_vec(),
            claims: Some(claims.clone()),
            not_before: wall().minus_secs(10),
            not_after: wall().plus_secs(LIFE_SECS / 2),
            serial: [3; 16],
            names: ServerNames::default(),
        };
        let (chain, not_after) = (vec![self.root.build(&template).expect("a certificate")], template.not_after);
        Identity { spiffe_id, claims, chain, key_pkcs8: Zeroizing::new(Vec::new()), not_after }
    }
}

/// Runs nothing.
struct Nothing;

impl Driver for Nothing {
    fn prepare(&self, _: StartSpec) -> BoxFuture<'_, Result<Box<dyn Prepared>, RuntimeError>> {
        std::future::ready(Err(RuntimeError::NoCommand)).boxed()
    }
}

/// Room for what is told of permissions, of which nothing is taken.
pub(crate) const TOLD_ROOM: usize = 8;

/// What a hub is made with that runs nothing, in this directory; and what its holders tell it.
pub(crate) fn parts(dir: &Path) -> (HubParts, mpsc::Receiver<Event>) {
    let authority = Authority::new();
    let (events, happening) = Events::new(&EVENTS);
    let (bundles, signing) = (watch::Sender::new(authority.bundle), watch::Sender::new(Signing::default()));
    let clock = MonoClock::start();
    // Nobody records, and nobody keeps what is told; neither end is ever gone.
    let (records, recording) = recorder(events.clone(), watch::Sender::new(false).subscribe());
    let (told, telling) = mpsc::channel(TOLD_ROOM);
    std::mem::forget((recording, telling));
    let judge = Judge::new(Arc::new(Known::new(clock)), records, events.clone(), Tracer::default());
    let workshop = Workshop {
        judge,
        tracer: Tracer::default(),
        driver: Arc::new(Nothing),
        socket_dir: dir.to_owned(),
        incoming_dir: dir.to_owned(),
        events,
        bundles: bundles.subscribe(),
        signing: signing.subscribe(),
        channel: watch::Sender::new(None).subscribe(),
    };
    let parts = HubParts {
        workers: Vec::new(),
        trust_domain: TrustDomain::parse(TRUST_DOMAIN).expect("a trust domain"),
        workshop: Arc::new(workshop),
        bundles,
        signing,
        connected: watch::Sender::new(false),
        meters: Meters::default(),
        clock,
        told,
        log_dir: dir.to_owned(),
        data_dir: dir.to_owned(),
        inherited: None,
        served: Vec::new(),
    };
    (parts, happening)
}

/// How often a limit was reached. Tests run beside each other, so it may rise for others' reasons, too.
pub(crate) fn hits(limit: &str) -> u64 {
    let limits = crate::observe::limits();
    limits.iter().find(|found| found.name == limit).unwrap_or_else(|| panic!("no limit {limit}")).hits()
}
