//! Resuming: from the request to an SVID that is read at the actor's socket, with a server as a process and the node with
//! its actors in this one, under a steady load; and the same with the start of a program.

use super::actor::first_svid;
use super::pool::Pool;
use super::prewarmed::Prewarmed;
use super::program;
use crate::child::Daemon;
use crate::client::{Call, Client};
use crate::daemon::node_config;
use crate::failure::Failure;
use credence_bench::{Measured, Promise, median, quantile};
use credence_model::actor::ActorState;
use credence_model::refusal::Kind;
use credence_node::config::ConfigFile;
use credence_node::start::Node;
use credence_server::api::actor::ActorView;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// Pools and classes: workers that run already, and programs that are started.
const PREWARMED: &str = "prewarmed";
const PROGRAM: &str = "program";
/// Workers of each.
const WORKERS: u32 = 256;
/// Resumes a second that are begun, whatever becomes of those before, and for how long.
const RESUMES_PER_SECOND: u64 = 1_000;
const RESUMED_FOR_SECS: u64 = 5;
/// Resumes with the start of a program, and how many at a time.
const STARTED: u64 = 200;
const STARTED_AT_ONCE: usize = 2;
const WAIT_MS: u64 = 10_000;
/// Pause before an actor that waits for a worker is looked at again.
const LOOK_AGAIN_MS: u64 = 2;

pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>, Failure> {
    let mut command = Command::new(program()?);
    command.args(["server", "--trust-domain", "bench.internal", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.join("server"));
    let server = Daemon::start("server", command, &dir.join("server.log")).await?;
    let client = Client::unix(server.said("admin_socket")?);
    let addr = server.said("addr")?;
    let driver = Prewarmed::default();
    furnish(&client, PREWARMED).await?;
    let config = config(dir, addr, PREWARMED)?;
    let (join_token, with) = (join_token(&client, PREWARMED).await?, driver.clone());
    let node = Node::start_with(config, Some(join_token), |_| Ok(with)).await;
    let node = node.map_err(|error| Failure::caused(Kind::Conflict, &error))?;
    node.connected().await;
    let pool = Pool::new(server.said("admin_socket")?);
    let (mut served, late) = steadily(&pool, &driver).await?;
    node.stop().await;

    furnish(&client, PROGRAM).await?;
    let node = Node::start(self::config(dir, addr, PROGRAM)?, Some(self::join_token(&client, PROGRAM).await?)).await;
    let node = node.map_err(|error| Failure::caused(Kind::Conflict, &error))?;
    node.connected().await;
    let mut started = with_programs(&pool).await?;
    node.stop().await;
    server.end().await;

    let of = |part: &str| format!("resume to SVID read at the socket, {RESUMES_PER_SECOND}/s, {part}{late}");
    let at_most = |value| Some(Promise::AtMost(value));
    Ok(vec![
        Measured::new("resume-p50", of("p50"), median(&mut served), "ms", at_most(3.0)),
        Measured::new("resume-p99", of("p99"), quantile(&mut served, 0.99), "ms", at_most(10.0)),
        Measured::new("start-p50", "resume to program started, p50", median(&mut started), "ms", None),
    ])
}

async fn furnish(client: &Client, name: &str) -> Result<(), Failure> {
    let metadata = json!({ "namespace": "default", "name": name, "labels": { "kind": name } });
    let pool = json!({ "metadata": metadata, "spec": {} });
    let _: Value = client.send(Call::put(format!("/v1/pools/default/{name}"), &pool)).await?;
    let runtime = json!({
        "command": ["/bin/sleep", "1000"], "stopGraceSecs": 1, "poolSelector": { "matchLabels": { "kind": name } },
    });
    let class = json!({ "metadata": metadata, "spec": { "owner": "bench@example.org", "runtime": runtime } });
    let _: Value = client.send(Call::put(format!("/v1/classes/default/{name}"), &class)).await?;
    Ok(())
}

async fn join_token(client: &Client, name: &str) -> Result<Zeroizing<String>, Failure> {
    let pools = json!([{ "pool": format!("default/{name}"), "workers_max": WORKERS }]);
    let body = json!({ "node": name, "pools": pools, "ttl_secs": 60 });
    let created: Value = client.send(Call::post("/v1/join-tokens", &body)).await?;
    let token = created.get("token").and_then(Value::as_str).unwrap_or_default();
    Ok(Zeroizing::new(token.to_owned()))
}

fn config(dir: &Path, addr: &str, name: &str) -> Result<credence_node::config::Config, Failure> {
    node_config(ConfigFile {
        observe: None,
        otlp: Default::default(),
        name: Some(name.to_owned()),
        connect: Some(addr.to_owned()),
        data_dir: Some(dir.join(name)),
        workers: vec![format!("default/{name}={WORKERS}")],
        server_path: None,
    })
}

async fn create(pool: &Pool, class: &str, nth: u64) -> Result<String, Failure> {
    let id = format!("{class}-{nth}");
    let body = json!({ "namespace": "default", "class": class, "id": id });
    let _: ActorView = pool.post("/v1/actors", &body).await?;
    Ok(format!("/v1/actors/default/{id}"))
}

async fn resume(pool: &Pool, path: &str, until_running_ms: u64) -> Result<ActorView, Failure> {
    let body = json!({ "wait_ms": WAIT_MS, "until_running_ms": until_running_ms });
    pool.post(&format!("{path}/resume"), &body).await
}

async fn terminate(pool: &Pool, path: &str) -> Result<(), Failure> {
    let _: ActorView = pool.post(&format!("{path}/terminate"), &json!({})).await?;
    Ok(())
}

/// Begins resumes at a steady rate. Gives how long each took in milliseconds, and in words whether the rate was kept.
async fn steadily(pool: &Pool, driver: &Prewarmed) -> Result<(Vec<f64>, String), Failure> {
    let count = RESUMES_PER_SECOND * RESUMED_FOR_SECS;
    let mut paths = Vec::new();
    for nth in 0..count {
        paths.push(create(pool, PREWARMED, nth).await?);
    }
    let mut lives = JoinSet::new();
    let begin = tokio::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for path in paths {
        ticks.tick().await;
        lives.spawn(life(pool.clone(), driver.clone(), path));
    }
    let mut took = Vec::new();
    while let Some(life) = lives.join_next().await {
        took.push(life.map_err(|error| Failure::new(Kind::Bug, format!("a life was lost: {error}")))??);
    }
    let per_second = count as f64 / begin.elapsed().as_secs_f64();
    let kept = per_second > RESUMES_PER_SECOND as f64 * 0.95;
    Ok((took, if kept { String::new() } else { format!(" (only {per_second:.0}/s were reached)") }))
}

async fn life(pool: Pool, driver: Prewarmed, path: String) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut view = resume(&pool, &path, 0).await?;
    if view.binding.is_none() {
        // No worker or no key was free at that moment: it waits for one.
        view = resume_later(&pool, &path).await?;
    }
    let unbound = || Failure::new(Kind::Unavailable, "an actor was not bound");
    let endpoint = driver.endpoint(view.binding.ok_or_else(unbound)?).await.ok_or_else(unbound)?;
    first_svid(&endpoint.to_string_lossy()).await?;
    let took = begin.elapsed().as_secs_f64() * 1000.0;
    terminate(&pool, &path).await?;
    Ok(took)
}

/// The same request once the actor waits is refused, so it is asked for until it runs.
async fn resume_later(pool: &Pool, path: &str) -> Result<ActorView, Failure> {
    loop {
        let view: ActorView = pool.get(path).await?;
        if view.binding.is_some() || view.waiting.is_none() {
            return Ok(view);
        }
        tokio::time::sleep(Duration::from_millis(LOOK_AGAIN_MS)).await;
    }
}

async fn with_programs(pool: &Pool) -> Result<Vec<f64>, Failure> {
    let room = Arc::new(Semaphore::new(STARTED_AT_ONCE));
    let mut lives = JoinSet::new();
    for nth in 0..STARTED {
        let (pool, room) = (pool.clone(), Arc::clone(&room));
        lives.spawn(async move {
            let _permit = room.acquire().await.map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
            let path = create(&pool, PROGRAM, nth).await?;
            let begin = Instant::now();
            let view = resume(&pool, &path, WAIT_MS).await?;
            if view.state != ActorState::Running {
                return Err(Failure::new(Kind::Bug, format!("an actor does not run: {view:?}")));
            }
            let took = begin.elapsed().as_secs_f64() * 1000.0;
            terminate(&pool, &path).await?;
            Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(life) = lives.join_next().await {
        took.push(life.map_err(|error| Failure::new(Kind::Bug, format!("a life was lost: {error}")))??);
    }
    Ok(took)
}
