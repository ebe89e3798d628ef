//! Questions of a proxy: who is believed to have sent a request, what is decided, and what the proxy is answered. Decisions are
//! made by the test; what requests come to is tested beside its code.

use crate::door::{Door, backing, mint};
use crate::identity::wall;
use credence_credential::bundle::{Bundle, JwtAuthority, JwtBundle, X509Bundle};
use credence_credential::jwt_svid;
use credence_credential::key::{JwtAlgorithm, KeyAlgorithm, KeyPair};
use credence_credential::pem::{self, Label};
use credence_credential::x509_svid::{CaTemplate, ServerNames, SigningCertificate, Template, build_root};
use credence_model::id::{BindingId, DecisionId, Digest, Epoch};
use credence_model::order::{Claims, RevisionClaim};
use credence_model::permission::Permission;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_node::endpoint::{Backing, Decide, Identity, Served};
use credence_policy::inquiry::{Answer, Inquiry};
use credence_policy::verdict::{Layer, Missing, Verdict};
use credence_wire::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use credence_wire::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use credence_wire::envoy::service::auth::v3::check_response::HttpResponse;
use credence_wire::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse, OkHttpResponse};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tonic::Code;
use zeroize::Zeroizing;

const GATEWAY: &str = "spiffe://td.test/ns/infra/agent/gateway/actor/g1";
const CLERK: &str = "spiffe://td.test/ns/finance/agent/expense/actor/a1";
const OTHER: &str = "spiffe://td.test/ns/finance/agent/expense/actor/a2";

/// A trust domain.
struct House {
    root: SigningCertificate<KeyPair>,
    jwt: KeyPair,
    bundle: Arc<Bundle>,
}

impl House {
    fn new() -> Self {
        let trust_domain = TrustDomain::parse("td.test").expect("valid");
        let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let (not_before, not_after) = (wall().minus_secs(10), wall().plus_secs(3600));
        let template = CaTemplate { trust_domain: trust_domain.clone(), not_before, not_after, serial: [1; 16] };
        let root = SigningCertificate::new(&build_root(&template, &key).expect("a root"), key).expect("an authority");
        let x509 = X509Bundle::new(trust_domain.clone(), &[root.der()]).expect("a bundle");
        let jwt = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let authority = JwtAuthority::new("jwt-1", jwt.public().clone()).expect("a JWT key");
        let bundle = JwtBundle::new(trust_domain, vec![authority]).expect("a bundle");
        let bundle = Arc::new(Bundle::new(x509, bundle, 1, 60).expect("a bundle"));
        Self { root, jwt, bundle }
    }

    /// A certificate; without an epoch it is nobody's who is an actor.
    fn certificate(&self, id: &str, epoch: Option<u64>) -> Vec<u8> {
        let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let template = Template {
            subject: spiffe_id(id),
            spki: key.public().spki().to_vec(),
            claims: epoch.map(claims),
            not_before: wall().minus_secs(10),
            not_after: wall().plus_secs(900),
            serial: [2; 16],
            names: ServerNames::default(),
        };
        self.root.build(&template).expect("a certificate")
    }

    fn token(&self, id: &str, epoch: u64, audience: &str) -> String {
        let template = jwt_svid::Template {
            subject: spiffe_id(id),
            audience: vec![audience.to_owned()],
            issued_at: wall(),
            expires_at: wall().plus_secs(300),
            jwt_id: "1".to_owned(),
            claims: Some(claims(epoch)),
        };
        let sign = |bytes: &[u8]| self.jwt.sign_jose(bytes);
        jwt_svid::encode(&template, JwtAlgorithm::Es256, "jwt-1", sign).expect("a token")
    }

    /// The socket of a gateway whose decisions are made like this, and what it asked.
    async fn gateway(
        &self,
        decide: impl Fn(usize) -> Result<Answer, Refusal> + Send + Sync + 'static,
    ) -> (Door, Asked) {
        let identity = Identity {
            spiffe_id: spiffe_id(GATEWAY),
            claims: claims(1),
            chain: vec![self.certificate(GATEWAY, Some(1))],
            key_pkcs8: Zeroizing::new(Vec::new()),
            not_after: wall().plus_secs(900),
        };
        let served = Served::Live { identity: Arc::new(identity), bundle: Arc::clone(&self.bundle) };
        let asked = Asked::default();
        let kept = Arc::clone(&asked);
        let decide: Decide = Arc::new(move |inquiries, _| {
            let answers = (0..inquiries.len()).map(&decide).collect();
            kept.lock().expect("nobody panicked").extend(inquiries);
            std::future::ready(answers).boxed()
        });
        let backing = |served| Backing { decide, ..backing(served, mint(|_| Ok("a token".into()))) };
        (Door::with(std::process::id(), served, backing).await, asked)
    }
}

type Asked = Arc<Mutex<Vec<Inquiry>>>;

fn spiffe_id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).expect("valid")
}

fn claims(epoch: u64) -> Claims {
    Claims {
        class: spiffe_id("spiffe://td.test/ns/finance/agent/expense"),
        revision: RevisionClaim { number: 3, digest: Digest([5; 32]) },
        epoch: Epoch(epoch),
        worker: spiffe_id("spiffe://td.test/ns/finance/pool/small/worker/w1"),
        binding: BindingId::generate(wall(), [1; 10]),
    }
}

fn answer(allowed: bool, obligations: &[&str]) -> Answer {
    let permission = Permission::parse("tool expenses/submit when amount <= 600 EUR").expect("a permission");
    let missing = (!allowed).then(|| Missing { permission, who: "ada".to_owned() });
    let why = if allowed { "the class allows it" } else { "the class allows only 500" }.to_owned();
    let actor = "finance/a1".parse().expect("an actor");
    Answer {
        decision: Some(DecisionId::generate(wall(), [7; 10])),
        allowed,
        verdicts: vec![Verdict { actor, layer: Layer::Class, allowed, why, missing }],
        obligations: obligations.iter().map(|duty| (*duty).to_owned()).collect(),
        actor: "finance/a1".parse().expect("an actor"),
        class: "finance/expense".parse().expect("a class"),
        revision: 3,
        age_ms: 5,
    }
}

/// As Envoy passes it on.
fn encoded(der: &[u8]) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    pem::write(Label::Certificate, der).bytes().map(escape).collect()
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A request to an MCP server.
struct Sent {
    certificate: String,
    principal: String,
    headers: Vec<(String, String)>,
    body: Value,
    route: Vec<(&'static str, &'static str)>,
}

impl Sent {
    fn by(certificate: &[u8]) -> Self {
        let certificate = if certificate.is_empty() { String::new() } else { encoded(certificate) };
        let body = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": { "name": "submit", "arguments": { "amount": 600 } } });
        let route = vec![("mapping", "mcp"), ("server", "expenses")];
        Self { certificate, principal: String::new(), headers: Vec::new(), body, route }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    async fn to(self, door: &Door) -> CheckResponse {
        let mut headers = map(&[("content-type", "application/json"), ("x-envoy-auth-partial-body", "false")]);
        headers.extend(self.headers);
        let http = HttpRequest {
            method: "POST".to_owned(),
            path: "/mcp".to_owned(),
            headers,
            raw_body: self.body.to_string().into_bytes(),
            ..HttpRequest::default()
        };
        let source = Peer { principal: self.principal, certificate: self.certificate };
        let attributes = AttributeContext {
            source: Some(source),
            request: Some(Request { http: Some(http) }),
            context_extensions: map(&self.route),
        };
        let mut client = AuthorizationClient::new(door.channel().await);
        let asked = CheckRequest { attributes: Some(attributes) };
        client.check(asked).await.expect("there is always an answer").into_inner()
    }
}

/// The status and the body of a denial.
fn denied(response: &CheckResponse) -> (i32, Value) {
    let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response else { panic!("it passed: {response:?}") };
    assert_ne!(response.status.as_ref().expect("a status").code, Code::Ok as i32);
    (denied.status.as_ref().expect("a status").code, serde_json::from_str(&denied.body).expect("JSON"))
}

fn passed(response: CheckResponse) -> OkHttpResponse {
    assert_eq!(response.status.expect("a status").code, Code::Ok as i32);
    let Some(HttpResponse::OkResponse(passed)) = response.http_response else { panic!("it was denied") };
    passed
}

#[tokio::test]
async fn an_actor_is_known_by_its_certificate_or_by_a_token_for_this_gateway() {
    let house = House::new();
    let (door, asked) = house.gateway(|_| Ok(answer(true, &[]))).await;
    let certificate = house.certificate(CLERK, Some(7));
    let bearer = |id, epoch, audience| format!("Bearer {}", house.token(id, epoch, audience));
    let by_certificate = passed(Sent::by(&certificate).to(&door).await);
    assert_eq!(by_certificate.headers_to_remove, ["credence-obligations"]);
    let principal = Sent { principal: CLERK.to_owned(), ..Sent::by(&certificate) };
    passed(principal.to(&door).await);
    let token = bearer(CLERK, 7, GATEWAY);
    let by_token = passed(Sent::by(&[]).header("authorization", &token).to(&door).await);
    assert_eq!(
        by_token.headers_to_remove,
        ["credence-obligations", "authorization"],
        "nobody behind it gets the token"
    );
    passed(Sent::by(&certificate).header("authorization", &token).to(&door).await);
    let foreign = passed(Sent::by(&certificate).header("authorization", "Bearer of-another-kind").to(&door).await);
    assert_eq!(foreign.headers_to_remove, ["credence-obligations"], "that one is for who is behind it");
    let asked = asked.lock().expect("nobody panicked");
    assert_eq!(asked.len(), 5);
    for inquiry in asked.iter() {
        assert_eq!((inquiry.subject.spiffe_id.as_str(), inquiry.subject.held.epoch), (CLERK, Epoch(7)));
        assert_eq!(inquiry.wish.as_ref().expect("a wish").id, "expenses/submit");
    }
}

#[tokio::test]
async fn who_proves_nothing_or_two_things_is_nobody_and_no_header_helps() {
    let (house, elsewhere) = (House::new(), House::new());
    let (door, asked) = house.gateway(|_| Ok(answer(true, &[]))).await;
    let certificate = house.certificate(CLERK, Some(7));
    let bearer = |house: &House, id, epoch, audience| format!("Bearer {}", house.token(id, epoch, audience));
    let claim = |sent: Sent| {
        let value = format!("By={GATEWAY};URI={CLERK}");
        sent.header("x-forwarded-client-cert", &value).header("x-spiffe-id", CLERK).header("credence-actor", CLERK)
    };
    let cases = [
        ("nothing", Sent::by(&[])),
        ("headers", claim(Sent::by(&[]))),
        ("a principal", Sent { principal: CLERK.to_owned(), ..Sent::by(&[]) }),
        ("another principal", Sent { principal: OTHER.to_owned(), ..Sent::by(&certificate) }),
        ("a foreign certificate", claim(Sent::by(&elsewhere.certificate(CLERK, Some(7))))),
        ("no actor", Sent::by(&house.certificate("spiffe://td.test/node/alpha", None))),
        ("no certificate", Sent { certificate: "-----BEGIN".to_owned(), ..Sent::by(&[]) }),
        ("half an escape", Sent { certificate: "%2".to_owned(), ..Sent::by(&[]) }),
        ("a long certificate", Sent { certificate: "A".repeat(40_000), ..Sent::by(&[]) }),
        ("another audience", Sent::by(&[]).header("authorization", &bearer(&house, CLERK, 7, "somebody"))),
        ("a foreign token", Sent::by(&[]).header("authorization", &bearer(&elsewhere, CLERK, 7, GATEWAY))),
        ("no token", Sent::by(&[]).header("authorization", "Bearer")),
        ("two tokens", Sent::by(&[]).header("authorization", &format!("{0},{0}", bearer(&house, CLERK, 7, GATEWAY)))),
        ("another actor's", Sent::by(&certificate).header("authorization", &bearer(&house, OTHER, 7, GATEWAY))),
        ("another epoch's", Sent::by(&certificate).header("authorization", &bearer(&house, CLERK, 6, GATEWAY))),
        ("for another", Sent::by(&certificate).header("authorization", &bearer(&house, CLERK, 7, "somebody"))),
    ];
    for (what, sent) in cases {
        let response = sent.to(&door).await;
        let (status, body) = denied(&response);
        assert_eq!(
            (status, &body["error"]["code"], &body["id"]),
            (401, &json!(-32001), &Value::Null),
            "{what}: {body}"
        );
    }
    assert!(asked.lock().expect("nobody panicked").is_empty(), "nobody is asked about");
}

#[tokio::test]
async fn who_passes_does_so_with_headers_and_metadata_that_only_we_can_have_set() {
    let house = House::new();
    let (door, _) = house.gateway(|_| Ok(answer(true, &["log", "budget 50 calls per hour"]))).await;
    let response = Sent::by(&house.certificate(CLERK, Some(7))).to(&door).await;
    let metadata = response.dynamic_metadata.clone().expect("metadata");
    let names: Vec<_> = metadata.fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["actor", "class", "decision", "epoch", "obligations"]);
    let headers = passed(response).headers;
    let said: Vec<_> = headers
        .iter()
        .map(|option| {
            assert_eq!(option.append, Some(false), "instead of what is there");
            let header = option.header.as_ref().expect("a header");
            (header.key.as_str(), header.value.as_str())
        })
        .collect();
    let decision = DecisionId::generate(wall(), [7; 10]).to_string();
    assert_eq!(
        said,
        [("credence-decision", decision.as_str()), ("credence-obligations", "budget 50 calls per hour, log")]
    );
}

#[tokio::test]
async fn a_denial_says_in_the_clients_protocol_what_is_missing_and_who_could_grant_it() {
    let house = House::new();
    let (door, _) = house.gateway(|nth| Ok(answer(nth != 1, &[]))).await;
    let certificate = house.certificate(CLERK, Some(7));
    let call = |id: Value, name: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name } });
    let batch = Sent {
        body: json!([call(json!(1), "list"), call(json!("b"), "submit"), { "jsonrpc": "2.0", "method": "notifications/x" }]),
        ..Sent::by(&certificate)
    };
    let (status, body) = denied(&batch.to(&door).await);
    assert_eq!(status, 403);
    let errors = body.as_array().expect("an error for each that has an id");
    assert_eq!(errors.len(), 2);
    assert_eq!(
        (&errors[0]["id"], &errors[0]["error"]["message"]),
        (&json!(1), &json!("not done: another call of the batch is denied"))
    );
    let data = &errors[1]["error"]["data"];
    assert_eq!((&errors[1]["id"], &errors[1]["error"]["code"]), (&json!("b"), &json!(-32001)));
    assert_eq!((&data["reason"], &data["who"]), (&json!("the class allows only 500"), &json!("ada")));
    assert_eq!(data["missing"], "tool expenses/submit when amount <= 600 EUR");

    let (door, _) = house.gateway(|_| Ok(answer(false, &[]))).await;
    let (_, one) = denied(&Sent::by(&certificate).to(&door).await);
    assert_eq!((&one["id"], &one["error"]["code"]), (&json!(5), &json!(-32001)));
    let plain = Sent { route: vec![("mapping", "http"), ("service", "expenses")], ..Sent::by(&certificate) };
    let (status, body) = denied(&plain.to(&door).await);
    assert_eq!((status, &body["error"]["kind"], &body["error"]["who"]), (403, &json!("denied"), &json!("ada")));
}

#[tokio::test]
async fn what_a_person_has_to_confirm_passes_only_where_somebody_asks_one() {
    let house = House::new();
    let (door, _) = house.gateway(|_| Ok(answer(true, &["step-up"]))).await;
    let certificate = house.certificate(CLERK, Some(7));
    let (status, body) = denied(&Sent::by(&certificate).to(&door).await);
    assert_eq!((status, &body["error"]["code"]), (403, &json!(-32001)), "{body}");
    let mut upstream = Sent::by(&certificate);
    upstream.route.push(("step-up", "upstream"));
    assert_eq!(passed(upstream.to(&door).await).headers.len(), 2, "who is behind it learns the duty");
}

#[tokio::test]
async fn what_cannot_be_decided_is_denied_in_an_answer() {
    let house = House::new();
    let certificate = house.certificate(CLERK, Some(7));
    for (kind, status, code) in [
        (Kind::Unavailable, 503, -32603),
        (Kind::Bug, 503, -32603),
        (Kind::Stale, 401, -32001),
        (Kind::Denied, 403, -32001),
        (Kind::NotFound, 403, -32001),
        (Kind::Malformed, 403, -32001),
    ] {
        let (door, _) = house.gateway(move |_| Err(Refusal::new(kind, "because"))).await;
        let (found, body) = denied(&Sent::by(&certificate).to(&door).await);
        assert_eq!((found, &body["error"]["code"], &body["id"]), (status, &json!(code), &json!(5)), "{kind:?}");
    }
    let (door, asked) = house.gateway(|_| Ok(answer(true, &[]))).await;
    let misconfigured = Sent { route: vec![("mapping", "mcp")], ..Sent::by(&certificate) };
    let (status, body) = denied(&misconfigured.to(&door).await);
    assert_eq!((status, &body["error"]["code"]), (503, &json!(-32603)), "{body}");
    let unreadable = Sent { body: json!("x"), ..Sent::by(&certificate) };
    assert_eq!(denied(&unreadable.to(&door).await).0, 403);
    assert!(asked.lock().expect("nobody panicked").is_empty());
    // Nothing at all is not a yes either.
    let nothing = AuthorizationClient::new(door.channel().await).check(CheckRequest { attributes: None }).await;
    assert_eq!(denied(&nothing.expect("an answer").into_inner()).0, 503);
}

#[tokio::test]
async fn a_gateway_that_is_nobody_any_more_lets_nobody_in() {
    let house = House::new();
    let (door, asked) = house.gateway(|_| Ok(answer(true, &[]))).await;
    let mut client = AuthorizationClient::new(door.channel().await);
    door.served.send_replace(Served::Ended);
    let response = client.check(CheckRequest { attributes: Some(AttributeContext::default()) }).await;
    assert_eq!(denied(&response.expect("an answer").into_inner()).0, 503);
    assert!(asked.lock().expect("nobody panicked").is_empty());
}
