//! The expense tool: `credence run … -- expense-tool` as a process of its own, and the lines that it logs.

use super::{programs::Programs, unless};
use crate::child::Daemon;
use crate::failure::Failure;
use credence_model::id::Epoch;
use credence_model::refusal::Kind;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;

/// How long a line may be waited for, in seconds.
const LINE_SECS_MAX: u64 = 20;
/// How long the tool may take to end, in seconds.
const END_SECS_MAX: u64 = 10;

/// One line of the tool's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number.
    pub(super) number: u64,
    /// SPIFFE ID of the caller.
    pub(super) peer: String,
    /// The caller's epoch.
    pub(super) epoch: Epoch,
    /// Whether the report was taken.
    pub(super) accepted: bool,
}

impl Line {
    /// `line 17  POST /reports  peer spiffe://…  epoch 2  ok`
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let after = |word: &str| words.iter().position(|found| *found == word).and_then(|at| words.get(at + 1));
        Some(Self {
            number: after("line")?.parse().ok()?,
            peer: (*after("peer")?).to_owned(),
            epoch: Epoch(after("epoch")?.parse().ok()?),
            accepted: words.last() == Some(&"ok"),
        })
    }
}

pub(super) struct Tool {
    child: Child,
    lines: watch::Receiver<Vec<Line>>,
}

impl Tool {
    /// Starts it as an actor of node `on`, and waits until it listens.
    pub(super) async fn start(programs: &Programs, dir: &Path, on: &Daemon, verify_url: &str) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::new(Kind::Unavailable, format!("the tool did not start: {error}"));
        let log = File::create(dir.join("tool.log")).map_err(failed)?;
        let mut command = Command::new(&programs.credence);
        command.args(["run", "--node-socket", on.said("socket")?, "--class", "finance/expense-reports"]);
        command.args(["--actor", "expense-reports", "--"]).arg(programs.examples.join("expense-tool"));
        command.arg("--url-file").arg(dir.join("tool")).args(["--verify-url", verify_url, "--until-stdin-closes"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child.stdout.take().ok_or_else(|| failed(std::io::Error::other("it has no output")))?;
        let (sender, lines) = watch::channel(Vec::new());
        let (listening, mut listens) = watch::channel(false);
        tokio::spawn(read(stdout, sender, listening));
        let up = tokio::time::timeout(Duration::from_secs(LINE_SECS_MAX), listens.wait_for(|listens| *listens)).await;
        unless(matches!(up, Ok(Ok(_))), || "the tool does not listen".into())?;
        Ok(Self { child, lines })
    }

    /// A way to wait for lines.
    pub(super) fn lines(&self) -> Lines {
        Lines(self.lines.clone())
    }

    pub(super) async fn end(mut self) {
        if let Some(pid) =
            self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw)
        {
            // It is not reaped yet, so the pid is its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        // Dropping it kills it.
        let _ = tokio::time::timeout(Duration::from_secs(END_SECS_MAX), self.child.wait()).await;
    }
}

/// The lines of the tool's log.
#[derive(Clone)]
pub(super) struct Lines(watch::Receiver<Vec<Line>>);

impl Lines {
    /// The first line that is such a one, now or soon.
    pub(super) async fn find(&mut self, what: &str, is: impl Fn(&Line) -> bool) -> Result<Line, Failure> {
        let limit = Duration::from_secs(LINE_SECS_MAX);
        let found = tokio::time::timeout(limit, self.0.wait_for(|lines| lines.iter().any(&is))).await;
        let found = found.ok().and_then(Result::ok).and_then(|lines| lines.iter().find(|line| is(line)).cloned());
        found.ok_or_else(|| Failure::new(Kind::Bug, format!("the tool never logged {what}")))
    }

    /// The last line that is such a one.
    pub(super) fn last(&self, is: impl Fn(&Line) -> bool) -> Option<Line> {
        self.0.borrow().iter().rev().find(|line| is(line)).cloned()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }
}

async fn read(stdout: ChildStdout, lines: watch::Sender<Vec<Line>>, listening: watch::Sender<bool>) {
    let mut text = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = text.next_line().await {
        if let Some(line) = Line::parse(&line) {
            lines.send_modify(|lines| lines.push(line));
        } else if line.starts_with("expense tool at ") {
            listening.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn a_line_of_the_tool_says_who_and_in_which_epoch() {
        let line = Line::parse("line 17  POST /reports  peer spiffe://a/b  epoch 2  ok").expect("a line");
        assert_eq!((line.number, line.peer.as_str(), line.epoch.0, line.accepted), (17, "spiffe://a/b", 2, true));
        let refused = Line::parse("line 1  POST /reports  peer spiffe://a/b  epoch 2  refused: it is over");
        assert!(!refused.expect("a line").accepted);
        assert_eq!(Line::parse("expense tool at https://127.0.0.1:1"), None);
    }
}
