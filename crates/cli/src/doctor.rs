//! `credence doctor`: is this installation healthy, what is wrong, and what to do.
//!
//! What can be known is gathered first (`local`, `remote`), then judged without looking anywhere (`judge`). It changes
//! nothing, and with the server down it says what can be said without it.

mod judge;
mod local;
mod remote;

use crate::args::DoctorArgs;
use crate::clock;
use crate::context;
use crate::failure::Failure;
use crate::output::style::{Style, Tone};
use crate::output::table::printable;
use crate::session::Session;
use judge::{Check, State, judge};
use local::Local;
use remote::Server;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Everything that was found out.
#[derive(Debug, Clone, Default)]
struct Facts {
    local: Local,
    /// What the server says, or why it says nothing; nothing if none is known.
    server: Option<Result<Server, String>>,
}

/// What is printed with `-o json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    healthy: bool,
    checks: &'a [Check],
}

pub(crate) async fn run(args: DoctorArgs, session: &Session) -> Result<ExitCode, Failure> {
    let known = context::read(&session.environment)?;
    let config = args.config.as_ref().map(|path| local::config(path));
    let configured = config.as_ref().and_then(|config| config.as_ref().ok()).map(|config| config.data_dir.clone());
    let of_context = |dir: &str| known.as_ref().map(|known| known.data_dir.join(dir));
    let places = local::Places {
        data_dir: args.data_dir.or(configured).or_else(|| of_context("server")),
        node_dir: args.node_data_dir.or_else(|| of_context("node")),
        node_socket: context::node_socket(None, &session.environment).ok(),
    };
    let server = remote::ask(session, places.data_dir.as_deref()).await;
    let local = local::look(&places, config.map(|config| config.map(|_| ())));
    let checks = judge(&Facts { local, server }, clock::now());
    // What could not be looked at is not healthy.
    let healthy = is_known(&checks) && checks.iter().all(|check| check.state != State::Fail);
    session.out.answer(&Report { healthy, checks: &checks }, || words(&checks, session.out.style))?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The first line answers the question; then the checks, those that fail marked; the last lines say what to do.
fn words(checks: &[Check], style: Style) -> String {
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let number = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let title = match (count(State::Fail), count(State::Warn)) {
        _ if !is_known(checks) => "No installation is known here, so nothing was looked at.".to_owned(),
        (0, 0) => "This installation is healthy.".to_owned(),
        (0, warnings) => format!("This installation is healthy, with {}.", number(warnings, "warning")),
        (failed, _) => {
            format!("This installation is not healthy: {} of {} fail.", failed, number(checks.len(), "check"))
        }
    };
    let mut lines = vec![title];
    for check in checks {
        let (mark, word, tone) = match check.state {
            State::Ok => (" ", "ok", Tone::Good),
            State::Warn => ("!", "warn", Tone::Busy),
            State::Fail => (">", "fails", Tone::Bad),
            State::Unknown => (" ", "-", Tone::Faint),
        };
        let word = style.paint(tone, &format!("{word:<5}"));
        lines.push(format!("{mark} {:<11}  {word}  {}", check.name, printable(&check.says)));
    }
    let todo = |check: &Check| Some(format!("What to do: {}.", printable(check.what_to_do.as_deref()?)));
    lines.extend(checks.iter().filter_map(todo));
    lines.join("\n")
}

/// Whether anything was looked at.
fn is_known(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.state != State::Unknown)
}

/// Where something was looked for.
fn shown(path: &std::path::Path) -> String {
    PathBuf::from(path).display().to_string()
}
