//! The way to the control plane: TLS in which both ends are known by their SPIFFE IDs, and HTTP/2 in it.

use credence_credential::tls;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// Longest time until a connection stands, in seconds.
const CONNECT_SECS_MAX: u64 = 10;
/// How often a silent server is asked whether it is still there, and how long it may take, in seconds.
const PING_SECS: u64 = 10;

/// The control plane cannot be reached.
#[derive(Debug, Error)]
#[error("the control plane at {addr} cannot be reached: {reason}")]
pub(crate) struct DialError {
    addr: String,
    reason: String,
}

/// Where the control plane is.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    addr: String,
}

impl Dial {
    /// At HOST:PORT.
    pub(crate) fn new(addr: impl Into<String>) -> Self {
        Self { addr: addr.into() }
    }

    /// Connects. `tls` says who the server must be and what is shown to it.
    pub(crate) async fn connect(&self, mut tls: ClientConfig) -> Result<Channel, DialError> {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let (connector, addr) = (TlsConnector::from(Arc::new(tls)), self.addr.clone());
        let connect = service_fn(move |_| secure(addr.clone(), connector.clone()));
        // The name is not looked at; the connector above knows where to go and whom to expect.
        let endpoint = Endpoint::from_static("http://control-plane")
            .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
            .http2_keep_alive_interval(Duration::from_secs(PING_SECS))
            .keep_alive_timeout(Duration::from_secs(PING_SECS))
            .keep_alive_while_idle(true);
        let connected = endpoint.connect_with_connector(connect).await;
        connected.map_err(|error| DialError { addr: self.addr.clone(), reason: innermost(&error) })
    }
}

async fn secure(
    addr: String,
    connector: TlsConnector,
) -> io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(&addr).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(connector.connect(tls::unnamed(), stream).await?))
}

/// The sentence that says what happened; the errors around it only say where.
fn innermost(error: &tonic::transport::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match cause.downcast_ref::<rustls::Error>() {
        Some(error) => tls::explain(error),
        None => cause.to_string(),
    }
}
