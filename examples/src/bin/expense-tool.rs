//! A tool that takes expense reports from agents of one class and of no other.
//!
//! It authorizes by class, out of the SPIFFE ID of the client's certificate, and then asks the control plane whether that
//! identity is still the live one: a copy of an actor's certificate is good until it expires, its epoch is not.
//! If nobody answers, nobody gets in.

use clap::Parser;
use credence_examples::post::post;
use credence_examples::{pem, private_file, tool};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use serde_json::{Value, json};
use spiffe::cert::spiffe_id_from_der;
use spiffe::{SpiffeId, TrustDomain, X509Source};
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

/// Largest report, in bytes.
const REPORT_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take for its handshake and its request.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The control plane's path in every trust domain.
const CONTROL_PLANE_PATH: &str = "/credence/server";

/// Takes expense reports until it is told to end.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File to write the tool's URL into, once it listens
    #[arg(long)]
    url_file: Option<PathBuf>,
    /// The control plane's online check: https://HOST:PORT/v1/verify
    #[arg(long)]
    verify_url: String,
    /// End when standard input closes
    #[arg(long)]
    until_stdin_closes: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("expense-tool: {error}");
            ExitCode::from(2)
        }
    }
}

/// What answers.
struct Tool {
    own: TrustDomain,
    verify_url: String,
    /// To the control plane and to nobody else.
    to_control_plane: Arc<ClientConfig>,
    requests: AtomicU64,
}

/// Whose request it is, and what the answer to it is.
struct Answer {
    peer: String,
    epoch: Option<u64>,
    result: Result<(), String>,
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let mut end = signal(SignalKind::terminate())?;
    let source = X509Source::new().await?;
    let own = source.svid()?.spiffe_id().trust_domain().clone();
    let within = own.clone();
    let control_plane = own.clone();
    let is_control_plane =
        move |peer: &SpiffeId| *peer.trust_domain() == control_plane && peer.path() == CONTROL_PLANE_PATH;
    // Which class may do what is decided request by request, so that a refusal can say why.
    let is_within = move |peer: &SpiffeId| *peer.trust_domain() == within;
    let acceptor =
        TlsAcceptor::from(Arc::new(spiffe_rustls::mtls_server(source.clone()).authorize(is_within).build()?));
    let to_control_plane = Arc::new(spiffe_rustls::mtls_client(source).authorize(is_control_plane).build()?);
    let tool = Tool { own, verify_url: arguments.verify_url, to_control_plane, requests: AtomicU64::new(0) };
    let tool = Arc::new(tool);
    let listener = TcpListener::bind(arguments.listen).await?;
    let url = format!("https://{}", listener.local_addr()?);
    println!("expense tool at {url}");
    if let Some(file) = &arguments.url_file {
        private_file::write(file, url.as_bytes())?;
    }
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let client = tokio::time::timeout(CLIENT_TIMEOUT, client(Arc::clone(&tool), acceptor.clone(), stream));
                tokio::spawn(async move {
                    if !matches!(client.await, Ok(Ok(()))) {
                        println!("a client went away or was not trusted");
                    }
                });
            }
            _ = end.recv() => return Ok(()),
            () = stdin_closes(), if arguments.until_stdin_closes => return Ok(()),
        }
    }
}

async fn stdin_closes() {
    let (mut stdin, mut ignored) = (tokio::io::stdin(), [0; 64]);
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}

async fn client(tool: Arc<Tool>, acceptor: TlsAcceptor, stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = acceptor.accept(stream).await?;
    let chain: Vec<Vec<u8>> =
        stream.get_ref().1.peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec()).collect();
    let chain = Arc::new(chain);
    let service = service_fn(move |request| {
        let (tool, chain) = (Arc::clone(&tool), Arc::clone(&chain));
        async move { Ok::<_, Infallible>(tool.answer(request, &chain).await) }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?;
    Ok(())
}

impl Tool {
    async fn answer(&self, request: Request<Incoming>, chain: &[Vec<u8>]) -> Response<Full<Bytes>> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let line = format!("{} {}", request.method(), request.uri().path());
        if request.method() != Method::POST || request.uri().path() != "/reports" {
            return answered(StatusCode::NOT_FOUND, &json!({ "error": "there is only POST /reports" }));
        }
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        if Limited::new(request.into_body(), REPORT_BYTES_MAX).collect().await.is_err() {
            return answered(
                StatusCode::PAYLOAD_TOO_LARGE,
                &json!({ "error": "the report is too large or broke off" }),
            );
        }
        let Answer { peer, epoch, result } = self.decide(chain, bearer.as_deref()).await;
        let epoch = epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        let verdict = result.as_ref().map_or_else(|why| format!("refused: {why}"), |()| "ok".to_owned());
        println!("line {number}  {line}  peer {peer}  epoch {epoch}  {verdict}");
        match result {
            Ok(()) => answered(StatusCode::OK, &json!({ "ok": true, "by": peer })),
            Err(why) => answered(StatusCode::FORBIDDEN, &json!({ "error": why })),
        }
    }

    /// By class first, because that needs nobody else; then by whether it is still the live one.
    async fn decide(&self, chain: &[Vec<u8>], bearer: Option<&str>) -> Answer {
        let peer = chain.first().and_then(|leaf| spiffe_id_from_der(leaf).ok());
        let Some(peer) = peer else {
            return Answer { peer: "-".to_owned(), epoch: None, result: Err("no SPIFFE ID was shown".to_owned()) };
        };
        let refused = |why: String| Answer { peer: peer.to_string(), epoch: None, result: Err(why) };
        if *peer.trust_domain() != self.own || !peer.path().starts_with(tool::AGENT_PATH) {
            return refused("only actors of class finance/expense-agent may file reports".to_owned());
        }
        let credential = match bearer {
            Some(token) => json!({ "jwt_svid": token, "audience": tool::AUDIENCE }),
            None => json!({ "x509_svid_pem": pem::certificates(chain.iter().map(Vec::as_slice)) }),
        };
        let verdict = match post(Arc::clone(&self.to_control_plane), &self.verify_url, None, &credential).await {
            Ok((StatusCode::OK, verdict)) => verdict,
            Ok((status, answer)) => return refused(format!("the control plane does not say: {status} {answer}")),
            Err(error) => return refused(format!("the control plane does not answer: {error}")),
        };
        let is_live = verdict.get("live").and_then(Value::as_bool) == Some(true);
        let is_peer = verdict.get("spiffe_id").and_then(Value::as_str) == Some(peer.to_string().as_str());
        let reason = verdict.get("reason").and_then(Value::as_str).unwrap_or("it is not live").to_owned();
        let result = match (is_live, is_peer) {
            (true, true) => Ok(()),
            (false, _) => Err(reason),
            (true, false) => Err("the token is somebody else's".to_owned()),
        };
        Answer { peer: peer.to_string(), epoch: verdict.get("epoch").and_then(Value::as_u64), result }
    }
}

fn answered(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
}
