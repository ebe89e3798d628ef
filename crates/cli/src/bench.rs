//! `credence bench`: what Credence costs on this machine, beside the physical limit of the same work in the same run.
//!
//! Every row is measured in a process of its own, so that no row finds the memory, the threads or the caches of another.
//! Rows that need servers, nodes and actors start them as processes, on loopback.

mod actor;
mod authzen;
mod baseline;
mod busy;
mod gateway;
mod life;
mod narrowing;
mod pool;
mod prewarmed;
mod proxy;
mod resume;

use crate::args::{BenchArgs, BenchRow};
use crate::failure::Failure;
use crate::output::style::Tone;
use crate::output::table::{Cell, Table};
use crate::session::Session;
use baseline::Baseline;
use credence_bench::{BenchError, Measured, Promise};
use credence_model::refusal::Kind;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use tokio::process::Command;

/// The result, as JSON.
#[derive(Serialize)]
struct Report {
    rows: Vec<Measured>,
    kept: bool,
}

/// Measures, and prints a table.
pub(crate) async fn run(args: BenchArgs, session: &Session) -> Result<ExitCode, Failure> {
    if let Some(part) = args.as_actor {
        return actor::run(part, session).await.map(|()| ExitCode::SUCCESS);
    }
    if args.alone {
        let rows = measure(&args).await?;
        session.out.stream_object(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let before = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let wanted = if args.rows.is_empty() { BenchRow::all() } else { args.rows.clone() };
    let mut rows = Vec::new();
    for row in wanted {
        rows.extend(in_a_process(row, &args, session).await?);
    }
    if let Some(path) = &args.write_baseline {
        Baseline::of(&rows).write(path)?;
    }
    let kept = rows.iter().all(Measured::is_kept);
    if session.out.is_object() {
        session.out.object(&Report { rows, kept })?;
    } else {
        session.out.line(table(&rows, before.as_ref()).render(session.out.style))?;
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn measure(args: &BenchArgs) -> Result<Vec<Measured>, Failure> {
    let dir = directory(args)?;
    let (path, actors) = (dir.path(), args.actors);
    match args.rows.first().copied().unwrap_or(BenchRow::Minting) {
        BenchRow::Registry => credence_bench::registry(path, actors).map_err(|error| failed(&error)),
        BenchRow::Minting => credence_bench::minting(path).map_err(|error| failed(&error)),
        BenchRow::Decision => credence_bench::decisions(path).map_err(|error| failed(&error)),
        BenchRow::Life => life::measure(path).await,
        BenchRow::Authzen => authzen::measure(path).await,
        BenchRow::Gateway => gateway::measure(path).await,
        BenchRow::Narrowing => narrowing::measure(path).await,
        BenchRow::Resume => resume::measure(path).await,
    }
}

async fn in_a_process(row: BenchRow, args: &BenchArgs, session: &Session) -> Result<Vec<Measured>, Failure> {
    if session.environment.terminal {
        eprintln!("measuring {} …", row.name());
    }
    let mut command = Command::new(program()?);
    command.args(["bench", "--alone", "-o", "json", "--row", row.name(), "--actors", &args.actors.to_string()]);
    if let Some(dir) = &args.dir {
        command.arg("--dir").arg(dir);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| Failure::new(Kind::Unavailable, format!("no process for a row: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new(Kind::Unavailable, format!("row {} could not be measured", row.name())));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::new(Kind::Bug, format!("row {} said something else: {error}", row.name())))
}

fn table(rows: &[Measured], before: Option<&Baseline>) -> Table {
    let mut headings = vec!["ROW", "MEASURED", "VALUE", "LIMIT", "RATIO", "PROMISED"];
    if before.is_some() {
        headings.push("BASELINE");
    }
    let mut table = Table::new(headings);
    for row in rows {
        let limit = row.limit.as_ref();
        let tone = if row.is_kept() { Tone::Good } else { Tone::Bad };
        let promised = [
            row.promised.map(|promise| words(promise, &row.unit)),
            limit.and_then(|limit| limit.promised).map(|promise| words(promise, "of the limit")),
        ];
        let mut cells = vec![
            Cell::from(&row.row),
            Cell::from(&row.what),
            Cell::from(figure(row.value, &row.unit)),
            Cell::from(
                limit.map(|limit| format!("{} {}", figure(limit.value, &row.unit), limit.what)).unwrap_or_default(),
            ),
            Cell::from(limit.map(|limit| format!("{:.2}", limit.ratio)).unwrap_or_default()),
            Cell::toned(promised.into_iter().flatten().collect::<Vec<_>>().join(", "), tone),
        ];
        if let Some(before) = before {
            cells.push(before.cell(row));
        }
        table.push(cells);
    }
    table
}

fn words(promise: Promise, unit: &str) -> String {
    match promise {
        Promise::AtLeast(value) => format!("≥ {}", figure(value, unit)),
        Promise::AtMost(value) => format!("≤ {}", figure(value, unit)),
    }
}

/// Three digits that count.
fn figure(value: f64, unit: &str) -> String {
    match value {
        value if value >= 100_000.0 => format!("{:.0} k{unit}", value / 1000.0).replace("k1/s", "k/s"),
        value if value >= 100.0 => format!("{value:.0} {unit}").replace("1/s", "/s"),
        value if value >= 10.0 => format!("{value:.1} {unit}").replace("1/s", "/s"),
        value => format!("{value:.2} {unit}").replace("1/s", "/s"),
    }
}

/// An empty directory on the disk that is to be measured.
fn directory(args: &BenchArgs) -> Result<tempfile::TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    let made = match &args.dir {
        Some(dir) => builder.prefix("credence-bench-").tempdir_in(dir),
        None => builder.prefix("credence-bench-").tempdir(),
    };
    made.map_err(|error| Failure::new(Kind::Unavailable, format!("no directory to measure in: {error}")))
}

/// This very program.
fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(Kind::Unavailable, format!("this program is not found: {error}")))
}

fn failed(error: &BenchError) -> Failure {
    Failure::caused(Kind::Unavailable, error)
}

fn io(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Unavailable, format!("{what}: {error}"))
}

/// A file that only we read.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut to| to.write_all(bytes)).map_err(|error| io("a file could not be written", &error))
}
