//! The programs of the tests: `credence`, built if it is not there or older than its source; a workload of this crate; and
//! Python with the published clients.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The crate that has the program.
const PACKAGE: &str = "credence";

/// What a run printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command, stdin: &str) -> Ran {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("a child can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("programs print UTF-8");
    Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code().unwrap_or(-1) }
}

/// The program under test.
pub(crate) fn credence() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // TARGET/PROFILE/deps/suite-HASH is this program.
        let own = std::env::current_exe().expect("a program knows itself");
        let profile_dir = own.ancestors().nth(2).expect("a test program lies in a target directory").to_owned();
        let program = profile_dir.join(PACKAGE);
        if !is_current(&program) {
            build(&profile_dir);
        }
        program
    })
}

/// Whether nothing that cargo says it was built from is newer.
fn is_current(program: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let sources = std::fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let sources = sources.split_once(": ").map(|(_, sources)| sources).unwrap_or_default();
    let Some(built) = changed(program) else { return false };
    let older = |source: &str| changed(Path::new(source)).is_some_and(|changed: SystemTime| changed <= built);
    !sources.is_empty() && sources.split_whitespace().all(older)
}

fn build(profile_dir: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", PACKAGE, "--target-dir"]).arg(profile_dir.parent().expect("a target"));
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
    assert!(status.success(), "credence was not built");
}

/// A workload that uses the published Rust client.
pub(crate) fn workload() -> &'static str {
    env!("CARGO_BIN_EXE_workload")
}

/// Python with the published Python clients, as `cargo xtask test` installs it.
pub(crate) fn python() -> String {
    let python = std::env::var_os("CREDENCE_TEST_PYTHON").map(|path| path.to_string_lossy().into_owned());
    python.expect("CREDENCE_TEST_PYTHON names no Python with the clients; run the tests with `cargo xtask test`")
}

/// One of the scripts beside these tests.
pub(crate) fn python_script(name: &str) -> String {
    format!("{}/tests/python/{name}", env!("CARGO_MANIFEST_DIR"))
}
