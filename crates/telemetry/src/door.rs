//! `/metrics`, `/healthz` and `/readyz` on a listener of their own: plain HTTP, this machine only.
//!
//! Whoever can reach the loopback address can read them, so there is nothing in them that any user of the machine may not
//! know: numbers, and sentences without names. It is off unless it was asked for.

use crate::board::MEDIA_TYPE;
use crate::limit::Limit;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Most connections at once; further ones are closed.
pub const CONNECTIONS_MAX: usize = 32;
/// How long a connection may take for everything, in seconds.
pub const CONNECTION_SECS_MAX: u64 = 10;
/// Pause after an accept that failed, in milliseconds.
const ACCEPT_PAUSE_MS: u64 = 100;
/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

static CONNECTIONS: Limit = Limit::new("observe_connections", CONNECTIONS_MAX as u64, "connections", "closed at once");
static CONNECTION_SECS: Limit =
    Limit::new("observe_connection_time", CONNECTION_SECS_MAX, "seconds", "the connection is cut");

/// The limits of this listener.
pub static LIMITS: [&Limit; 2] = [&CONNECTIONS, &CONNECTION_SECS];

/// An answer that takes its time.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a process says of itself.
pub trait Observed: Send + Sync + 'static {
    /// The page of its metrics.
    fn metrics(&self) -> Answering<'_, Result<String, String>>;
    /// Whether the process works at all, or why it should be started again.
    fn healthy(&self) -> Answering<'_, Result<String, String>>;
    /// Whether it can do its work now, or what is missing.
    fn ready(&self) -> Answering<'_, Result<String, String>>;
}

/// Opens the listener.
///
/// # Errors
/// An address that is not this machine's alone, or cannot be listened on.
pub async fn open(addr: SocketAddr) -> io::Result<TcpListener> {
    if !addr.ip().is_loopback() {
        let message = "it must be a loopback address, e.g. 127.0.0.1:9464";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    TcpListener::bind(addr).await
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, observed: Arc<dyn Observed>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    continue;
                };
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                    CONNECTIONS.hit();
                    continue;
                };
                let observed = Arc::clone(&observed);
                connections.spawn(async move {
                    connection(stream, observed).await;
                    drop(permit);
                });
            }
        }
    }
}

async fn connection(stream: TcpStream, observed: Arc<dyn Observed>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let observed = Arc::clone(&observed);
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &*observed).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).max_buf_size(HEAD_BYTES_MAX).keep_alive(false);
    let longest = Duration::from_secs(CONNECTION_SECS_MAX);
    if tokio::time::timeout(longest, http.serve_connection(TokioIo::new(stream), service)).await.is_err() {
        CONNECTION_SECS.hit();
    }
}

async fn answer(method: &Method, path: &str, observed: &dyn Observed) -> Response<Full<Bytes>> {
    if method != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here");
    }
    match path {
        "/metrics" => match observed.metrics().await {
            Ok(page) => {
                let mut response = Response::new(Full::from(page));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
                response
            }
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        "/healthz" => verdict(observed.healthy().await),
        "/readyz" => verdict(observed.ready().await),
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz"),
    }
}

fn verdict(verdict: Result<String, String>) -> Response<Full<Bytes>> {
    match verdict {
        Ok(why) => text(StatusCode::OK, &why),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

fn text(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{words}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::{Answering, CONNECTIONS_MAX, LIMITS, Observed, open, serve};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    struct Sick;

    impl Observed for Sick {
        fn metrics(&self) -> Answering<'_, Result<String, String>> {
            Box::pin(async { Ok("credence_x 1\n# EOF\n".into()) })
        }
        fn healthy(&self) -> Answering<'_, Result<String, String>> {
            Box::pin(async { Ok("the cell answers".into()) })
        }
        fn ready(&self) -> Answering<'_, Result<String, String>> {
            Box::pin(async { Err("the disk is full".into()) })
        }
    }

    async fn get(addr: std::net::SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        text
    }

    #[tokio::test]
    async fn each_page_says_what_is_so_and_nothing_else_is_there() {
        let listener = open(([127, 0, 0, 1], 0).into()).await.expect("open");
        let addr = listener.local_addr().expect("an address");
        let serving = tokio::spawn(serve(listener, Arc::new(Sick)));
        for (line, status, end) in [
            ("GET /metrics", "200", "# EOF\n"),
            ("GET /healthz", "200", "the cell answers\n"),
            ("GET /readyz", "503", "the disk is full\n"),
            ("GET /v1/actors", "404", "/readyz\n"),
            ("POST /metrics", "405", "here\n"),
        ] {
            let text = get(addr, line).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")) && text.ends_with(end), "{line}: {text}");
        }
        serving.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_connects_and_says_nothing_is_cut() {
        let listener = open(([127, 0, 0, 1], 0).into()).await.expect("open");
        let addr = listener.local_addr().expect("an address");
        let serving = tokio::spawn(serve(listener, Arc::new(Sick)));
        let before = LIMITS[1].hits();
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        let mut bytes = Vec::new();
        // It ends because the listener ends it: time passes by itself while everybody waits.
        let _ = stream.read_to_end(&mut bytes).await;
        assert!(LIMITS[1].hits() > before);
        serving.abort();
    }

    #[tokio::test]
    async fn of_too_many_connections_the_newest_is_closed_at_once() {
        let listener = open(([127, 0, 0, 1], 0).into()).await.expect("open");
        let addr = listener.local_addr().expect("an address");
        let serving = tokio::spawn(serve(listener, Arc::new(Sick)));
        let before = LIMITS[0].hits();
        let mut connections = Vec::new();
        for _ in 0..=CONNECTIONS_MAX {
            connections.push(TcpStream::connect(addr).await.expect("a connection"));
        }
        let mut newest = connections.pop().expect("one");
        assert!(matches!(newest.read(&mut [0]).await, Ok(0) | Err(_)), "it is served");
        assert!(LIMITS[0].hits() > before);
        serving.abort();
    }

    #[tokio::test]
    async fn it_is_for_this_machine_only() {
        let error = open(([0, 0, 0, 0], 0).into()).await.expect_err("refused");
        assert!(error.to_string().contains("loopback"), "{error}");
    }
}
