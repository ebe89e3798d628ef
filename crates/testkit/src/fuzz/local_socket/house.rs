//! A server and a node that serves programs of this machine.

use super::law::{Wish, reason};
use crate::fuzz::admin::{furnish, join_token, send};
use crate::fuzz::http::{PATIENCE, server};
use crate::fuzz::raw::Raw;
use crate::fuzz::{runtime, scratch};
use credence_model::refusal::Kind;
use credence_node::config::ConfigFile;
use credence_node::run::Run;
use credence_node::start::Node;
use credence_server::start::Server;
use credence_wire::local::{Begin, RunRequest, run_request};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};
use tower::service_fn;
use zeroize::Zeroizing;

const RUN: PathAndQuery = PathAndQuery::from_static("/credence.local.v1.LocalService/Run");
/// Most actors that are listed after each run, and most runs; then everything begins anew.
const ACTORS_MAX: usize = 64;
const RUNS_MAX: u32 = 2000;
/// In so many runs comes of a connection what will: who goes away may be overtaken by who comes next.
const LATE_RUNS_MAX: u32 = 16;

/// Where it all happens.
pub(super) struct House {
    pub(super) runtime: Runtime,
    node: Node,
    server: Server,
    /// The epoch of each actor that is known.
    known: BTreeMap<String, u64>,
    /// What was asked for and did not come yet, and in which run.
    wishes: Vec<(u32, Wish)>,
    runs: u32,
    _dir: tempfile::TempDir,
}

impl House {
    /// A node that is connected, on which a program was an actor already.
    pub(super) fn open() -> Self {
        let (runtime, dir) = (runtime(), scratch());
        let (server, node) = runtime.block_on(async {
            let server = server(&dir.path().join("server")).await;
            let node = node(&server, dir.path()).await;
            let class = "finance/expense-agent".parse().expect("a class");
            Run::begin(node.socket(), &class, None, None).await.expect("it becomes an actor");
            (server, node)
        });
        let mut house = Self { runtime, node, server, known: BTreeMap::new(), wishes: Vec::new(), runs: 0, _dir: dir };
        let handle = house.runtime.handle().clone();
        handle.block_on(async {
            house.next().await;
            house.known = house.actors().await.iter().map(name_and_epoch).collect();
        });
        house
    }

    pub(super) fn close(self) {
        self.runtime.block_on(async {
            self.node.stop().await;
            self.server.stop().await;
        });
    }

    /// Whether it is used up by then.
    pub(super) fn is_worn(&mut self) -> bool {
        self.runs += 1;
        self.runs > RUNS_MAX || self.known.len() > ACTORS_MAX
    }

    pub(super) fn socket(&self) -> &Path {
        self.node.socket()
    }

    /// Begins a call: what is said in it goes where the first half leads.
    pub(super) async fn run(
        &self,
    ) -> (mpsc::Sender<Vec<u8>>, impl Future<Output = Result<Streaming<Vec<u8>>, Status>>) {
        let (to, outgoing) = mpsc::channel(1);
        let path: PathBuf = self.socket().to_owned();
        let connect = service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://node").connect_with_connector(connect).await;
        let mut grpc = Grpc::new(channel.expect("a connection"));
        grpc.ready().await.expect("the connection stands");
        let called = async move {
            let answer = grpc.streaming(Request::new(ReceiverStream::new(outgoing)), RUN, Raw).await;
            answer.map(tonic::Response::into_inner)
        };
        (to, called)
    }

    /// Every actor that was bound since the last look was asked for on a connection that made no other one.
    pub(super) async fn look(&mut self, wish: Wish) {
        self.wishes.push((self.runs, wish));
        for actor in self.actors().await {
            let (name, epoch) = name_and_epoch(&actor);
            if self.known.insert(name, epoch) != Some(epoch) {
                let granted = self.wishes.iter().position(|(_, wish)| wish.leads_to(&actor));
                self.wishes.remove(granted.unwrap_or_else(|| panic!("nobody asked for {actor}")));
            }
        }
        let runs = self.runs;
        self.wishes.retain(|(run, _)| run + LATE_RUNS_MAX > runs);
    }

    /// Who asks for a class that there is not is told so, by the server, as soon as the node has done with the one before.
    pub(super) async fn next(&self) {
        let until = Instant::now() + PATIENCE;
        let begin = Begin { class: "finance/none".to_owned(), ..Begin::default() };
        let begin = RunRequest { message: Some(run_request::Message::Begin(begin)) }.encode_to_vec();
        loop {
            let (to, called) = self.run().await;
            to.send(begin.clone()).await.expect("there is room");
            let answer = async {
                match called.await {
                    Ok(mut events) => events.message().await.map(drop),
                    Err(status) => Err(status),
                }
            };
            let refused = timeout_at(until, answer).await.expect("an answer").expect_err("there is no such class");
            match reason(&refused) {
                Some(Kind::NotFound) => return,
                // The one before is an actor still.
                Some(Kind::Denied) => tokio::task::yield_now().await,
                // The machine stood so long that the server thought the node away, or the node the server.
                Some(Kind::Unavailable) => timeout_at(until, self.node.connected()).await.expect("it is welcomed"),
                other => panic!("the next one is refused with {other:?}: {refused}"),
            }
            assert!(Instant::now() < until, "the next one is not answered: {refused}");
        }
    }

    async fn actors(&self) -> Vec<Value> {
        let path = format!("/v1/actors?limit={}", 2 * ACTORS_MAX);
        let mut listed = send(self.server.admin_socket(), "GET", &path, &json!({})).await;
        serde_json::from_value(listed["items"].take()).expect("actors")
    }
}

fn name_and_epoch(actor: &Value) -> (String, u64) {
    (format!("{}/{}", actor["namespace"], actor["id"]), actor["epoch"].as_u64().expect("an epoch"))
}

async fn node(server: &Server, dir: &Path) -> Node {
    let socket = server.admin_socket();
    furnish(socket).await;
    let token = Zeroizing::new(join_token(socket).await);
    let file = ConfigFile {
        name: Some("alpha".to_owned()),
        connect: Some(server.addr().to_string()),
        data_dir: Some(dir.join("node")),
        ..ConfigFile::default()
    };
    // It has no workers of its own, so no program is started.
    let supervisor = ("/bin/false".into(), Vec::new());
    let config = file.resolve(supervisor, BTreeMap::new(), dir.to_owned()).expect("a configuration");
    let node = Node::start(config, Some(token)).await.expect("a node");
    tokio::time::timeout(PATIENCE, node.connected()).await.expect("it is welcomed");
    node
}
