//! Rows on decisions over HTTP: how many evaluations one core of the server answers, beside a route of the same server that reads
//! as much and does nothing.

use super::busy::{self, Busy};
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

/// Requests at a time.
const AT_ONCE: usize = 32;
/// How often each is asked in turn, how long before anything is measured, and then.
const TURNS: usize = 6;
const WARM_UP: Duration = Duration::from_millis(100);
const TURN: Duration = Duration::from_millis(500);
/// Where decisions are asked for.
const EVALUATION: &str = "/access/v1/evaluation";
/// A route that answers a few lines, whatever its body holds.
const NOTHING: &str = "/.well-known/authzen-configuration";

pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>, Failure> {
    let mut command = Command::new(program()?);
    command.args(["server", "--trust-domain", "bench.internal", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.join("server"));
    let server = Daemon::start("server", command, &dir.join("server.log")).await?;
    let socket = server.said("admin_socket")?;
    let pool = Pool::new(socket);
    furnish(&pool).await?;
    let question = json!({
        "subject": { "type": "actor", "id": "default/bench-1" }, "action": { "name": "call" },
        "resource": { "type": "tool", "id": "bench/tool-7" }, "context": { "amount": 300, "currency": "EUR" },
    });
    let answer: Value = pool.post(EVALUATION, &question).await?;
    if answer.get("decision") != Some(&Value::Bool(true)) {
        return Err(Failure::new(Kind::Bug, format!("the question was denied: {answer}")));
    }
    let question = question.to_string();
    // An object without members in as many bytes: what it takes to bring a question in is no part of answering it.
    let nothing = format!("{{{:width$}}}", "", width = question.len() - 2);
    let connect = |request| Busy::connect(Path::new(socket), AT_ONCE, request);
    let mut nothing = connect(busy::request("GET", NOTHING, &nothing))?;
    let mut question = connect(busy::request("POST", EVALUATION, &question))?;
    let pid = server.pid();
    let rates = tokio::task::spawn_blocking(move || rates(pid, &mut nothing, &mut question)).await;
    let [empty, asked, per_second] =
        rates.map_err(|error| Failure::new(Kind::Bug, format!("the load was lost: {error}")))??;
    server.end().await;
    let what = format!("AuthZEN evaluation over HTTP, per core ({per_second:.0}/s here)");
    let row = Measured::new("evaluation", what, asked, "1/s", None);
    Ok(vec![row.beside("the same bytes to a route that does nothing", empty, Some(Promise::AtLeast(0.5)))])
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

/// Requests for each second that the server computes: of those that are answered with nothing, and of questions; and how many
/// questions that is for each second that passes. They take turns, because a machine is not as fast at all times.
fn rates(server: u32, nothing: &mut Busy, question: &mut Busy) -> Result<[f64; 3], Failure> {
    let (mut empty, mut asked) = (Taken::default(), Taken::default());
    for _ in 0..TURNS {
        empty.ask(server, nothing)?;
        asked.ask(server, question)?;
    }
    Ok([empty.count / empty.busy_secs, asked.count / asked.busy_secs, asked.count / asked.secs])
}

/// What was answered, and what that took.
#[derive(Default)]
struct Taken {
    count: f64,
    busy_secs: f64,
    secs: f64,
}

impl Taken {
    fn ask(&mut self, server: u32, busy: &mut Busy) -> Result<(), Failure> {
        busy.ask(WARM_UP)?;
        let (before, begin) = (cpu_secs(server)?, Instant::now());
        self.count += busy.ask(TURN)? as f64;
        self.busy_secs += cpu_secs(server)? - before;
        self.secs += begin.elapsed().as_secs_f64();
        Ok(())
    }
}
