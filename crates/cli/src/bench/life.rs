//! Rows on `credence dev`: how soon there is a first SVID, what an actor waits for, what tokens and streams cost.

use super::actor::{STREAMS, Told};
use super::{failed, io, program, write_private};
use crate::args::BenchPart;
use crate::child::Daemon;
use crate::failure::Failure;
use credence_bench::{Measured, Promise, median, resident_bytes, signatures_per_second};
use credence_model::refusal::Kind;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const CLASS: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: { namespace: default, name: bench }\nspec: { owner: bench@example.org }\n";
/// Starts that are measured.
const STARTS: usize = 5;
/// Clock ticks per second of `/proc/PID/stat` on every Linux that we run on.
const TICKS: f64 = 100.0;

pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>, Failure> {
    let mut starts = Vec::new();
    for nth in 0..STARTS {
        let begin = Instant::now();
        let dev = Dev::start(&dir.join(format!("home-{nth}"))).await?;
        dev.ask(BenchPart::Once).await?;
        starts.push(begin.elapsed().as_secs_f64() * 1000.0);
        dev.daemon.end().await;
    }
    let dev = Dev::start(&dir.join("home")).await?;
    let first = dev.ask(BenchPart::Connections).await?;
    let jwt = jwt(&dev).await?;
    dev.daemon.end().await;
    let stream = stream_bytes(&dir.join("home-streams"), BenchPart::Streams).await?;
    let shared = stream_bytes(&dir.join("home-shared"), BenchPart::SharedStreams).await?;
    let at_most = |value| Some(Promise::AtMost(value));
    Ok(vec![
        Measured::new("dev", "`credence dev` from start to first SVID", median(&mut starts), "ms", at_most(300.0)),
        Measured::new("first-svid", "first FetchX509SVID on a new connection, p99", first.p99_ms, "ms", at_most(2.0)),
        Measured::new("first-svid-p50", "first FetchX509SVID on a new connection, p50", first.p50_ms, "ms", None),
        jwt,
        Measured::new(
            "stream",
            "memory of an idle Workload API stream and its connection",
            stream,
            "B",
            at_most(20_000.0),
        ),
        Measured::new("stream-shared", "the same, three streams on each connection", shared, "B", at_most(20_000.0)),
    ])
}

/// JWT-SVIDs for each second that server and node together compute, beside signatures.
async fn jwt(dev: &Dev) -> Result<Measured, Failure> {
    let raw = signatures_per_second().map_err(|error| failed(&error))?;
    let before = cpu_secs(dev.daemon.pid())?;
    let told = dev.ask(BenchPart::Tokens).await?;
    let busy = cpu_secs(dev.daemon.pid())? - before;
    let what =
        format!("JWT-SVID over the Workload API, a fresh audience each time, per core ({:.0}/s here)", told.per_second);
    Ok(Measured::new("workload-jwt", what, told.count as f64 / busy, "1/s", None).beside(
        "P-256 signature",
        raw,
        Some(Promise::AtLeast(0.4)),
    ))
}

/// In a process of its own, that no earlier work has left memory to.
async fn stream_bytes(home: &Path, part: BenchPart) -> Result<f64, Failure> {
    let dev = Dev::start(home).await?;
    let mut actor = dev.actor(part)?;
    let pid = dev.daemon.pid().to_string();
    actor.told().await?;
    let before = resident_bytes(&pid).map_err(|error| io("/proc", &error))?;
    actor.go_on().await?;
    actor.told().await?;
    let after = resident_bytes(&pid).map_err(|error| io("/proc", &error))?;
    actor.go_on().await?;
    actor.end().await?;
    dev.daemon.end().await;
    Ok(after.saturating_sub(before) as f64 / STREAMS as f64)
}

pub(super) struct Dev {
    home: std::path::PathBuf,
    pub(super) daemon: Daemon,
}

impl Dev {
    /// Starts it and applies the class.
    pub(super) async fn start(home: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(home).map_err(|error| io("no home for credence dev", &error))?;
        let mut command = Command::new(program()?);
        command.arg("dev").env("CREDENCE_HOME", home);
        let daemon = Daemon::start("credence dev", command, &home.join("log")).await?;
        let dev = Self { home: home.to_owned(), daemon };
        dev.apply("class", CLASS).await?;
        Ok(dev)
    }

    /// Applies this.
    pub(super) async fn apply(&self, name: &str, yaml: &str) -> Result<(), Failure> {
        let file = self.home.join(format!("{name}.yaml"));
        write_private(&file, yaml.as_bytes())?;
        self.done(&["apply", "-f", &file.to_string_lossy()]).await
    }

    /// Runs a verb that must succeed.
    pub(super) async fn done(&self, verb: &[&str]) -> Result<(), Failure> {
        let ran = Command::new(program()?).args(verb).env("CREDENCE_HOME", &self.home).output().await;
        let ran = ran.map_err(|error| io("a verb did not start", &error))?;
        if ran.status.success() {
            Ok(())
        } else {
            Err(Failure::new(Kind::Bug, String::from_utf8_lossy(&ran.stderr).into_owned()))
        }
    }

    /// Lets an actor do its part, and gives what it tells.
    async fn ask(&self, part: BenchPart) -> Result<Told, Failure> {
        self.ask_of("default/bench", part).await
    }

    /// The same of an actor of another class.
    pub(super) async fn ask_of(&self, class: &str, part: BenchPart) -> Result<Told, Failure> {
        Self::told(self.actor_of(class, None, part)?).await
    }

    /// The same of an actor that is there already.
    pub(super) async fn ask_of_named(&self, class: &str, name: &str, part: BenchPart) -> Result<Told, Failure> {
        Self::told(self.actor_of(class, Some(name), part)?).await
    }

    async fn told(mut actor: Actor) -> Result<Told, Failure> {
        let told = actor.told().await?;
        actor.end().await?;
        Ok(told)
    }

    fn actor(&self, part: BenchPart) -> Result<Actor, Failure> {
        self.actor_of("default/bench", None, part)
    }

    fn actor_of(&self, class: &str, name: Option<&str>, part: BenchPart) -> Result<Actor, Failure> {
        let program = program()?;
        let mut command = Command::new(&program);
        command.args(["run", "--class", class]);
        if let Some(name) = name {
            command.args(["--actor", name]);
        }
        command.arg("--").arg(&program);
        command.args(["bench", "--as-actor", part.name()]).env("CREDENCE_HOME", &self.home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| io("an actor did not start", &error))?;
        let lost = || Failure::new(Kind::Bug, "an actor has no pipes");
        let stdin = child.stdin.take().ok_or_else(lost)?;
        let lines = BufReader::new(child.stdout.take().ok_or_else(lost)?).lines();
        Ok(Actor { child, stdin, lines })
    }
}

struct Actor {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    async fn told(&mut self) -> Result<Told, Failure> {
        let line = self.lines.next_line().await.map_err(|error| io("an actor", &error))?.unwrap_or_default();
        serde_json::from_str(&line).map_err(|_| Failure::new(Kind::Bug, format!("an actor said {line:?}")))
    }

    async fn go_on(&mut self) -> Result<(), Failure> {
        self.stdin.write_all(b"\n").await.map_err(|error| io("an actor", &error))
    }

    async fn end(mut self) -> Result<(), Failure> {
        self.child.wait().await.map(drop).map_err(|error| io("an actor", &error))
    }
}

/// Seconds that all threads of a process have computed.
pub(super) fn cpu_secs(pid: u32) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| io("/proc", &error))?;
    // The name may hold spaces; what follows its bracket does not. User and system time are fields 14 and 15.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}
