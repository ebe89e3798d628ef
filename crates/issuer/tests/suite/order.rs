//! From commands through the real model to credentials that verify: the only way that anything is ever signed.

use credence_credential::bundle::BundleSet;
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::x509_svid::ServerNames;
use credence_credential::{jwt_svid, x509_svid};
use credence_issuer::{Authority, Config, IssueError, Issuer};
use credence_model::apply::apply;
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, Runtime};
use credence_model::command::{Command, Held, Report, Request};
use credence_model::decide::decide;
use credence_model::directive::{Bind, Directive, directives, server_order};
use credence_model::event::{Entry, FORMAT};
use credence_model::id::{Digest, NodeName};
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::state::State;
use credence_model::time::Timestamp;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The model and an issuer for it, without a server around them.
struct House {
    state: State,
    issuer: Issuer,
    directives: Vec<Directive>,
    _dir: TempDir,
}

impl House {
    fn new(algorithm: KeyAlgorithm, intermediate: bool, node_key: Digest, actor_key: Digest) -> Self {
        let trust_domain = TrustDomain::parse("td.test").expect("valid");
        let dir = tempfile::tempdir().expect("a directory");
        let config = Config { algorithm, intermediate, ..Config::new(trust_domain.clone()) };
        let authority = Authority::open_or_create(&dir.path().join("authority"), &config, NOW).expect("an authority");
        let issuer = Issuer::new(authority);
        let mut house = Self { state: State::default(), issuer, directives: Vec::new(), _dir: dir };
        house.run(Command::Start(Settings::new(trust_domain)));
        let pool = "finance/small".parse().expect("valid");
        house.run(Command::ApplyPool { pool, labels: Labels::new(), spec: PoolSpec::default(), if_version: None });
        let runtime = Runtime { command: vec!["agent".into()], ..Runtime::default() };
        let spec = ClassSpec { owner: "finance@example.org".into(), runtime, ..ClassSpec::default() };
        let class = "finance/expense".parse().expect("valid");
        house.run(Command::ApplyClass { class, labels: Labels::new(), spec, if_version: None });
        let token = Digest::of(b"token");
        let grants = vec![PoolGrant { pool: "finance/small".parse().expect("valid"), workers_max: 1 }];
        house.run(Command::CreateJoinToken { token, node: None, grants, ttl_secs: 60 });
        house.run(Command::AttestNode { node: alpha(), token, key: node_key });
        let workers = vec!["finance/small/w1".parse().expect("valid")];
        house.run(Command::AttachNode { node: alpha(), workers, held: vec![] });
        house.report(Report::KeysOffered(vec![actor_key]));
        let class = "finance/expense".parse().expect("valid");
        let id = Some("a1".parse().expect("valid"));
        house.run(Command::CreateActor { class, id, labels: Labels::new() });
        let actor = "finance/a1".parse().expect("valid");
        house.run(Command::ResumeActor { actor, worker: None, wait_ms: None });
        house
    }

    fn report(&mut self, report: Report) {
        let session = self.state.nodes[&alpha()].session;
        self.run(Command::Report { node: alpha(), session, report });
    }

    fn run(&mut self, command: Command) {
        let caller = Caller::Local { uid: 0 };
        let request = Request { caller: caller.clone(), idempotency_key: None, command };
        let events = decide(&self.state, &request, NOW, &[9; 32]).expect("granted").events;
        for event in events {
            let index = self.state.last_index + 1;
            let entry = Entry { format: FORMAT, index, at: NOW, caller: caller.clone(), event };
            apply(&mut self.state, &entry);
            self.directives.extend(directives(&self.state, &entry));
        }
    }

    fn bind(&self) -> &Bind {
        let bind = self.directives.iter().find_map(|directive| match directive {
            Directive::Bind(bind) => Some(bind),
            _ => None,
        });
        bind.expect("a binding")
    }

    fn bundles(&self) -> BundleSet {
        BundleSet::from(self.issuer.bundle(1).expect("a bundle"))
    }
}

fn alpha() -> NodeName {
    NodeName::parse("alpha").expect("valid")
}

#[test]
fn what_the_model_orders_for_an_actor_is_signed_and_verifies() {
    for algorithm in KeyAlgorithm::ALL {
        for intermediate in [false, true] {
            let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
            let mut house = House::new(algorithm, intermediate, Digest::of(b"node"), key.public().digest());
            let bind = house.bind().clone();
            let chain = house.issuer.x509(&bind.order, key.public().spki(), ServerNames::default(), [7; 16]);
            let chain = chain.expect("signed");
            assert_eq!(chain.len(), 1 + usize::from(intermediate));
            let svid = x509_svid::verify_in(&chain, &house.bundles(), NOW).expect("verified");
            assert_eq!(svid.id.as_str(), "spiffe://td.test/ns/finance/agent/expense/actor/a1");
            assert_eq!(svid.claims.as_ref(), bind.order.claims());
            let claims = svid.claims.expect("claims");
            assert_eq!((claims.epoch, claims.binding), (bind.epoch, bind.binding));
            assert_eq!(claims.worker.as_str(), "spiffe://td.test/ns/finance/pool/small/worker/w1");

            let held = Held { binding: bind.binding, epoch: bind.epoch };
            house.report(Report::Running(held));
            house.report(Report::MintJwt { held, audience: vec!["tools".into()] });
            let order = house.directives.iter().find_map(|directive| match directive {
                Directive::Jwt { order, .. } => Some(order),
                _ => None,
            });
            let token = house.issuer.jwt(order.expect("an order"), [8; 16]).expect("signed");
            let svid = jwt_svid::verify_in(&token, &house.bundles(), "tools", NOW).expect("verified");
            assert_eq!((svid.id, svid.claims), (bind.spiffe_id, Some(claims)));
        }
    }
}

#[test]
fn a_node_and_the_server_get_their_own_svids_without_claims() {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let house = House::new(KeyAlgorithm::EcdsaP256, false, key.public().digest(), Digest::of(b"actor"));
    let node = house.directives.iter().find_map(|directive| match directive {
        Directive::NodeSvid { order, .. } => Some(order.clone()),
        _ => None,
    });
    let server = server_order(&house.state, key.public().digest(), NOW, 3600);
    let names = ServerNames { dns: vec!["localhost".into()], ip: vec!["127.0.0.1".parse().expect("an address")] };
    for (order, names, id) in [
        (node.expect("an order"), ServerNames::default(), "spiffe://td.test/node/alpha"),
        (server, names, "spiffe://td.test/credence/server"),
    ] {
        let chain = house.issuer.x509(&order, key.public().spki(), names.clone(), [7; 16]).expect("signed");
        let svid = x509_svid::verify_in(&chain, &house.bundles(), NOW).expect("verified");
        assert_eq!((svid.id.as_str(), svid.claims), (id, None));
        assert_eq!(x509_svid::inspect(&chain[0]).expect("readable").dns_names, names.dns);
    }
}

#[test]
fn another_key_than_the_ordered_one_is_never_certified() {
    let (key, other) = (KeyPair::generate(KeyAlgorithm::EcdsaP256), KeyPair::generate(KeyAlgorithm::EcdsaP256));
    let (key, other) = (key.expect("a key"), other.expect("a key"));
    let house = House::new(KeyAlgorithm::EcdsaP256, false, Digest::of(b"node"), key.public().digest());
    let order = &house.bind().order;
    let refused = house.issuer.x509(order, other.public().spki(), ServerNames::default(), [7; 16]);
    assert_eq!(refused, Err(IssueError::OtherKey { ordered: order.key() }));
    let names = ServerNames { dns: vec!["bank.example".into()], ip: vec![] };
    assert_eq!(house.issuer.x509(order, key.public().spki(), names, [7; 16]), Err(IssueError::Names));
}

#[test]
fn no_leaf_outlives_the_certificate_that_signed_it() {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let house = House::new(KeyAlgorithm::EcdsaP256, false, Digest::of(b"node"), Digest::of(b"actor"));
    let end = house.issuer.authorities()[0].not_after();
    let sign = |start: Timestamp| {
        let order = server_order(&house.state, key.public().digest(), start, 3600);
        house.issuer.x509(&order, key.public().spki(), ServerNames::default(), [7; 16])
    };
    let chain = sign(end.minus_secs(60)).expect("signed");
    assert_eq!(x509_svid::inspect(&chain[0]).expect("readable").not_after, end);
    assert!(matches!(sign(end.plus_secs(60)), Err(IssueError::AuthorityExpired(_))));
}

#[test]
fn many_threads_sign_at_once() {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let house = House::new(KeyAlgorithm::EcdsaP256, true, Digest::of(b"node"), key.public().digest());
    let (issuer, order, bundles) = (&house.issuer, &house.bind().order, house.bundles());
    std::thread::scope(|scope| {
        for thread in 1..=4_u8 {
            let (issuer, bundles, key) = (issuer.clone(), &bundles, &key);
            scope.spawn(move || {
                for nth in 1..=8_u8 {
                    let serial = [thread.wrapping_mul(16).wrapping_add(nth); 16];
                    let chain =
                        issuer.x509(order, key.public().spki(), ServerNames::default(), serial).expect("signed");
                    assert_eq!(x509_svid::verify_in(&chain, bundles, NOW).expect("verified").serial, serial.to_vec());
                }
            });
        }
    });
}
