//! One `POST` of a JSON body over mTLS, on a connection of its own.
//!
//! Who may be at the other end is the TLS configuration's business: names of hosts mean nothing to SPIFFE, so the server
//! name given to TLS is only a placeholder.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Largest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long an exchange may take in all.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The URL is not `https://HOST:PORT/PATH`.
    #[error("`{0}` is not an https URL with host and port")]
    Url(String),
    /// Nobody is there.
    #[error("cannot connect to {authority}: {error}")]
    Connect {
        /// Host and port.
        authority: String,
        /// Why.
        error: std::io::Error,
    },
    /// The handshake failed: one side does not trust the other.
    #[error("no mutual trust with {authority}: {error}")]
    Handshake {
        /// Host and port.
        authority: String,
        /// Why.
        error: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// It took too long.
    #[error("no answer within {} s", EXCHANGE_TIMEOUT.as_secs())]
    Timeout,
}

/// Sends `body` to `url`, with a bearer token if there is one, and reads status and JSON of the answer.
///
/// # Errors
/// There is no answer; a refusal is an answer.
pub async fn post(
    config: Arc<ClientConfig>,
    url: &str,
    bearer: Option<&str>,
    body: &Value,
) -> Result<(StatusCode, Value), PostError> {
    tokio::time::timeout(EXCHANGE_TIMEOUT, exchange(config, url, bearer, body)).await.map_err(|_| PostError::Timeout)?
}

async fn exchange(
    config: Arc<ClientConfig>,
    url: &str,
    bearer: Option<&str>,
    body: &Value,
) -> Result<(StatusCode, Value), PostError> {
    let wrong = || PostError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(wrong)?.to_string();
    let connecting = TcpStream::connect(&authority).await;
    let stream = connecting.map_err(|error| PostError::Connect { authority: authority.clone(), error })?;
    let placeholder = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([127, 0, 0, 1])));
    let handshake = TlsConnector::from(config).connect(placeholder, stream).await;
    let stream = handshake.map_err(|error| PostError::Handshake { authority: authority.clone(), error })?;

    let mut request = Request::post(uri.path()).header("host", &authority).header("content-type", "application/json");
    if let Some(token) = bearer {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(body.to_string()))).map_err(|_| wrong())?;
    let broken = |error: hyper::Error| PostError::Broken(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // The connection works while the exchange below waits, and ends with it.
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|error| PostError::Broken(error.to_string()))?.to_bytes();
    connection.abort();
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}
