//! A server or node as a process of its own. It ends with its starter, however that ends: its standard input is a pipe
//! that closes then.

use crate::failure::Failure;
use credence_model::refusal::Kind;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// How long a daemon may take to be up, and to end in order, in seconds.
const UP_SECS_MAX: u64 = 20;
const END_SECS_MAX: u64 = 20;

pub(crate) struct Daemon {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    started: Value,
}

impl Daemon {
    /// Starts it and waits for the one line in which it says that it is up.
    pub(crate) async fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, Failure> {
        let failed = |why: String| Failure::new(Kind::Unavailable, format!("the {name} did not start: {why}"));
        let log = File::options().create(true).append(true).open(log).map_err(|error| failed(error.to_string()))?;
        command.args(["-o", "json", "--until-stdin-closes"]).env("CREDENCE_LOG", "info").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed("it has no output".into()))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(Duration::from_secs(UP_SECS_MAX), lines.next_line()).await;
        let line = line.map_err(|_| failed(format!("it said nothing for {UP_SECS_MAX} s")))?;
        let line = line.ok().flatten().ok_or_else(|| failed("it ended".into()))?;
        let started = serde_json::from_str(&line).map_err(|_| failed(format!("it said {line:?}")))?;
        Ok(Self { name: name.to_owned(), child, stdin, started })
    }

    /// What it said about itself.
    pub(crate) fn said(&self, field: &str) -> Result<&str, Failure> {
        let said = self.started.get(field).and_then(Value::as_str);
        said.ok_or_else(|| Failure::new(Kind::Bug, format!("the {} did not say its {field}", self.name)))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        let killed = self.child.kill().await;
        killed.map_err(|error| Failure::new(Kind::Unavailable, format!("the {} cannot be killed: {error}", self.name)))
    }

    /// Asks it to end, and does not wait for ever.
    pub(crate) async fn end(mut self) {
        drop(self.stdin.take());
        let ended = tokio::time::timeout(Duration::from_secs(END_SECS_MAX), self.child.wait()).await;
        if ended.is_err() {
            // Dropping it kills it.
            eprintln!("note: the {} did not end in order", self.name);
        }
    }
}
