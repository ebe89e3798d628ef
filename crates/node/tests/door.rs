//! An open endpoint, and ways to knock at it.

use crate::identity::{served, wall};
use credence_attest::process_tree::TreeRoot;
use credence_model::refusal::Refusal;
use credence_node::endpoint::{Backing, Endpoint, MintJwt, Served};
use credence_wire::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use futures_util::FutureExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tonic::Request;
use tonic::transport::Channel;

/// An endpoint and what it serves.
pub(crate) struct Door {
    pub(crate) endpoint: Endpoint,
    pub(crate) served: watch::Sender<Served>,
    _dir: TempDir,
}

impl Door {
    /// One whose actor is this process, and that mints what it was asked for.
    pub(crate) async fn own() -> Self {
        Self::minting(mint(|audience| Ok(audience.join(" ")))).await
    }

    /// The same with another mint.
    pub(crate) async fn minting(mint: MintJwt) -> Self {
        Self::of(std::process::id(), mint).await
    }

    /// One whose actor is this process tree.
    pub(crate) async fn of(root: u32, mint: MintJwt) -> Self {
        Self::with(root, served(1), |served| backing(served, mint)).await
    }

    /// One that serves this first, and answers from that.
    pub(crate) async fn with(
        root: u32,
        first: Served,
        backing: impl FnOnce(watch::Receiver<Served>) -> Backing,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let served = watch::Sender::new(first);
        let root = TreeRoot::of(root).expect("it runs");
        let path = dir.path().join("s").join("id@x.sock");
        let endpoint = Endpoint::open(&path, root, backing(served.subscribe())).await.expect("it opens");
        Self { endpoint, served, _dir: dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.endpoint.path().to_owned()
    }

    pub(crate) async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.endpoint.path()).await.expect("somebody listens")
    }

    /// An ordinary client of the Workload API.
    pub(crate) async fn client(&self) -> SpiffeWorkloadApiClient<Channel> {
        SpiffeWorkloadApiClient::new(self.channel().await)
    }

    /// A connection for a client of gRPC.
    pub(crate) async fn channel(&self) -> Channel {
        let uri = format!("unix://{}", self.endpoint.path().display());
        let channel = tonic::transport::Endpoint::from_shared(uri).expect("an address").connect().await;
        channel.expect("a connection")
    }

    /// One request of the metadata service with its header, and the whole answer.
    pub(crate) async fn get(&self, path: &str) -> String {
        exchange(
            self.connect().await,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nConnection: close\r\n\r\n"),
        )
        .await
    }
}

/// What answers with these, and decides nothing.
pub(crate) fn backing(served: watch::Receiver<Served>, mint: MintJwt) -> Backing {
    Backing { served, mint, decide: Arc::new(|_, _| std::future::pending().boxed()), now: wall }
}

/// A mint that answers at once.
pub(crate) fn mint(answer: impl Fn(Vec<String>) -> Result<String, Refusal> + Send + Sync + 'static) -> MintJwt {
    Arc::new(move |audience, _| std::future::ready(answer(audience)).boxed())
}

/// Says something over a connection, and hears it out.
pub(crate) async fn exchange(mut stream: UnixStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("it is heard");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer in UTF-8");
    answer
}

/// Resolves when the other end closes without having said a word.
pub(crate) async fn closed(mut stream: UnixStream) {
    let heard = stream.read(&mut [0; 1]).await;
    // What was not read yet makes the end a reset.
    assert!(matches!(&heard, Ok(0)) || heard.is_err(), "{heard:?}");
}

/// A request of the Workload API with its security header.
pub(crate) fn request<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("workload.spiffe.io", "true".parse().expect("a value"));
    request
}

/// Another program of this host, alive until this is dropped.
pub(crate) struct Other(Child);

impl Other {
    pub(crate) fn start() -> Self {
        // It reads until its standard input is closed, which is when this is dropped.
        Self(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat starts"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Whatever it ends with.
        let _ = self.0.wait();
    }
}
