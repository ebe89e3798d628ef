//! Secrets for a proxy: which there are, when they are told anew, and how that ends.

use crate::door::Door;
use crate::identity::{ACTOR, TRUST_DOMAIN, served};
use credence_node::endpoint::Served;
use credence_wire::envoy::config::core::v3::DataSource;
use credence_wire::envoy::config::core::v3::data_source::Specifier;
use credence_wire::envoy::extensions::transport_sockets::tls::v3::Secret;
use credence_wire::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use credence_wire::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use credence_wire::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use credence_wire::google::rpc;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

const TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// Most requests that wait to be read.
const ASKED_MAX: usize = 16;

fn asking(names: &[&str]) -> DiscoveryRequest {
    let resource_names = names.iter().map(|name| (*name).to_owned()).collect();
    DiscoveryRequest { resource_names, type_url: TYPE.to_owned(), ..DiscoveryRequest::default() }
}

fn acknowledging(answer: &DiscoveryResponse, names: &[&str]) -> DiscoveryRequest {
    let (version_info, response_nonce) = (answer.version_info.clone(), answer.nonce.clone());
    DiscoveryRequest { version_info, response_nonce, ..asking(names) }
}

async fn client(door: &Door) -> SecretDiscoveryServiceClient<Channel> {
    SecretDiscoveryServiceClient::new(door.channel().await)
}

/// A proxy with one stream.
struct Proxy {
    asks: mpsc::Sender<DiscoveryRequest>,
    answers: Streaming<DiscoveryResponse>,
}

impl Proxy {
    async fn open(door: &Door, names: &[&str]) -> Self {
        let (asks, asked) = mpsc::channel(ASKED_MAX);
        asks.try_send(asking(names)).expect("it is open");
        let answers = client(door).await.stream_secrets(ReceiverStream::new(asked)).await;
        Self { asks, answers: answers.expect("a stream").into_inner() }
    }

    fn ask(&self, request: DiscoveryRequest) {
        self.asks.try_send(request).expect("it is open");
    }

    async fn answer(&mut self) -> DiscoveryResponse {
        self.answers.message().await.expect("it goes on").expect("an answer")
    }
}

fn secrets(answer: &DiscoveryResponse) -> Vec<Secret> {
    let read = |any: &prost_types::Any| {
        assert_eq!(any.type_url, TYPE);
        Secret::decode(any.value.as_slice()).expect("a secret")
    };
    answer.resources.iter().map(read).collect()
}

fn pem(source: Option<DataSource>) -> String {
    let Some(Specifier::InlineBytes(bytes)) = source.and_then(|source| source.specifier) else { panic!("no content") };
    String::from_utf8(bytes).expect("PEM")
}

/// The kinds of secrets under their names: `certificate N`, which has the certificate of the identity number N; or the
/// validator.
fn told(answer: &DiscoveryResponse) -> Vec<(String, String)> {
    let say = |secret: Secret| {
        let what = match secret.r#type.expect("something") {
            Type::TlsCertificate(found) => {
                assert!(pem(found.private_key).starts_with("-----BEGIN PRIVATE KEY-----"));
                let chain = pem(found.certificate_chain);
                let chain = credence_credential::pem::read_certificates(chain.as_bytes()).expect("a chain");
                assert_eq!(chain.len(), 2, "leaf and intermediate");
                format!("certificate {}", chain[0][0])
            }
            Type::ValidationContext(found) => match found.custom_validator_config {
                Some(validator) => validator.name,
                None => pem(found.trusted_ca).lines().next().expect("a line").to_owned(),
            },
        };
        (secret.name, what)
    };
    secrets(answer).into_iter().map(say).collect()
}

fn pair(name: &str, what: &str) -> (String, String) {
    (name.to_owned(), what.to_owned())
}

#[tokio::test]
async fn secrets_have_the_names_that_spires_agents_give_them() {
    let door = Door::own().await;
    let mut client = client(&door).await;
    let authorities = "-----BEGIN CERTIFICATE-----";
    for (names, expected) in [
        (vec!["default"], vec![pair("default", "certificate 1")]),
        (vec![ACTOR], vec![pair(ACTOR, "certificate 1")]),
        (vec!["ROOTCA"], vec![pair("ROOTCA", authorities)]),
        (vec![TRUST_DOMAIN], vec![pair(TRUST_DOMAIN, authorities)]),
        (vec!["ALL"], vec![pair("ALL", "envoy.tls.cert_validator.spiffe")]),
        (vec![], vec![pair(TRUST_DOMAIN, authorities), pair(ACTOR, "certificate 1")]),
        (vec!["default", "ROOTCA", "default"], vec![pair("ROOTCA", authorities), pair("default", "certificate 1")]),
    ] {
        let answer = client.fetch_secrets(asking(&names)).await.expect("secrets").into_inner();
        assert_eq!(told(&answer), expected, "{names:?}");
    }
}

#[tokio::test]
async fn what_is_no_secret_of_this_actor_is_refused_with_the_names_that_are() {
    let door = Door::own().await;
    let mut client = client(&door).await;
    for names in [vec!["spiffe://td.test/ns/finance/agent/expense/actor/a2"], vec!["Default"], vec!["default", "x"]] {
        let refused = client.fetch_secrets(asking(&names)).await.expect_err("no such secret");
        assert_eq!(refused.code(), Code::InvalidArgument, "{names:?}");
        assert!(refused.message().contains("ROOTCA"), "{refused}");
        let mut proxy = Proxy::open(&door, &names).await;
        assert_eq!(proxy.answers.message().await.expect_err("it ends").code(), Code::InvalidArgument);
    }
    let many: Vec<_> = (0..17).map(|_| "default").collect();
    assert_eq!(client.fetch_secrets(asking(&many)).await.expect_err("too many").code(), Code::InvalidArgument);
    let other = DiscoveryRequest { type_url: "type.googleapis.com/x".to_owned(), ..asking(&["default"]) };
    assert_eq!(client.fetch_secrets(other).await.expect_err("another type").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_rotation_is_told_on_the_open_stream_and_an_acknowledgement_is_not_answered() {
    let door = Door::own().await;
    let mut proxy = Proxy::open(&door, &["default"]).await;
    let first = proxy.answer().await;
    assert_eq!((told(&first), first.nonce.as_str()), (vec![pair("default", "certificate 1")], "1"));
    proxy.ask(acknowledging(&first, &["default"]));
    door.served.send_replace(served(2));
    let second = proxy.answer().await;
    assert_eq!((told(&second), second.nonce.as_str()), (vec![pair("default", "certificate 2")], "2"));
    assert_ne!(first.version_info, second.version_info);
    // The same content again is no news.
    proxy.ask(acknowledging(&second, &["default"]));
    door.served.send_replace(served(2));
    door.served.send_replace(served(3));
    assert_eq!(told(&proxy.answer().await), [pair("default", "certificate 3")]);
}

#[tokio::test]
async fn what_was_rejected_is_told_again_only_when_it_has_changed() {
    let door = Door::own().await;
    let mut proxy = Proxy::open(&door, &["default"]).await;
    let first = proxy.answer().await;
    let why = rpc::Status { code: 3, message: "I do not like it".to_owned() };
    let rejecting = DiscoveryRequest {
        version_info: String::new(),
        error_detail: Some(why),
        ..acknowledging(&first, &["default"])
    };
    proxy.ask(rejecting);
    door.served.send_replace(served(2));
    let second = proxy.answer().await;
    assert_eq!((told(&second), second.nonce.as_str()), (vec![pair("default", "certificate 2")], "2"));
}

#[tokio::test]
async fn other_names_are_answered_at_once_unless_the_request_crossed_an_answer() {
    let door = Door::own().await;
    let mut proxy = Proxy::open(&door, &["default"]).await;
    let first = proxy.answer().await;
    proxy.ask(acknowledging(&first, &["default", "ALL"]));
    let second = proxy.answer().await;
    assert_eq!(told(&second).len(), 2);
    // This one has not seen the second answer.
    proxy.ask(acknowledging(&first, &["ROOTCA"]));
    proxy.ask(acknowledging(&second, &["ALL"]));
    let third = proxy.answer().await;
    assert_eq!((told(&third).len(), third.nonce.as_str()), (1, "3"));
}

#[tokio::test]
async fn the_end_of_the_binding_ends_the_stream_and_nothing_is_served_after_it() {
    let door = Door::own().await;
    let mut proxy = Proxy::open(&door, &["default"]).await;
    proxy.answer().await;
    door.served.send_replace(Served::Ended);
    assert_eq!(proxy.answers.message().await.expect_err("it ends").code(), Code::PermissionDenied);
    let refused = client(&door).await.fetch_secrets(asking(&["default"])).await.expect_err("it is over");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_proxy_that_goes_away_leaves_nothing_behind() {
    let door = Door::own().await;
    let idle = door.served.receiver_count();
    let mut proxy = Proxy::open(&door, &["default"]).await;
    proxy.answer().await;
    assert!(door.served.receiver_count() > idle);
    drop(proxy);
    while door.served.receiver_count() > idle {
        tokio::task::yield_now().await;
    }
}
