//! The binary, run in an empty environment with an empty home.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run printed, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// Runs `credence` with these arguments and this standard input.
pub(crate) fn run(arguments: &[&str], stdin: &str) -> Ran {
    let home = tempfile::tempdir().expect("a home");
    run_in(home.path(), arguments, stdin)
}

/// The same with this home and working directory.
pub(crate) fn run_in(home: &Path, arguments: &[&str], stdin: &str) -> Ran {
    run_with(home, arguments, stdin, |_| {})
}

/// The same with further changes to how it is started.
pub(crate) fn run_with(home: &Path, arguments: &[&str], stdin: &str, change: impl FnOnce(&mut Command)) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_credence"));
    command.args(arguments).env_clear().env("HOME", home).current_dir(home);
    change(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("credence starts");
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("credence ends");
    let text = |bytes| String::from_utf8(bytes).expect("credence prints UTF-8");
    Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code().unwrap_or(-1) }
}

/// Compares with `tests/golden/NAME`, or accepts it when told to.
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("CREDENCE_GOLDEN").is_some_and(|value| value == "accept") {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        std::fs::write(&path, text).expect("written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{name} differs; CREDENCE_GOLDEN=accept takes this over:\n{text}");
}
