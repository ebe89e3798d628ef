//! Rows on a gateway: how long a question of Envoy's takes over the actor's socket, beside one that asks nothing.

use super::actor::{Told, channel, fetched, refused, tell};
use super::life::Dev;
use super::proxy::{Proxy, framed};
use crate::args::BenchPart;
use crate::failure::Failure;
use credence_bench::{Measured, Promise, median, quantile};
use credence_credential::pem::{self, Label};
use credence_model::refusal::Kind;
use credence_wire::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use credence_wire::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use credence_wire::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use hyper::body::Bytes;
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinError;

/// A class that a gateway asks about.
pub(super) const CLASS: &str = "apiVersion: credence.dev/v1alpha1
kind: Class
metadata: {namespace: default, name: bench-gateway}
spec:
  owner: bench@example.org
  permissions:
    allow: [tool bench/submit when amount <= 500 EUR]
    record: {allowedOneIn: 1000}
";
pub(super) const NAME: &str = "default/bench-gateway";
/// Questions each second, and for how long.
const CHECKS_PER_SECOND: u64 = 10_000;
const CHECKED_FOR_SECS: u64 = 3;
/// Connections that share them, as Envoy has one for each of its threads.
const CONNECTIONS: usize = 4;

pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>, Failure> {
    let dev = Dev::start(&dir.join("home")).await?;
    dev.apply("gateway", CLASS).await?;
    dev.done(&["class", "consent", NAME]).await?;
    let told = dev.ask_of(NAME, BenchPart::Checks).await?;
    dev.daemon.end().await;
    let late = match told.per_second {
        reached if reached > CHECKS_PER_SECOND as f64 * 0.95 => String::new(),
        reached => format!(" (only {reached:.0}/s were reached)"),
    };
    let of =
        |part: &str| format!("ext_authz check of a tool's call, {CHECKS_PER_SECOND}/s over the socket, {part}{late}");
    Ok(vec![
        Measured::new("check-p99", of("p99"), told.p99_ms * 1000.0, "µs", Some(Promise::AtMost(300.0))).beside(
            "the same call without a question",
            told.limit_p99_ms * 1000.0,
            None,
        ),
        Measured::new("check-p50", of("p50"), told.p50_ms * 1000.0, "µs", None),
    ])
}

/// The actor's part: it is the gateway, and who it asks about.
pub(super) async fn checks(socket: &str) -> Result<(), Failure> {
    let question = own_question(socket).await?;
    let mut client = AuthorizationClient::new(channel(socket).await?);
    let answer = client.check(question.clone()).await.map_err(|status| refused(&status))?.into_inner();
    if answer.status.as_ref().is_none_or(|status| status.code != 0) {
        return Err(Failure::new(Kind::Bug, format!("the call was denied: {answer:?}")));
    }
    let mut proxies = Vec::new();
    for _ in 0..CONNECTIONS {
        proxies.push(Proxy::connect(socket).await?);
    }
    let (mut limit, _) = steadily(&proxies, framed(&CheckRequest::default())).await?;
    let (mut took, per_second) = steadily(&proxies, framed(&question)).await?;
    tell(&Told {
        p50_ms: median(&mut took),
        p99_ms: quantile(&mut took, 0.99),
        limit_p99_ms: quantile(&mut limit, 0.99),
        per_second,
        count: took.len() as u64,
    })
}

/// What it asks about itself.
pub(super) async fn own_question(socket: &str) -> Result<CheckRequest, Failure> {
    let svid = fetched(socket).await?;
    Ok(question(&pem::write(Label::Certificate, &svid)))
}

/// Asks at a steady rate. Gives how long each took from when it was due, in milliseconds, and the rate that was reached.
async fn steadily(proxies: &[Proxy], question: Bytes) -> Result<(Vec<f64>, f64), Failure> {
    let (proxies, runtime) = (proxies.to_vec(), Handle::current());
    // The runtime's clock ticks in milliseconds; a thread of its own sleeps as exactly as the system lets it.
    let pacing = tokio::task::spawn_blocking(move || {
        let (count, begin) = (CHECKS_PER_SECOND * CHECKED_FOR_SECS, Instant::now());
        let ask = |(nth, proxy): (u64, &Proxy)| {
            let due = begin + Duration::from_micros(nth * 1_000_000 / CHECKS_PER_SECOND);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let answered = proxy.clone().ask(question.clone());
            runtime.spawn(async move { answered.await.map(|()| due.elapsed().as_secs_f64() * 1000.0) })
        };
        let asking: Vec<_> = (0..count).zip(proxies.iter().cycle()).map(ask).collect();
        (asking, begin)
    });
    let lost = |error: JoinError| Failure::new(Kind::Bug, format!("a question was lost: {error}"));
    let (asking, begin) = pacing.await.map_err(lost)?;
    let mut took = Vec::with_capacity(asking.len());
    for one in asking {
        took.push(one.await.map_err(lost)??);
    }
    let per_second = took.len() as f64 / begin.elapsed().as_secs_f64();
    Ok((took, per_second))
}

fn question(certificate: &str) -> CheckRequest {
    let encoded = certificate.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "submit", "arguments": { "amount": 300, "currency": "EUR" } } });
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: "/mcp".to_owned(),
        headers: pairs(&[("content-type", "application/json"), ("x-envoy-auth-partial-body", "false")]),
        raw_body: body.to_string().into_bytes(),
        ..HttpRequest::default()
    };
    let attributes = AttributeContext {
        source: Some(Peer { principal: String::new(), certificate: encoded.collect() }),
        request: Some(Request { http: Some(http) }),
        context_extensions: pairs(&[("mapping", "mcp"), ("server", "bench")]),
    };
    CheckRequest { attributes: Some(attributes) }
}

fn pairs(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
