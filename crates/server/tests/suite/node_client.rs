//! A node as the server sees one: attests, opens its stream, and says what the test wants it to say.

use crate::house::House;
use credence_attest::join_token::JoinToken;
use credence_credential::csr;
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::tls::{LiveIdentity, PeerRule, first_contact_client_config, unnamed};
use credence_credential::x509_svid::{self, VerifiedX509Svid};
use credence_model::id::Digest;
use credence_model::template::PathTemplates;
use credence_wire::node::node_service_client::NodeServiceClient;
use credence_wire::node::{
    AttestRequest, AttestResponse, Bind, Ended, FromNode, Heartbeat, Held, Hello, KeyOffer, Mark, Refused, RenewNode,
    Running, ToNode, Welcome, ended, from_node, to_node,
};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tower::service_fn;

/// Longest wait for something that is sure to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A key of the kind that is accepted, and its request.
pub(crate) fn fresh_key() -> (KeyPair, Vec<u8>) {
    key_of(KeyAlgorithm::EcdsaP256)
}

pub(crate) fn key_of(algorithm: KeyAlgorithm) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate(algorithm).unwrap();
    let csr = csr::request(&key).unwrap();
    (key, csr)
}

/// What a gRPC status says in the words of the protocol.
#[track_caller]
pub(crate) fn refusal(status: &Status) -> Refused {
    let refused = Refused::decode(status.details()).unwrap();
    assert!(!refused.kind.is_empty(), "not ours: {status:?}");
    refused
}

pub(crate) async fn connect(addr: SocketAddr, mut tls: ClientConfig) -> NodeServiceClient<Channel> {
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(tls));
    let dial = service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(unnamed(), stream).await?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_static("http://control-plane");
    NodeServiceClient::new(endpoint.connect_with_connector(dial).await.expect("a connection"))
}

/// A join token for the pool of the furnished house.
pub(crate) async fn token(house: &House, body: Value) -> String {
    let mut whole = json!({ "pools": [{ "pool": "finance/standard", "workers_max": 2 }], "ttl_secs": 60 });
    for (name, value) in body.as_object().unwrap() {
        whole[name] = value.clone();
    }
    house.admin().post("/v1/join-tokens", &whole).await.ok()["token"].as_str().unwrap().to_owned()
}

pub(crate) async fn attest(house: &House, node: &str, token: &str, csr: Vec<u8>) -> Result<AttestResponse, Refused> {
    let mut client = connect(house.server.addr(), house.tls(&LiveIdentity::empty())).await;
    let request = AttestRequest { node: node.to_owned(), join_token: token.to_owned(), csr };
    client.attest(request).await.map(tonic::Response::into_inner).map_err(|status| refusal(&status))
}

/// A node with an SVID.
pub(crate) struct Node {
    pub(crate) identity: LiveIdentity,
}

impl Node {
    /// Attests over first contact: all it knows of the server is the root that the token names.
    pub(crate) async fn join(house: &House, name: &str) -> Self {
        let token = token(house, json!({ "node": name })).await;
        let root = JoinToken::parse(&token).unwrap().root();
        let rule = PeerRule::Exactly(PathTemplates::default().server_id(house.server.trust_domain()));
        let mut client = connect(house.server.addr(), first_contact_client_config(root, rule).unwrap()).await;
        let (key, csr) = fresh_key();
        let request = AttestRequest { node: name.to_owned(), join_token: token, csr };
        let response = client.attest(request).await.unwrap().into_inner();
        let identity = LiveIdentity::new(&response.x509_svid, key.pkcs8()).unwrap();
        Self { identity }
    }

    pub(crate) async fn client(&self, house: &House) -> NodeServiceClient<Channel> {
        connect(house.server.addr(), house.tls(&self.identity)).await
    }

    /// Opens the stream with these slots and bindings; offers keys.
    pub(crate) async fn attach(&self, house: &House, workers: &[&str], held: Vec<Held>) -> Line {
        let mut line = self.open(house, workers, held).await;
        line.settle().await;
        line
    }

    /// Opens the stream and says no more than Hello.
    pub(crate) async fn open(&self, house: &House, workers: &[&str], held: Vec<Held>) -> Line {
        self.open_showing(house, workers, held, None).await
    }

    /// Why the server does not take its stream at all.
    pub(crate) async fn refused(&self, house: &House) -> Refused {
        let (_to, outgoing) = mpsc::channel(1);
        let refused = self.client(house).await.connect(ReceiverStream::new(outgoing)).await;
        refusal(&refused.expect_err("refused"))
    }

    /// The same, showing this mark.
    pub(crate) async fn open_showing(
        &self,
        house: &House,
        workers: &[&str],
        held: Vec<Held>,
        mark: Option<Mark>,
    ) -> Line {
        let line = self.open_silently(house).await;
        line.hello(workers, held, mark).await;
        line
    }

    /// Opens the stream and says nothing yet.
    pub(crate) async fn open_silently(&self, house: &House) -> Line {
        let (to, outgoing) = mpsc::channel(64);
        let from = self.client(house).await.connect(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        Line {
            to,
            from,
            keys: HashMap::new(),
            welcome: None,
            mark: None,
            beats: 0,
            briefs: HashMap::new(),
            guards: Vec::new(),
        }
    }
}

/// An open stream.
pub(crate) struct Line {
    pub(crate) welcome: Option<Welcome>,
    /// The last mark that the server gave.
    pub(crate) mark: Option<Mark>,
    to: mpsc::Sender<FromNode>,
    from: Streaming<ToNode>,
    keys: HashMap<Digest, KeyPair>,
    beats: u64,
    /// What it was told of permissions, by binding.
    pub(crate) briefs: HashMap<String, Vec<u8>>,
    /// What owners of resources say to all actors.
    pub(crate) guards: Vec<Vec<u8>>,
}

impl Line {
    /// Says who it is.
    pub(crate) async fn hello(&self, workers: &[&str], held: Vec<Held>, mark: Option<Mark>) {
        let hello = Hello {
            workers: workers.iter().map(|id| format!("finance/standard/{id}")).collect(),
            held,
            version: "test".into(),
            mark,
        };
        self.to
            .send(FromNode { message: Some(from_node::Message::Hello(hello)), ..FromNode::default() })
            .await
            .unwrap();
    }

    pub(crate) async fn say(&self, message: from_node::Message) {
        self.to.send(FromNode { message: Some(message), ..FromNode::default() }).await.unwrap();
    }

    async fn next(&mut self) -> Result<to_node::Message, Status> {
        let message = loop {
            match self.next_of_all().await? {
                to_node::Message::Brief(brief) => drop(self.briefs.insert(brief.binding, brief.brief)),
                to_node::Message::Guards(guards) => self.guards = guards.guards,
                message => break message,
            }
        };
        let mark = match &message {
            to_node::Message::Welcome(welcome) => welcome.mark.clone(),
            to_node::Message::HeartbeatAck(ack) => ack.mark.clone(),
            to_node::Message::Bind(bind) => bind.mark.clone(),
            _ => None,
        };
        self.mark = mark.or(self.mark.take());
        Ok(message)
    }

    async fn next_of_all(&mut self) -> Result<to_node::Message, Status> {
        let message = tokio::time::timeout(PATIENCE, self.from.message()).await.expect("nothing was said");
        Ok(message?.expect("the stream is over").message.expect("a known message"))
    }

    /// What the node knows of what the actor of a binding may do.
    pub(crate) fn brief(&self, bind: &Bind) -> Value {
        serde_json::from_slice(&self.briefs[&bind.binding]).unwrap()
    }

    /// The next message with what it says of the request that led to it.
    pub(crate) async fn hear_traced(&mut self) -> (String, to_node::Message) {
        let heard = tokio::time::timeout(PATIENCE, self.from.message()).await.expect("nothing was said");
        let heard = heard.expect("the stream is open").expect("a message");
        (heard.traceparent, heard.message.expect("of a known kind"))
    }

    pub(crate) async fn hear(&mut self) -> to_node::Message {
        self.next().await.unwrap_or_else(|status| panic!("the stream ended: {status}"))
    }

    /// Why the server ended the stream.
    pub(crate) async fn end(&mut self) -> Refused {
        match self.next().await {
            Ok(message) => panic!("the stream goes on with {}", shortened(&message)),
            Err(status) => refusal(&status),
        }
    }

    /// Hears the welcome and offers keys.
    pub(crate) async fn settle(&mut self) {
        self.welcome = Some(self.hear_welcome().await);
        self.offer(4).await;
        // The answer to a heartbeat comes after that to the offer.
        self.heartbeat().await;
    }

    /// Asks for a new SVID of the node itself.
    pub(crate) async fn renew_node(&mut self) -> LiveIdentity {
        let (key, csr) = fresh_key();
        self.say(from_node::Message::RenewNode(RenewNode { csr })).await;
        match self.hear_but_keys_wanted().await {
            to_node::Message::NodeSvid(svid) => LiveIdentity::new(&svid.x509_svid, key.pkcs8()).unwrap(),
            other => panic!("expected NodeSvid: {}", shortened(&other)),
        }
    }

    async fn hear_welcome(&mut self) -> Welcome {
        match self.hear().await {
            to_node::Message::Welcome(welcome) => welcome,
            other => panic!("expected Welcome: {}", shortened(&other)),
        }
    }

    pub(crate) async fn offer(&mut self, count: usize) {
        let made: Vec<_> = (0..count).map(|_| fresh_key()).collect();
        let csrs = made.iter().map(|(_, csr)| csr.clone()).collect();
        self.keys.extend(made.into_iter().map(|(key, _)| (key.public().digest(), key)));
        self.say(from_node::Message::KeyOffer(KeyOffer { csrs })).await;
    }

    /// Says that it is there, and waits until that is recorded: everything said before is then answered, and nothing
    /// else was.
    pub(crate) async fn heartbeat(&mut self) {
        self.beats += 1;
        self.say(from_node::Message::Heartbeat(Heartbeat { number: self.beats })).await;
        match self.hear_but_keys_wanted().await {
            to_node::Message::HeartbeatAck(ack) => assert_eq!(ack.number, self.beats),
            other => panic!("expected HeartbeatAck: {}", shortened(&other)),
        }
    }

    async fn hear_but_keys_wanted(&mut self) -> to_node::Message {
        loop {
            match self.hear().await {
                to_node::Message::KeysWanted(_) => {}
                message => return message,
            }
        }
    }

    pub(crate) async fn hear_bind(&mut self) -> Bind {
        match self.hear_but_keys_wanted().await {
            to_node::Message::Bind(bind) => bind,
            other => panic!("expected Bind: {}", shortened(&other)),
        }
    }

    pub(crate) async fn hear_refused(&mut self) -> Refused {
        match self.hear_but_keys_wanted().await {
            to_node::Message::Refused(refused) => refused,
            other => panic!("expected Refused: {}", shortened(&other)),
        }
    }

    /// That a renewal was refused, said where the node waits for it: without a certificate.
    pub(crate) async fn hear_not_renewed(&mut self) -> Refused {
        let (chain, refused) = match self.hear_but_keys_wanted().await {
            to_node::Message::X509Svid(svid) => (svid.x509_svid, svid.refused),
            to_node::Message::NodeSvid(svid) => (svid.x509_svid, svid.refused),
            other => panic!("expected an answer to a renewal: {}", shortened(&other)),
        };
        assert!(chain.is_empty());
        refused.unwrap()
    }

    pub(crate) async fn hear_else(&mut self) -> to_node::Message {
        self.hear_but_keys_wanted().await
    }

    /// Waits for a binding and says that it runs.
    pub(crate) async fn run(&mut self) -> Bind {
        let bind = self.hear_bind().await;
        self.say(from_node::Message::Running(Running { held: Some(held(&bind)) })).await;
        self.heartbeat().await;
        bind
    }

    /// The identity of a binding, with the key that was offered for it.
    pub(crate) fn identity(&self, house: &House, bind: &Bind) -> (VerifiedX509Svid, LiveIdentity) {
        let inspected = x509_svid::inspect(&bind.x509_svid[0]).unwrap();
        let svid = x509_svid::verify(&bind.x509_svid, house.bundle.x509(), inspected.not_before).unwrap();
        let key = self.keys.get(&svid.key()).expect("a key that this node offered");
        (svid, LiveIdentity::new(&bind.x509_svid, key.pkcs8()).unwrap())
    }
}

/// Certificates are long and tell nobody anything.
pub(crate) fn shortened(message: &to_node::Message) -> String {
    format!("{message:?}").chars().take(200).collect()
}

pub(crate) fn held(bind: &Bind) -> Held {
    Held { binding: bind.binding.clone(), epoch: bind.epoch }
}

/// The program of a binding ended by itself: its actor is suspended and stays so.
pub(crate) fn ended(held: Held, archive: Vec<u8>) -> from_node::Message {
    from_node::Message::Ended(Ended { held: Some(held), outcome: Some(ended::Outcome::ExitCode(0)), archive })
}
