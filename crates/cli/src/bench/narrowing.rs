//! A row on delegations: how soon one that its user made narrower is in force on the node that holds the actor.

use super::actor::{Told, channel, refused, tell};
use super::gateway::{CLASS, NAME, own_question};
use super::life::Dev;
use crate::args::BenchPart;
use crate::client::{Call, Client};
use crate::failure::Failure;
use credence_bench::{Measured, Promise, median, quantile};
use credence_model::refusal::Kind;
use credence_server::api::delegation::DelegationView;
use credence_wire::envoy::service::auth::v3::CheckRequest;
use credence_wire::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// The actor, and the user for whom it acts.
const ACTOR: &str = "bench-ada";
const ISSUER: &str = "https://login.example.org";
/// Narrowings that are measured, and how long one of them may take.
const NARROWINGS: usize = 300;
const AT_MOST: Duration = Duration::from_secs(10);

pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>, Failure> {
    let dev = Dev::start(&dir.join("home")).await?;
    dev.apply("gateway", CLASS).await?;
    dev.done(&["class", "consent", NAME]).await?;
    let user = format!("ada@{ISSUER}");
    dev.done(&["actor", "create", "--class", NAME, ACTOR, "--user", &user]).await?;
    let told = dev.ask_of_named(NAME, ACTOR, BenchPart::Narrowings).await?;
    dev.daemon.end().await;
    let of = |part: &str| format!("a narrower delegation in force on the node after the answer to the user, {part}");
    Ok(vec![
        Measured::new("narrowing", of("p99"), told.p99_ms, "ms", Some(Promise::AtMost(50.0))),
        Measured::new("narrowing-p50", of("p50"), told.p50_ms, "ms", None),
    ])
}

/// The actor's part: it asks about itself until the node says no.
pub(super) async fn narrowings(socket: &str, client: &Client) -> Result<(), Failure> {
    let asking = AuthorizationClient::new(channel(socket).await?);
    let question = own_question(socket).await?;
    let mut took = Vec::with_capacity(NARROWINGS);
    for _ in 0..NARROWINGS {
        let id = grant(client).await?;
        until(&asking, &question, true).await?;
        let narrower = json!({ "allow": ["tool bench/submit when amount <= 200 EUR"] });
        let narrow = Call::post(format!("/v1/delegations/{id}/narrow"), &narrower);
        let _: DelegationView = client.send(narrow).await?;
        let answered = Instant::now();
        until(&asking, &question, false).await?;
        took.push(answered.elapsed().as_secs_f64() * 1000.0);
        let _: serde_json::Value = client.send(Call::post(format!("/v1/delegations/{id}/revoke"), &json!({}))).await?;
    }
    let count = took.len() as u64;
    tell(&Told { p50_ms: median(&mut took), p99_ms: quantile(&mut took, 0.99), count, ..Told::default() })
}

async fn grant(client: &Client) -> Result<String, Failure> {
    let body = json!({
        "to": { "actor": { "namespace": "default", "actor": ACTOR } }, "ttl_secs": 60,
        "allow": ["tool bench/submit when amount <= 500 EUR"], "user": { "issuer": ISSUER, "subject": "ada" },
    });
    let granted: DelegationView = client.send(Call::post("/v1/delegations", &body)).await?;
    Ok(granted.delegation.id.to_string())
}

/// Asks again and again until this is the answer.
async fn until(asking: &AuthorizationClient<Channel>, question: &CheckRequest, allowed: bool) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        let answer = asking.clone().check(question.clone()).await.map_err(|status| refused(&status))?.into_inner();
        if answer.status.as_ref().is_some_and(|status| (status.code == 0) == allowed) {
            return Ok(());
        }
        if begin.elapsed() > AT_MOST {
            return Err(Failure::new(Kind::Bug, format!("it is still answered {answer:?}")));
        }
    }
}
