//! Requests to web servers of others: over TLS with ordinary roots, or in plain text to this machine. One answer for one
//! request on one connection; a redirect is an answer like any other and is not followed.
//!
//! Whoever is asked here does not belong to the trust domain: nothing of it is shown to them, no identity and no header.

use credence_credential::tls::TlsError;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Longest address, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// How long one exchange may take, connecting included, in seconds.
pub const EXCHANGE_SECS_MAX: u64 = 5;
/// Largest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Where systems keep the roots that their administrator trusts.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// An address on the web: `https://`, or `http://` of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    is_tls: bool,
    host: String,
    port: u16,
}

/// What was answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body. It may hold tokens.
    pub body: Bytes,
}

/// Asks web servers.
#[derive(Clone)]
pub struct Outbound {
    tls: Arc<ClientConfig>,
}

impl Url {
    /// Reads an address, or says why it cannot be asked.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = text.chars().take(80).collect::<String>();
        let wrong = |why: &str| format!("`{}` {why}", shown.escape_debug());
        if text.len() > URL_BYTES_MAX || text.contains('#') {
            return Err(wrong("is too long, or has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| wrong("is no URL"))?;
        let authority = uri.authority().ok_or_else(|| wrong("is no URL; write https://HOST"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a user in it"));
        }
        let host = unbracketed(authority.host()).to_owned();
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(&host) => false,
            Some("http") => return Err(wrong("is not on this machine, and plain http:// leaves it for nobody")),
            _ => return Err(wrong("is neither https:// nor http://")),
        };
        if host.is_empty() || ServerName::try_from(host.as_str()).is_err() {
            return Err(wrong("has no usable host"));
        }
        let port = match (authority.as_str().rsplit_once(':').map(|(_, port)| port), authority.port_u16()) {
            (_, Some(0)) => return Err(wrong("has no usable port")),
            (_, Some(port)) => port,
            (Some(port), None) if !port.ends_with(']') => return Err(wrong("has no usable port")),
            (_, None) => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
        };
        Ok(Self { is_tls, host, port, uri })
    }

    /// Whether what is said there is encrypted, and its server known by a certificate.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        self.uri.query().is_some()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri)
    }
}

/// Certificates (PEM) in a file, those that can be used; an error says why there is none.
pub fn read_roots(path: &Path) -> Result<RootCertStore, String> {
    let unusable = |why: String| format!("{}: {why}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    // A system's file holds some that nobody can use.
    match roots.add_parsable_certificates(read) {
        (0, _) => Err(unusable("there is no usable certificate in it".to_owned())),
        _ => Ok(roots),
    }
}

/// What the administrator of this machine trusts; nothing if that is nowhere to be found.
pub fn system_roots() -> RootCertStore {
    let found = SYSTEM_ROOTS.iter().map(PathBuf::from).find(|path| path.exists());
    found.and_then(|path| read_roots(&path).ok()).unwrap_or_else(RootCertStore::empty)
}

impl Outbound {
    /// Believes servers that these roots vouch for.
    pub fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| TlsError::Config(error.to_string()))?;
        let mut tls = tls.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls) })
    }

    /// Reads.
    pub async fn get(&self, url: &Url) -> Result<Answer, String> {
        self.exchange(url, Method::GET, None).await
    }

    /// Sends a form (`application/x-www-form-urlencoded`), already written.
    pub async fn post_form(&self, url: &Url, form: String) -> Result<Answer, String> {
        self.exchange(url, Method::POST, Some(form)).await
    }

    async fn exchange(&self, url: &Url, method: Method, form: Option<String>) -> Result<Answer, String> {
        let whole = async {
            let request = request(url, method, form).map_err(|error| told(&error))?;
            let stream = connect(url, &self.tls).await.map_err(|error| told(&error))?;
            sent(stream, request).await.map_err(|error| told(&*error))
        };
        let answer = tokio::time::timeout(Duration::from_secs(EXCHANGE_SECS_MAX), whole).await;
        answer.unwrap_or_else(|_| Err(format!("no whole answer within {EXCHANGE_SECS_MAX} s")))
    }
}

fn request(url: &Url, method: Method, form: Option<String>) -> http::Result<Request<Full<Bytes>>> {
    let path = url.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = url.uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
    request = request.header(header::ACCEPT, "application/json");
    if form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    request.body(Full::new(Bytes::from(form.unwrap_or_default())))
}

/// A connection of either sort.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn connect(url: &Url, tls: &Arc<ClientConfig>) -> io::Result<Box<dyn Stream>> {
    let found = lookup_host((url.host.as_str(), url.port)).await?;
    // What a name server says `localhost` is does not matter.
    let meant: Vec<_> = found.filter(|addr| url.is_tls || addr.ip().is_loopback()).collect();
    let stream = TcpStream::connect(meant.as_slice()).await?;
    if !url.is_tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}

async fn sent(stream: Box<dyn Stream>, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Dropped with the answer, or with whoever waits for it no longer.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(Answer { status, body })
}

/// An error with what caused it.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// An IPv6 address stands in brackets in a URL, and nowhere else.
fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn an_address_is_encrypted_or_on_this_machine() {
        for (text, is_tls) in [
            ("https://login.example.org", true),
            ("https://login.example.org:8443/a/b", true),
            ("https://127.0.0.1/", true),
            ("http://127.0.0.1:3000", false),
            ("http://127.8.0.1:3000", false),
            ("http://[::1]:3000/oidc", false),
            ("http://localhost/oidc", false),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.is_tls()), Ok(is_tls), "{text}");
        }
        for text in [
            "http://login.example.org",
            "http://0.0.0.0:1",
            "http://localhost.example.org",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "login.example.org",
            "https://ada@login.example.org",
            "https://login.example.org/#a",
            "https://login.example.org:0",
            "https://login.example.org:99999",
            "https://",
            "https://login.example.org/ a",
            "",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
