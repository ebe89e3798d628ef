//! What the demo happens in: a server, the nodes alpha (two workers) and beta (one), the tool, and twelve actors' names.

use super::ledger::Ledger;
use super::programs::Programs;
use super::stage::Stage;
use super::tool::Tool;
use super::unless;
use crate::child::Daemon;
use crate::client::{Call, Client};
use crate::failure::Failure;
use credence_model::id::{ActorId, ActorRef, ClassName, Namespace, NodeName, PoolRef, WorkerRef};
use credence_model::refusal::Kind;
use credence_server::api::actor::{ActorView, ResumeBody, SuspendBody};
use credence_server::api::join_token::{JoinTokenBody, JoinTokenCreated};
use credence_server::api::node::Grant;
use credence_server::api::text::Text;
use serde_json::Value;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The trust domain.
pub(super) const TRUST_DOMAIN: &str = "demo.internal";
/// The example that is applied, as it is in the source.
const EXAMPLE: &str = include_str!("../../../../examples/expenses.yaml");
/// How many actors.
pub(super) const ACTORS: usize = 12;
/// How long an actor may wait for a worker, and a request for its actor, in milliseconds.
const WAIT_MS: u64 = 30_000;
/// Life of a join token, in seconds.
const JOIN_TOKEN_TTL_SECS: u64 = 60;

pub(super) struct House {
    pub(super) dir: PathBuf,
    pub(super) client: Client,
    pub(super) ledger: Ledger,
    pub(super) server: Daemon,
    pub(super) alpha: Daemon,
    pub(super) beta: Daemon,
    pub(super) tool: Tool,
    /// The class, as the control plane shows it.
    pub(super) class: Value,
    /// Program of the demo and directory of the examples.
    pub(super) paths: (PathBuf, PathBuf),
}

impl House {
    pub(super) async fn build(stage: &Stage, dir: &Path, programs: &Programs) -> Result<Self, Failure> {
        stage.line(format!(
            "Credence demo · trust domain {TRUST_DOMAIN} · everything runs on this machine and is removed at the end"
        ))?;
        stage.progress("starting a server")?;
        let paths = (programs.credence.clone(), programs.examples.clone());
        let server = server(&paths.0, dir, "127.0.0.1:0").await?;
        let client = Client::unix(server.said("admin_socket")?);
        apply(&paths.0, dir, server.said("admin_socket")?).await?;
        let addr = server.said("addr")?.to_owned();
        stage.progress("two nodes attest with their join tokens")?;
        let (alpha, beta) = tokio::try_join!(
            first_node(&client, &paths, dir, &addr, ("alpha", 2)),
            first_node(&client, &paths, dir, &addr, ("beta", 1)),
        )?;
        stage.progress("starting the tool with `credence run`")?;
        let tool = Tool::start(programs, dir, &beta, &format!("https://{addr}/v1/verify")).await?;
        let class = client.send(Call::get("/v1/classes/finance/expense-agent")).await?;
        let ledger = Ledger::new(client.clone());
        Ok(Self { dir: dir.to_owned(), client, ledger, server, alpha, beta, tool, class, paths })
    }

    /// Starts node alpha again, with the identity that it has saved.
    pub(super) async fn restart_alpha(&mut self) -> Result<(), Failure> {
        self.alpha = node(&self.paths, &self.dir, self.server.said("addr")?, ("alpha", 2), None).await?;
        Ok(())
    }

    /// Starts the server again, on its data and at its address.
    pub(super) async fn restart_server(&mut self) -> Result<(), Failure> {
        let addr = self.server.said("addr")?.to_owned();
        self.server = server(&self.paths.0, &self.dir, &addr).await?;
        Ok(())
    }

    /// Resumes an actor and waits until it runs.
    pub(super) async fn resume(&self, actor: &ActorRef, worker: Option<&str>) -> Result<ActorView, Failure> {
        resume(&self.client, actor, worker).await
    }

    /// Suspends an actor and waits until its binding is over.
    pub(super) async fn suspend(&self, actor: &ActorRef) -> Result<ActorView, Failure> {
        suspend(&self.client, actor).await
    }

    /// An actor as it is now.
    pub(super) async fn actor(&self, actor: &ActorRef) -> Result<ActorView, Failure> {
        self.client.send(Call::get(path(actor))).await
    }

    /// One of the example programs, as a process beside everything.
    pub(super) fn example(&self, name: &str) -> Command {
        let mut command = Command::new(self.paths.1.join(name));
        command.env("EXPENSE_TOOL", self.dir.join("tool")).kill_on_drop(true);
        command
    }

    /// Ends everything in order: who uses something ends before it.
    pub(super) async fn leave(self) {
        self.tool.end().await;
        tokio::join!(self.alpha.end(), self.beta.end());
        self.server.end().await;
    }
}

pub(super) async fn resume(client: &Client, actor: &ActorRef, worker: Option<&str>) -> Result<ActorView, Failure> {
    let worker = worker.map(self::worker).transpose()?.map(Text);
    let body = ResumeBody { worker, wait_ms: Some(WAIT_MS), until_running_ms: Some(WAIT_MS) };
    client.send(Call::post(format!("{}/resume", path(actor)), &body).wait_ms(WAIT_MS)).await
}

pub(super) async fn suspend(client: &Client, actor: &ActorRef) -> Result<ActorView, Failure> {
    let body = SuspendBody { until_suspended_ms: Some(WAIT_MS) };
    client.send(Call::post(format!("{}/suspend", path(actor)), &body).wait_ms(WAIT_MS)).await
}

pub(super) fn path(actor: &ActorRef) -> String {
    format!("/v1/actors/{}/{}", actor.namespace, actor.actor)
}

/// `actor-01` to `actor-12`.
pub(super) fn actor(number: usize) -> Result<ActorRef, Failure> {
    Ok(ActorRef { namespace: Namespace::parse("finance")?, actor: ActorId::parse(&format!("actor-{number:02}"))? })
}

/// The class of the twelve.
pub(super) fn class() -> Result<ClassName, Failure> {
    Ok(ClassName::parse("expense-agent")?)
}

fn pool() -> Result<PoolRef, Failure> {
    Ok("finance/standard".parse()?)
}

/// A worker by its name.
fn worker(name: &str) -> Result<WorkerRef, Failure> {
    Ok(format!("{}/{name}", pool()?).parse()?)
}

async fn server(credence: &Path, dir: &Path, listen: &str) -> Result<Daemon, Failure> {
    let mut command = Command::new(credence);
    command.args(["server", "--trust-domain", TRUST_DOMAIN, "--listen", listen, "--data-dir"]).arg(dir.join("server"));
    Daemon::start("server", command, &dir.join("server.log")).await
}

/// Applies the example through the command line, as a person would.
async fn apply(credence: &Path, dir: &Path, admin_socket: &str) -> Result<(), Failure> {
    let file = dir.join("expenses.yaml");
    std::fs::write(&file, EXAMPLE)
        .map_err(|error| Failure::new(Kind::Unavailable, format!("{} cannot be written: {error}", file.display())))?;
    let mut command = Command::new(credence);
    command.args(["--server", &format!("unix:{admin_socket}"), "apply", "-f"]).arg(&file);
    let output = command.kill_on_drop(true).output().await;
    let output = output.map_err(|error| Failure::new(Kind::Unavailable, format!("apply did not start: {error}")))?;
    unless(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Starts a node with a join token of its own, which it gets in a file and uses up.
async fn first_node(
    client: &Client,
    paths: &(PathBuf, PathBuf),
    dir: &Path,
    addr: &str,
    (name, workers): (&str, u32),
) -> Result<Daemon, Failure> {
    let pools = vec![Grant { pool: Text(pool()?), workers_max: workers }];
    let body = JoinTokenBody { node: Some(NodeName::parse(name)?), pools, ttl_secs: JOIN_TOKEN_TTL_SECS };
    let created: JoinTokenCreated = client.send(Call::post("/v1/join-tokens", &body)).await?;
    let file = dir.join(format!("{name}.token"));
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    let written = written.and_then(|mut to| std::io::Write::write_all(&mut to, created.token.as_bytes()));
    written.map_err(|error| Failure::new(Kind::Unavailable, format!("the join token was not written: {error}")))?;
    node(paths, dir, addr, (name, workers), Some(&file)).await
}

async fn node(
    (credence, examples): &(PathBuf, PathBuf),
    dir: &Path,
    addr: &str,
    (name, workers): (&str, u32),
    join_token: Option<&Path>,
) -> Result<Daemon, Failure> {
    let mut command = Command::new(credence);
    command.args(["node", "--name", name, "--connect", addr, "--data-dir"]).arg(dir.join(name));
    command.args(["--worker", &format!("{}={workers}", pool()?)]);
    if let Some(file) = join_token {
        command.arg("--join-token-file").arg(file);
    }
    command.env("EXPENSE_TOOL", dir.join("tool")).env("PATH", search_path(examples));
    Daemon::start(&format!("node {name}"), command, &dir.join(format!("{name}.log"))).await
}

/// The examples first, then whatever else there is.
#[expect(clippy::disallowed_methods, reason = "the nodes of the demo inherit the search path of whoever started it")]
fn search_path(examples: &Path) -> std::ffi::OsString {
    let rest = std::env::var("PATH").unwrap_or_default();
    let dirs = std::iter::once(examples.to_owned()).chain(std::env::split_paths(&rest));
    std::env::join_paths(dirs).unwrap_or_else(|_| examples.as_os_str().to_owned())
}
