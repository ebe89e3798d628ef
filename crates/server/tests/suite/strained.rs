//! A server under strain, whose limits are looked at: what is reached, and whether everybody else is served meanwhile.

use crate::house::{House, leap};
use crate::node_client::{Line, Node};
use crate::observe::{observe, page, value};
use credence_credential::tls::{LiveIdentity, unnamed};
use credence_server::config::Config;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Mutex, MutexGuard};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A limit counts for the whole process, so whoever wants to know that it was reached is alone.
static ALONE: Mutex<()> = Mutex::const_new(());
/// How often time passes until what is sure to happen has to have happened.
const LEAPS_MAX: usize = 20;

/// A server, and a node whose stream is open before the strain begins.
pub(crate) struct Strained {
    pub(crate) house: House,
    pub(crate) node: Node,
    pub(crate) line: Line,
    _alone: MutexGuard<'static, ()>,
}

impl Strained {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub(crate) async fn open_with(configure: impl FnOnce(&mut Config)) -> Self {
        let alone = ALONE.lock().await;
        let house = House::furnished_with(|config| {
            observe(config);
            configure(config);
        })
        .await;
        let node = Node::join(&house, "alpha").await;
        let line = node.attach(&house, &["w1"], Vec::new()).await;
        Self { house, node, line, _alone: alone }
    }

    /// A sample of the page of metrics.
    pub(crate) async fn sample(&self, sample: &str) -> f64 {
        let addr = self.house.server.observed_at().expect("an address");
        value(&page(addr, "/metrics").await, sample)
    }

    /// How often a limit was reached.
    pub(crate) async fn hits(&self, limit: &str) -> f64 {
        self.sample(&format!("credence_limit_hits_total{{limit=\"{limit}\"}}")).await
    }

    /// A node on its open stream, a node that comes now, and an administrator have their answers.
    pub(crate) async fn serves(&mut self) {
        self.line.heartbeat().await;
        assert_eq!(self.house.showing(&self.node.identity).get("/healthz").await.status, 200);
        assert_eq!(self.house.admin().get("/v1/nodes/alpha").await.ok()["state"], "connected");
    }

    /// Lets time pass until the server ends this connection. Answers what it said before.
    pub(crate) async fn cuts(&self, stream: &mut (impl AsyncRead + Unpin), after: Duration) -> String {
        let mut said = Vec::new();
        for _ in 0..LEAPS_MAX {
            tokio::select! {
                biased;
                // However it ends it, it is over.
                _ = stream.read_to_end(&mut said) => return String::from_utf8_lossy(&said).into_owned(),
                () = self.pass(after) => {}
            }
        }
        panic!("the connection goes on, and said {}", String::from_utf8_lossy(&said));
    }

    /// Lets everybody hear what was said, then so much time pass, and then everybody do what is due. All of it is one thread:
    /// whatever was ready before a request is done when it is answered.
    pub(crate) async fn pass(&self, time: Duration) {
        assert_eq!(self.house.admin().get("/healthz").await.status, 200);
        leap(time + Duration::from_secs(1)).await;
        assert_eq!(self.house.admin().get("/healthz").await.status, 200);
    }

    /// Lets time pass until a limit was reached so often: what comes before it may be done by other threads.
    pub(crate) async fn reaches(&mut self, limit: &str, hits: f64, after: Duration) {
        for _ in 0..10 * LEAPS_MAX {
            // Nobody takes the node for lost meanwhile.
            self.line.heartbeat().await;
            self.pass(after).await;
            if self.hits(limit).await >= hits {
                return;
            }
        }
        panic!("{limit} was not reached");
    }

    /// Asks until a sample is what it should be, for which everybody only has to go on.
    pub(crate) async fn settles(&self, sample: &str, is: impl Fn(f64) -> bool) -> f64 {
        let waiting = async {
            loop {
                let value = self.sample(sample).await;
                if is(value) {
                    return value;
                }
            }
        };
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| panic!("{sample} is not what it should be"))
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.house.server.addr()).await.expect("a connection");
        // What was written is there, and not held back until the other end acknowledged what was before.
        stream.set_nodelay(true).expect("no delay");
        stream
    }

    /// A connection of nobody in particular.
    pub(crate) async fn tls(&self) -> TlsStream<TcpStream> {
        self.tls_over(self.tcp().await).await.expect("a handshake")
    }

    pub(crate) async fn tls_over(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.tls_as(stream, &LiveIdentity::empty()).await
    }

    pub(crate) async fn tls_as(
        &self,
        stream: TcpStream,
        identity: &LiveIdentity,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(Arc::new(self.house.tls(identity))).connect(unnamed(), stream).await
    }

    pub(crate) async fn unix(&self) -> UnixStream {
        UnixStream::connect(self.house.server.admin_socket()).await.expect("a connection")
    }

    pub(crate) async fn close(self) {
        drop((self.line, self.node));
        self.house.close().await;
    }
}
