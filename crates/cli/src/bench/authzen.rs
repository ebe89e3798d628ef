//! Rows on decisions over HTTP: how many evaluations one core of the server answers, beside a route of the same server that does
//! nothing.

use super::life::cpu_secs;
use super::pool::Pool;
use super::program;
use crate::child::Daemon;
use crate::failure::Failure;
use credence_bench::{Measured, Promise};
use credence_model::refusal::Kind;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::task::JoinSet;

/// Requests at a time, how long they are asked before anything is measured, and then.
const AT_ONCE: usize = 32;
const WARM_UP: Duration = Duration::from_millis(500);
const ASKED_FOR: Duration = Duration::from_secs(3);
/// A route that reads nothing and answers a few lines.
const NOTHING: &str = "/.well-known/authzen-configuration";

pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>, Failure> {
    let mut command = Command::new(program()?);
    command.args(["server", "--trust-domain", "bench.internal", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.join("server"));
    let server = Daemon::start("server", command, &dir.join("server.log")).await?;
    let pool = Pool::new(server.said("admin_socket")?);
    furnish(&pool).await?;
    let question = json!({
        "subject": { "type": "actor", "id": "default/bench-1" }, "action": { "name": "call" },
        "resource": { "type": "tool", "id": "bench/tool-7" }, "context": { "amount": 300, "currency": "EUR" },
    });
    let answer: Value = pool.post("/access/v1/evaluation", &question).await?;
    if answer.get("decision") != Some(&Value::Bool(true)) {
        return Err(Failure::new(Kind::Bug, format!("the question was denied: {answer}")));
    }
    let (empty, _) = rate(&server, &pool, None).await?;
    let (asked, per_second) = rate(&server, &pool, Some(&question)).await?;
    server.end().await;
    let what = format!("AuthZEN evaluation over HTTP, per core ({per_second:.0}/s here)");
    let row = Measured::new("evaluation", what, asked, "1/s", None);
    Ok(vec![row.beside("a route that does nothing", empty, Some(Promise::AtLeast(0.5)))])
}

/// A class of twenty permissions and an actor of it.
async fn furnish(pool: &Pool) -> Result<(), Failure> {
    let allow: Vec<_> = (0..20).map(|nth| format!("tool bench/tool-{nth} when amount <= 500 EUR")).collect();
    let permissions = json!({ "allow": allow, "record": { "allowedOneIn": 1_000_000 } });
    let spec = json!({ "owner": "bench@example.org", "permissions": permissions });
    let class = json!({ "metadata": { "namespace": "default", "name": "bench" }, "spec": spec });
    let _: Value = pool.put("/v1/classes/default/bench", &class).await?;
    let _: Value = pool.post("/v1/classes/default/bench/consent", &json!({})).await?;
    let actor = json!({ "namespace": "default", "class": "bench", "id": "bench-1" });
    let _: Value = pool.post("/v1/actors", &actor).await?;
    Ok(())
}

/// Requests for each second that the server computes, and for each second that passes.
async fn rate(server: &Daemon, pool: &Pool, question: Option<&Value>) -> Result<(f64, f64), Failure> {
    ask(pool, question, WARM_UP).await?;
    let (before, begin) = (cpu_secs(server.pid())?, Instant::now());
    let count = ask(pool, question, ASKED_FOR).await?;
    let busy = cpu_secs(server.pid())? - before;
    Ok((count as f64 / busy, count as f64 / begin.elapsed().as_secs_f64()))
}

async fn ask(pool: &Pool, question: Option<&Value>, for_so_long: Duration) -> Result<u64, Failure> {
    let (mut lanes, until) = (JoinSet::new(), Instant::now() + for_so_long);
    for _ in 0..AT_ONCE {
        let (pool, question) = (pool.clone(), question.cloned());
        lanes.spawn(async move {
            let mut count = 0;
            while Instant::now() < until {
                let _: Value = match &question {
                    Some(question) => pool.post("/access/v1/evaluation", question).await?,
                    None => pool.get(NOTHING).await?,
                };
                count += 1;
            }
            Ok::<u64, Failure>(count)
        });
    }
    let mut count = 0;
    while let Some(lane) = lanes.join_next().await {
        count += lane.map_err(|error| Failure::new(Kind::Bug, format!("a lane was lost: {error}")))??;
    }
    Ok(count)
}
