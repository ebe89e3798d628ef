//! A server and a node that it let in, whose messages are bytes.

use crate::fuzz::admin::{furnish, join_token, send};
use crate::fuzz::http::{PATIENCE, server};
use crate::fuzz::raw::Raw;
use crate::fuzz::{runtime, scratch};
use credence_attest::join_token::JoinToken;
use credence_credential::bundle::{self, BundleSet};
use credence_credential::csr;
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::tls::{
    LiveBundles, LiveIdentity, PeerRule, client_config, first_contact_client_config, unnamed,
};
use credence_model::template::PathTemplates;
use credence_server::start::Server;
use credence_wire::node::node_service_client::NodeServiceClient;
use credence_wire::node::{
    AttestRequest, Bind, FromNode, Heartbeat, Held, Hello, KeyOffer, ToNode, from_node, to_node,
};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::ClientConfig;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tower::service_fn;

const CONNECT: PathAndQuery = PathAndQuery::from_static("/credence.node.v1.NodeService/Connect");
const PUT_ARCHIVE: PathAndQuery = PathAndQuery::from_static("/credence.node.v1.NodeService/PutArchive");
const READ_ARCHIVE: PathAndQuery = PathAndQuery::from_static("/credence.node.v1.NodeService/ReadArchive");
/// Most messages that wait to be sent.
const WAITING_MAX: usize = 64;

/// Where it all happens.
pub(super) struct House {
    pub(super) runtime: Runtime,
    pub(super) socket: PathBuf,
    /// How often it was used.
    pub(super) runs: u32,
    channel: Channel,
    /// Requests of keys that the node has.
    csrs: Vec<Vec<u8>>,
    actors: u32,
    server: Server,
    _dir: tempfile::TempDir,
}

/// An open stream.
pub(super) struct Line {
    pub(super) to: mpsc::Sender<Vec<u8>>,
    pub(super) from: Streaming<Vec<u8>>,
}

impl House {
    pub(super) fn open() -> Self {
        let runtime = runtime();
        let dir = scratch();
        let server = runtime.block_on(server(&dir.path().join("data")));
        let socket = server.admin_socket().to_owned();
        let csrs = (0..2).map(|_| csr::request(&fresh()).expect("a request")).collect();
        let channel = runtime.block_on(async {
            furnish(&socket).await;
            join(&server, &socket).await
        });
        Self { runtime, socket, runs: 0, channel, csrs, actors: 0, server, _dir: dir }
    }

    pub(super) fn close(self) {
        drop(self.channel);
        self.runtime.block_on(self.server.stop());
    }

    /// Opens the stream and says nothing.
    pub(super) async fn connect(&self) -> Result<Line, Status> {
        let (to, outgoing) = mpsc::channel(WAITING_MAX);
        let mut grpc = self.grpc().await;
        let from = grpc.streaming(Request::new(ReceiverStream::new(outgoing)), CONNECT, Raw).await?.into_inner();
        Ok(Line { to, from })
    }

    pub(super) async fn put_archive(&self, chunks: Vec<Vec<u8>>) -> Result<(), Status> {
        let chunks = Request::new(tokio_stream::iter(chunks));
        self.grpc().await.client_streaming(chunks, PUT_ARCHIVE, Raw).await.map(drop)
    }

    pub(super) async fn read_archive(&self, request: Vec<u8>, bytes_max: usize) -> Result<(), Status> {
        let mut grpc = self.grpc().await;
        let mut chunks = grpc.server_streaming(Request::new(request), READ_ARCHIVE, Raw).await?.into_inner();
        let mut read = 0;
        while let Some(chunk) = chunks.message().await? {
            read += chunk.len();
            assert!(read <= bytes_max, "an archive without end");
        }
        Ok(())
    }

    async fn grpc(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.expect("the connection stands");
        grpc
    }
}

impl Line {
    /// Says who it is, and that it has keys ready; hears that both was recorded.
    pub(super) async fn settle(&mut self, house: &House) {
        let workers = ["finance/standard/w1", "finance/standard/w2"].map(str::to_owned).to_vec();
        self.say(from_node::Message::Hello(Hello { workers, ..Hello::default() })).await;
        self.say(from_node::Message::KeyOffer(KeyOffer { csrs: house.csrs.clone() })).await;
        self.say(from_node::Message::Heartbeat(Heartbeat { number: 1 })).await;
        self.hear(|message| matches!(message, to_node::Message::HeartbeatAck(_)).then_some(())).await;
    }

    /// Has a new actor bound to it.
    pub(super) async fn bind(&mut self, house: &mut House) -> Held {
        house.actors += 1;
        let id = format!("a{}", house.actors);
        let actor = json!({ "namespace": "finance", "class": "expense-agent", "id": id });
        send(&house.socket, "POST", "/v1/actors", &actor).await;
        send(&house.socket, "POST", &format!("/v1/actors/finance/{id}/resume"), &json!({})).await;
        self.hear(|message| match message {
            to_node::Message::Bind(Bind { binding, epoch, .. }) => Some(Held { binding, epoch }),
            _ => None,
        })
        .await
    }

    async fn say(&self, message: from_node::Message) {
        self.to
            .send(FromNode { message: Some(message), ..FromNode::default() }.encode_to_vec())
            .await
            .expect("the stream is open");
    }

    /// The first message that is wanted.
    async fn hear<T>(&mut self, wanted: impl Fn(to_node::Message) -> Option<T>) -> T {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.from.message()).await.expect("something is said");
            let heard = heard.expect("the stream is open").expect("the stream goes on");
            let message = ToNode::decode(heard.as_slice()).expect("a message").message.expect("of a kind");
            if let Some(found) = wanted(message) {
                return found;
            }
        }
    }
}

fn fresh() -> KeyPair {
    KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key")
}

/// Attests a node and connects as it.
async fn join(server: &Server, socket: &Path) -> Channel {
    let token = join_token(socket).await;
    let root = JoinToken::parse(&token).expect("a token").root();
    let rule = PeerRule::Exactly(PathTemplates::default().server_id(server.trust_domain()));
    let first = first_contact_client_config(root, rule.clone()).expect("a TLS configuration");
    let key = fresh();
    let csr = csr::request(&key).expect("a request");
    let request = AttestRequest { node: "alpha".to_owned(), join_token: token, csr };
    let mut client = NodeServiceClient::new(connect(server.addr(), first).await);
    let response = client.attest(request).await.expect("let in").into_inner();
    let identity = LiveIdentity::new(&response.x509_svid, key.pkcs8()).expect("its identity");
    let document = response.bundle.expect("a bundle").document;
    let bundle = bundle::read(server.trust_domain(), &document).expect("a bundle");
    let bundles = LiveBundles::new(BundleSet::from(bundle));
    connect(server.addr(), client_config(&identity, &bundles, rule).expect("a TLS configuration")).await
}

async fn connect(addr: SocketAddr, mut tls: ClientConfig) -> Channel {
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(tls));
    let dial = service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(unnamed(), stream).await?))
        }
    });
    let endpoint = Endpoint::from_static("http://control-plane");
    endpoint.connect_with_connector(dial).await.expect("a connection")
}
