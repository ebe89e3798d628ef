//! The programs that the demo starts: this one, and the two examples, which are built if they are not there yet.

use super::stage::Stage;
use crate::failure::Failure;
use credence_model::refusal::Kind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Where the source is that this program was built from.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The example programs.
const EXAMPLES: [&str; 2] = ["expense-agent", "expense-tool"];

/// Where they are.
pub(super) struct Programs {
    /// This program.
    pub(super) credence: PathBuf,
    /// The directory of the examples.
    pub(super) examples: PathBuf,
}

/// Finds the examples beside this program, or builds them from the source.
pub(super) async fn find(stage: &Stage) -> Result<Programs, Failure> {
    let credence = std::env::current_exe()
        .map_err(|error| Failure::new(Kind::Unavailable, format!("this program cannot find itself: {error}")))?;
    let examples = credence.parent().unwrap_or(Path::new(".")).to_owned();
    let there = |dir: &Path| EXAMPLES.iter().all(|name| dir.join(name).is_file());
    if !there(&examples) {
        build(stage, &examples).await?;
    }
    if there(&examples) {
        return Ok(Programs { credence, examples });
    }
    let message = format!("the example programs are not in {}", examples.display());
    Err(Failure::new(Kind::NotFound, message).hint("Run the demo from a source checkout: cargo run --release -- demo"))
}

/// Into the directory of this program: `TARGET/PROFILE`.
async fn build(stage: &Stage, into: &Path) -> Result<(), Failure> {
    let Some(target) = into.parent().filter(|_| Path::new(SOURCE).join("Cargo.toml").is_file()) else {
        return Ok(());
    };
    stage.line("building the example programs: cargo build -p credence-examples")?;
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet", "--locked", "-p", "credence-examples", "--target-dir"]).arg(target);
    if into.ends_with("release") {
        command.arg("--release");
    }
    let status = command.current_dir(SOURCE).stdin(Stdio::null()).kill_on_drop(true).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(Kind::Unavailable, format!("the example programs were not built: {status}"))),
        Err(error) => Err(Failure::new(Kind::Unavailable, format!("cargo cannot be started: {error}"))),
    }
}
