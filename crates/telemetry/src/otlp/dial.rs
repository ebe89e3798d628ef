//! Where a collector is, and the way to it.

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// Longest time until a connection stands, in seconds.
const CONNECT_SECS_MAX: u64 = 5;
/// Where collectors listen for OTLP over gRPC if nothing else is said.
const PORT: u16 = 4317;

/// Where a collector is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// On this machine, in plain text.
    Loopback {
        /// `localhost` or an address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// On this machine, behind a socket.
    Socket(PathBuf),
    /// Anywhere, known by its certificate.
    Tls {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// Who vouches for it.
        authorities: Vec<CertificateDer<'static>>,
    },
}

impl Place {
    /// Reads it, or says why nobody may be told there.
    pub(super) fn parse(text: &str, authorities: Option<Vec<CertificateDer<'static>>>) -> Result<Self, String> {
        let examples = "write http://127.0.0.1:4317, https://HOST:4317 or unix:/PATH";
        let unreadable = || format!("`{}` is no endpoint; {examples}", text.escape_debug());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            return if path.is_absolute() { Ok(Self::Socket(path)) } else { Err(unreadable()) };
        }
        let uri: Uri = text.parse().map_err(|_| unreadable())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(unreadable)?;
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(format!("`{}` has a path, which OTLP over gRPC has not", text.escape_debug()));
        }
        let (host, port) = (authority.host().to_owned(), authority.port_u16().unwrap_or(PORT));
        match (uri.scheme_str(), authorities) {
            (Some("http"), None) if is_loopback(&host) => Ok(Self::Loopback { host, port }),
            (Some("http"), None) => Err(format!(
                "`{host}` is not a loopback address, and plain http:// leaves this machine for none; use https://"
            )),
            (Some("http"), Some(_)) => Err("certificates are for https:// only; leave the ca away".to_owned()),
            (Some("https"), None) => {
                Err("https:// needs the ca that the collector is known by, e.g. /etc/ssl/certs/ca-certificates.crt"
                    .to_owned())
            }
            (Some("https"), Some(authorities)) => match ServerName::try_from(unbracketed(&host)) {
                Ok(_) => Ok(Self::Tls { host, port, authorities }),
                Err(_) => Err(unreadable()),
            },
            _ => Err(unreadable()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || unbracketed(host).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// An IPv6 address stands in brackets in a URL, and nowhere else.
fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A channel that connects when it is used.
pub(super) fn channel(place: &Place) -> Channel {
    let (scheme, authority) = match place {
        Place::Loopback { host, port } => ("http", format!("{host}:{port}")),
        Place::Socket(_) => ("http", "localhost".to_owned()),
        Place::Tls { host, port, .. } => ("https", format!("{host}:{port}")),
    };
    let place = Arc::new(place.clone());
    let connect = service_fn(move |_: Uri| {
        let place = Arc::clone(&place);
        async move { connect(&place).await.map(TokioIo::new) }
    });
    // The connector above knows where to go; this one is only what requests say.
    let endpoint = Endpoint::from_static("http://collector").connect_timeout(Duration::from_secs(CONNECT_SECS_MAX));
    let endpoint = match Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build() {
        Ok(origin) => endpoint.origin(origin),
        Err(_) => endpoint,
    };
    endpoint.connect_with_connector_lazy(connect)
}

/// A connection of either sort.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn connect(place: &Place) -> io::Result<Box<dyn Stream>> {
    match place {
        Place::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Place::Loopback { host, port } => {
            let found = lookup_host((unbracketed(host), *port)).await?;
            // What a name server says `localhost` is does not matter.
            let here: Vec<_> = found.filter(|addr| addr.ip().is_loopback()).collect();
            let stream = TcpStream::connect(here.as_slice()).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Place::Tls { host, port, authorities } => {
            let host = unbracketed(host).to_owned();
            let mut roots = RootCertStore::empty();
            // A system's file holds some that nobody can use.
            roots.add_parsable_certificates(authorities.iter().cloned());
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let mut tls = tls.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
            tls.alpn_protocols = vec![b"h2".to_vec()];
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok(Box::new(TlsConnector::from(Arc::new(tls)).connect(name, stream).await?))
        }
    }
}
