//! Rows on a gateway: how long a question of Envoy's takes over the actor's socket, beside one that asks nothing.

use super::actor::{Told, channel, fetched, refused, tell};
use super::life::Dev;
use super::proxy::{Pace, steadily};
use crate::args::BenchPart;
use crate::failure::Failure;
use credence_bench::{Measured, Promise, median, quantile};
use credence_credential::pem::{self, Label};
use credence_model::refusal::Kind;
use credence_wire::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use credence_wire::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use credence_wire::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

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
/// Questions each second.
const CHECKS_PER_SECOND: u64 = 10_000;
/// For three seconds, over as many connections as Envoy has with four threads.
const PACE: Pace = Pace { per_second: CHECKS_PER_SECOND, count: 3 * CHECKS_PER_SECOND, connections: 4 };

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
    let socket = socket.to_owned();
    let ask = move || {
        Ok::<_, Failure>((steadily(&socket, &CheckRequest::default(), PACE)?, steadily(&socket, &question, PACE)?))
    };
    let asked = tokio::task::spawn_blocking(ask).await;
    let ((mut limit, _), (mut took, per_second)) =
        asked.map_err(|error| Failure::new(Kind::Bug, format!("the load generator broke: {error}")))??;
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
