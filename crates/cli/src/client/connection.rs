//! One HTTP/1.1 exchange on one fresh connection.
//!
//! Nothing is pooled: the command line sends a handful of requests, and a connection that is not kept cannot be stale.

use crate::client::{ClientOptions, trust};
use crate::context::ServerAddress;
use crate::failure::Failure;
use credence_credential::tls::unnamed;
use credence_model::refusal::{Kind, Refusal};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long connecting and the handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// When to try again after a connection broke in the middle, in milliseconds.
const BROKEN_RETRY_MS: u64 = 200;

/// How to reach the server.
#[derive(Clone)]
pub(super) enum Connection {
    Unix(PathBuf),
    Tls { authority: String, config: Arc<ClientConfig> },
}

impl Connection {
    pub(super) fn new(options: &ClientOptions) -> Result<Self, Failure> {
        match &options.address {
            ServerAddress::Unix(path) => Ok(Self::unix(path.clone())),
            ServerAddress::Tls(authority) => {
                Ok(Self::Tls { authority: authority.clone(), config: Arc::new(trust::config(options)?) })
            }
        }
    }

    pub(super) fn unix(path: PathBuf) -> Self {
        Self::Unix(path)
    }

    pub(super) async fn send(&self, request: Request<Vec<u8>>) -> Result<(StatusCode, Vec<u8>), Failure> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        match self {
            Self::Unix(path) => {
                let stream = limited(UnixStream::connect(path)).await.map_err(|why| self.unreachable(&why))?;
                exchange(stream, request).await
            }
            Self::Tls { authority, config } => {
                let stream = limited(TcpStream::connect(authority)).await.map_err(|why| self.unreachable(&why))?;
                let handshake = TlsConnector::from(Arc::clone(config)).connect(unnamed(), stream);
                let stream = limited(handshake).await.map_err(|why| self.unreachable(&why))?;
                exchange(stream, request).await
            }
        }
    }

    fn unreachable(&self, why: &str) -> Failure {
        let (place, hint) = match self {
            Self::Unix(path) => {
                (path.display().to_string(), "Is it running? `credence dev` starts one on this machine")
            }
            Self::Tls { authority, .. } => {
                (authority.clone(), "Is it running, and is --bundle its trust domain's bundle?")
            }
        };
        let message = format!("the server at {place} cannot be reached: {why}");
        Failure::new(Kind::Unavailable, message).hint(hint).unsent()
    }
}

async fn limited<T>(connecting: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| broken_because(&error.to_string()))?.to_bytes();
        Ok((status, body.to_vec()))
    };
    let answer = answer.await;
    driver.abort();
    answer
}

fn broken(error: hyper::Error) -> Failure {
    broken_because(&error.to_string())
}

fn broken_because(why: &str) -> Failure {
    let refusal = Refusal::new(Kind::Unavailable, format!("the connection to the server broke: {why}"));
    refusal.retry_after_ms(BROKEN_RETRY_MS).into()
}
