//! The control API's client: one request, one answer, over the admin socket or TLS.
//!
//! A mutating request carries an idempotency key, the same one in every attempt, so an attempt that may or may not have
//! arrived can be repeated. Only "unavailable" is tried again, when the server said so, or when the connection broke.

mod connection;
mod trust;

use crate::context::ServerAddress;
use crate::failure::Failure;
use crate::token::Token;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub(crate) use trust::read_bundle;

use connection::Connection;
use credence_model::refusal::{Kind, Refusal};
use credence_server::api::list::{Listed, PAGE_ITEMS_MAX};
use credence_telemetry::trace::{self, TraceContext};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Most attempts of one request.
const ATTEMPTS_MAX: u32 = 4;
/// Half of the first pause after an answer that says none, in milliseconds; each further one is twice as long.
const BACK_OFF_MS: u64 = 25;
/// Longest pause that is waited for, in milliseconds; a server that says more is not asked again.
const PAUSE_MS_MAX: u64 = 5_000;
/// How long an answer may take beyond the time that the request itself asks to wait, in milliseconds.
const PATIENCE_MS: u64 = 30_000;

/// What to reach and how to be trusted there.
#[derive(Debug, Clone)]
pub(crate) struct ClientOptions {
    /// The server.
    pub(crate) address: ServerAddress,
    /// SPIFFE bundle to trust it by; only for TLS.
    pub(crate) bundle: Option<PathBuf>,
    /// X.509-SVID and its key to show it; only for TLS.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// Token that names the user who asks, whoever the connection is.
    pub(crate) token: Option<Token>,
    /// The request that every request is a part of, if there is one.
    pub(crate) trace: Option<TraceContext>,
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Client {
    connection: Connection,
    token: Option<Token>,
    trace: Option<TraceContext>,
}

/// A request without its connection.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    body: Vec<u8>,
    wait_ms: u64,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Refusal,
}

impl Call {
    /// Reads.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Vec::new(), wait_ms: 0 }
    }

    /// Deletes.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// Puts an object in its place.
    pub(crate) fn put<B: Serialize>(path: impl Into<String>, body: &B) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    /// Asks for something to be done.
    pub(crate) fn post<B: Serialize>(path: impl Into<String>, body: &B) -> Self {
        // A body of ours always has a JSON form; the server refuses an empty one by name should that ever change.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self { method: Method::POST, path: path.into(), body, wait_ms: 0 }
    }

    /// Says how long the server may take on purpose, in milliseconds.
    #[must_use]
    pub(crate) fn wait_ms(mut self, wait_ms: u64) -> Self {
        self.wait_ms = wait_ms;
        self
    }
}

impl Client {
    /// A client; nothing is connected yet.
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, Failure> {
        Ok(Self { connection: Connection::new(options)?, token: options.token.clone(), trace: options.trace })
    }

    /// A client of the admin socket at `path`.
    pub(crate) fn unix(path: impl Into<PathBuf>) -> Self {
        Self { connection: Connection::unix(path.into()), token: None, trace: None }
    }

    /// Sends a request, again if that can help, and reads its answer.
    pub(crate) async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<T, Failure> {
        let body = self.send_raw(call).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let failure =
                Failure::new(Kind::Bug, format!("the server's answer is not what this version expects: {error}"));
            failure.hint("Use the same version of credence on both sides")
        })
    }

    /// Reads all pages of a list. `path` may have a query.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page: Listed<T> = self.send(Call::get(format!("{path}{joint}limit={PAGE_ITEMS_MAX}{after}"))).await?;
            let empty = page.items.is_empty();
            items.extend(page.items);
            match page.next {
                Some(next) if !empty => after = format!("&after={}", escape(&next)),
                _ => return Ok(items),
            }
        }
    }

    /// The bytes of a successful answer.
    pub(crate) async fn send_raw(&self, call: Call) -> Result<Vec<u8>, Failure> {
        let key = (call.method != Method::GET).then(idempotency_key).transpose()?;
        let trace = self.trace.unwrap_or_else(trace);
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(&call, key.as_deref(), trace).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure.request(trace.id()),
            };
            let told_ms = failure.refusal.retry_after_ms.filter(|_| failure.refusal.kind == Kind::Unavailable);
            match told_ms {
                // Whoever is told to stay away for longer is told so, and not kept waiting.
                Some(told_ms) if attempt < ATTEMPTS_MAX && told_ms <= PAUSE_MS_MAX => {
                    tokio::time::sleep(Duration::from_millis(pause_ms(told_ms, attempt, random_byte()))).await;
                    attempt += 1;
                }
                _ => return Err(failure),
            }
        }
    }

    async fn attempt(&self, call: &Call, key: Option<&str>, trace: TraceContext) -> Result<Vec<u8>, Failure> {
        let mut request = http::Request::builder()
            .method(&call.method)
            .uri(&call.path)
            .header(http::header::HOST, "credence")
            .header(trace::HEADER, trace.to_string());
        if !call.body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let request = request
            .body(call.body.clone())
            .map_err(|error| Failure::used_wrongly(format!("`{}` cannot be asked for: {error}", call.path)))?;
        let patience = Duration::from_millis(call.wait_ms.saturating_add(PATIENCE_MS));
        let (status, body) = tokio::time::timeout(patience, self.connection.send(request)).await.map_err(|_| {
            Failure::new(Kind::Unavailable, format!("the server did not answer within {} s", patience.as_secs()))
        })??;
        if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
    }
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    if let Ok(ErrorBody { error }) = serde_json::from_slice(body) {
        return error.into();
    }
    let kind = if status.is_server_error() { Kind::Unavailable } else { Kind::Malformed };
    Failure::new(kind, format!("the server answered {status} without saying why")).hint("Is it a Credence server?")
}

/// Not before the server said, longer with each attempt, and by chance up to half as long again, so that those who were
/// refused together do not come back together.
fn pause_ms(told_ms: u64, attempt: u32, chance: u8) -> u64 {
    let around_ms = told_ms.max(BACK_OFF_MS << attempt.min(ATTEMPTS_MAX));
    around_ms + around_ms * u64::from(chance) / 512
}

fn random_byte() -> u8 {
    let mut random = [0];
    // Without randomness everybody comes back as early as allowed.
    let _ = aws_lc_rs::rand::fill(&mut random);
    random[0]
}

/// What this request is called in every log on its way.
fn trace() -> TraceContext {
    let mut random = [0; 24];
    // Without randomness it has a name that others have, too.
    let _ = aws_lc_rs::rand::fill(&mut random);
    TraceContext::begin(random)
}

/// 128 random bits: nobody else's retry can be answered with our answer.
fn idempotency_key() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::new(Kind::Unavailable, "the system has no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A query value with everything written as bytes that is not plainly a letter, a digit or one of `-._~`.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte.into());
        } else {
            out += &format!("%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests;
