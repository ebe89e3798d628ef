//! A server in a directory of its own, and clients that speak to it as anybody would.

use credence_credential::bundle::{self, Bundle, BundleSet};
use credence_credential::tls::{LiveBundles, LiveIdentity, PeerRule, client_config, unnamed};
use credence_model::spiffe_id::TrustDomain;
use credence_model::template::PathTemplates;
use credence_server::config::{Config, ConfigFile, SettingsFile};
use credence_server::start::Server;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

pub(crate) const TRUST_DOMAIN: &str = "test.internal";

/// The longest lease there is: no test waits for one, and none ends by itself.
const LEASE_MS: u64 = 120_000;

/// A server that runs.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) bundle: Bundle,
    config: Config,
    dir: tempfile::TempDir,
}

/// What a directory needs to be served.
pub(crate) fn config(data_dir: &Path) -> Config {
    let file = ConfigFile {
        trust_domain: Some(TRUST_DOMAIN.into()),
        data_dir: Some(data_dir.to_owned()),
        listen: Some("127.0.0.1:0".into()),
        settings: SettingsFile { lease_ms: Some(LEASE_MS), ..SettingsFile::default() },
        ..ConfigFile::default()
    };
    file.resolve().expect("a configuration")
}

impl House {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(&dir.path().join("data"));
        Self::enter(dir, config).await
    }

    /// With a pool and a class whose actors it runs.
    pub(crate) async fn furnished() -> Self {
        Self::furnished_with(|_| {}).await
    }

    pub(crate) async fn furnished_with(configure: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = config(&dir.path().join("data"));
        configure(&mut config);
        let house = Self::enter(dir, config).await;
        house.admin().put("/v1/pools/finance/standard", &pool()).await.ok();
        house.admin().put("/v1/classes/finance/expense-agent", &class()).await.ok();
        house
    }

    /// Starts the server in a directory that may have been served before.
    pub(crate) async fn enter(dir: tempfile::TempDir, config: Config) -> Self {
        let server = Server::start(config.clone()).await.expect("a server");
        let admin = Client::Unix(server.admin_socket().to_owned());
        let document = admin.get("/v1/bundle").await.ok().to_string();
        let trust_domain = TrustDomain::parse(TRUST_DOMAIN).expect("a name");
        let bundle = bundle::read(&trust_domain, document.as_bytes()).expect("a bundle");
        Self { server, bundle, config, dir }
    }

    /// Stops the server and starts it again on the same directory.
    pub(crate) async fn restart(self) -> Self {
        let (config, dir) = self.leave().await;
        Self::enter(dir, config).await
    }

    /// Stops the server and keeps the directory.
    pub(crate) async fn leave(self) -> (Config, tempfile::TempDir) {
        self.server.stop().await;
        (self.config, self.dir)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) async fn close(self) {
        self.server.stop().await;
    }

    /// An administrator of this machine.
    pub(crate) fn admin(&self) -> Client {
        Client::Unix(self.server.admin_socket().to_owned())
    }

    /// Anybody, over TLS.
    pub(crate) fn anonymous(&self) -> Client {
        self.showing(&LiveIdentity::empty())
    }

    /// Over TLS, with this identity.
    pub(crate) fn showing(&self, identity: &LiveIdentity) -> Client {
        Client::Tls(self.server.addr(), Arc::new(self.tls(identity)))
    }

    pub(crate) fn tls(&self, identity: &LiveIdentity) -> ClientConfig {
        let rule = PeerRule::Exactly(PathTemplates::default().server_id(self.server.trust_domain()));
        let bundles = LiveBundles::new(BundleSet::from(self.bundle.clone()));
        client_config(identity, &bundles, rule).expect("a TLS configuration")
    }

    /// Every recorded entry.
    pub(crate) async fn log(&self) -> Vec<Value> {
        let mut entries = Vec::new();
        loop {
            let page = self.admin().get(&format!("/v1/log?from={}&limit=1000", entries.len() + 1)).await.ok();
            let items = page["items"].as_array().expect("items");
            if items.is_empty() {
                return entries;
            }
            entries.extend(items.iter().cloned());
        }
    }

    pub(crate) async fn last_index(&self) -> u64 {
        self.log().await.last().map_or(0, |entry| entry["index"].as_u64().expect("a number"))
    }

    /// Asks as an administrator for what is refused, and sees that nothing is recorded. Answers the refusal.
    pub(crate) async fn refuses(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.refuses_bytes(method, path, &[], &body).await
    }

    pub(crate) async fn refuses_bytes(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
        let before = self.last_index().await;
        let error = self.admin().send(method, path, headers, body).await.refused();
        assert_eq!(self.last_index().await, before, "{method} {path} was refused and changed something: {error}");
        error
    }
}

pub(crate) fn pool() -> Value {
    json!({ "metadata": { "namespace": "finance", "name": "standard" }, "spec": { "direct": true } })
}

pub(crate) fn class() -> Value {
    json!({
        "metadata": { "namespace": "finance", "name": "expense-agent", "labels": { "team": "accounting" } },
        "spec": { "owner": "finance@example.org", "runtime": { "command": ["expense-agent"] } },
    })
}

pub(crate) fn actor(id: &str) -> Value {
    json!({ "namespace": "finance", "class": "expense-agent", "id": id })
}

/// Lets time pass for everything that waits, at once. The clock on the wall stays.
pub(crate) async fn leap(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A way to the server: one connection for each request.
#[derive(Clone)]
pub(crate) enum Client {
    Unix(PathBuf),
    Tls(SocketAddr, Arc<ClientConfig>),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The refusal in a body that is not a success.
    #[track_caller]
    pub(crate) fn refused(self) -> Value {
        assert!(self.status >= 400, "it was granted: {}", self.body);
        let error = self.body["error"].clone();
        assert!(error["kind"].is_string() && error["message"].is_string(), "{}", self.body);
        error
    }
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[], body.to_string().as_bytes()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, &[], body.to_string().as_bytes()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], b"").await
    }

    /// Sends it as it is; a body counts as JSON unless a header says otherwise.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_send(method, path, headers, body).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(path).header("host", "credence");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).map_err(|error| error.to_string())?;
        match self {
            Self::Unix(path) => exchange(UnixStream::connect(path).await.map_err(|e| e.to_string())?, request).await,
            Self::Tls(addr, config) => {
                let stream = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(unnamed(), stream).await.map_err(|error| error.to_string())?;
                exchange(stream, request).await
            }
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Reply, String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    driver.abort();
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
    Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
}
