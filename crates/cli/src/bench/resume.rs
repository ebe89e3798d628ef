//! Resuming: from the request to a served identity, with a server and a node as processes, under a steady load.

use super::{program, write_private};
use crate::child::Daemon;
use crate::client::{Call, Client};
use crate::failure::Failure;
use credence_bench::{Measured, Promise, median, quantile};
use credence_model::refusal::Kind;
use credence_server::api::actor::{ActorView, ResumeBody, SuspendBody};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

const WORKERS: usize = 64;
/// Requests at a time.
const LANES: usize = 4;
const MEASURED_FOR: Duration = Duration::from_secs(5);
const WAIT_MS: u64 = 10_000;

pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>, Failure> {
    let mut command = Command::new(program()?);
    command
        .args(["server", "--trust-domain", "bench.internal", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.join("server"));
    let server = Daemon::start("server", command, &dir.join("server.log")).await?;
    let client = Client::unix(server.said("admin_socket")?);
    furnish(&client).await?;
    let token: Value = client
        .send(Call::post(
            "/v1/join-tokens",
            &json!({ "node": "alpha", "pools": [{ "pool": "default/bench", "workers_max": WORKERS }], "ttl_secs": 60 }),
        ))
        .await?;
    let file = dir.join("token");
    write_private(&file, token.get("token").and_then(Value::as_str).unwrap_or_default().as_bytes())?;
    let mut command = Command::new(program()?);
    command.args(["node", "--name", "alpha", "--connect", server.said("addr")?, "--data-dir"]).arg(dir.join("node"));
    command.args(["--worker", &format!("default/bench={WORKERS}"), "--join-token-file"]).arg(&file);
    let node = Daemon::start("node", command, &dir.join("node.log")).await?;
    let begin = Instant::now();
    let lanes: Vec<_> = (0..LANES).map(|lane| tokio::spawn(turns(client.clone(), lane, begin))).collect();
    let mut took = Vec::new();
    for lane in lanes {
        took.extend(lane.await.map_err(|error| Failure::new(Kind::Bug, format!("a lane was lost: {error}")))??);
    }
    let per_second = took.len() as f64 / begin.elapsed().as_secs_f64();
    let (p50, p99) = (median(&mut took), quantile(&mut took, 0.99));
    node.end().await;
    server.end().await;
    let of = |part: &str| {
        format!("resume to identity served and program started, {part} ({per_second:.0}/s, {LANES} at a time)")
    };
    let at_most = |value| Some(Promise::AtMost(value));
    Ok(vec![
        Measured::new("resume-p50", of("p50"), p50, "ms", at_most(3.0)),
        Measured::new("resume-p99", of("p99"), p99, "ms", at_most(10.0)),
    ])
}

async fn furnish(client: &Client) -> Result<(), Failure> {
    let pool = json!({ "metadata": { "namespace": "default", "name": "bench" }, "spec": {} });
    let _: Value = client.send(Call::put("/v1/pools/default/bench", &pool)).await?;
    let class = json!({ "metadata": { "namespace": "default", "name": "bench" }, "spec": { "owner": "bench@example.org", "runtime": { "command": ["/bin/sleep", "1000"], "stopGraceSecs": 1 } } });
    let _: Value = client.send(Call::put("/v1/classes/default/bench", &class)).await?;
    Ok(())
}

/// Takes one actor after another through resume and suspend; gives how long each resume took, in milliseconds.
async fn turns(client: Client, lane: usize, begin: Instant) -> Result<Vec<f64>, Failure> {
    let mut took = Vec::new();
    for nth in 0_usize.. {
        if begin.elapsed() >= MEASURED_FOR {
            break;
        }
        let id = format!("actor-{lane}-{nth}");
        let create = json!({ "namespace": "default", "class": "bench", "id": id });
        let _: ActorView = client.send(Call::post("/v1/actors", &create)).await?;
        let path = format!("/v1/actors/default/{id}");
        let resume = ResumeBody { worker: None, wait_ms: Some(WAIT_MS), until_running_ms: Some(WAIT_MS) };
        let resumed = Instant::now();
        let view: ActorView = client.send(Call::post(format!("{path}/resume"), &resume).wait_ms(WAIT_MS)).await?;
        if view.state != credence_model::actor::ActorState::Running {
            return Err(Failure::new(Kind::Bug, format!("an actor does not run: {view:?}")));
        }
        took.push(resumed.elapsed().as_secs_f64() * 1000.0);
        let suspend = SuspendBody { until_suspended_ms: Some(WAIT_MS) };
        let _: ActorView = client.send(Call::post(format!("{path}/suspend"), &suspend).wait_ms(WAIT_MS)).await?;
    }
    Ok(took)
}
