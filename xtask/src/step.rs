//! Running other programs and saying what was run and how long it took.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// What every command here answers.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command stopped, in a sentence for the developer.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The root of the checkout this program was built from.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Where build products go, and with them everything the tests install.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs us, in the root of the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    cargo_in(&[], arguments)
}

/// The same, started by the program `around` with its arguments, if there is one.
pub(crate) fn cargo_in(around: &[&str], arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut words = around.iter().map(OsString::from).chain([cargo]).chain(arguments.iter().map(OsString::from));
    let mut command = Command::new(words.next().unwrap_or_default());
    command.current_dir(root()).args(words);
    command
}

/// Runs `command` to its end with our own terminal, announces it and says how long it took.
pub(crate) fn run(what: &str, command: &mut Command) -> Outcome {
    announce(what);
    let started = Instant::now();
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    finish(what, started.elapsed());
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{what} failed ({status})"))) }
}

/// Runs `command` and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{command:?} failed ({}): {}", output.status, complaint.trim())));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::new(format!("{command:?} wrote something that is not UTF-8")))
}

pub(crate) fn announce(what: &str) {
    eprintln!("── {what}");
}

pub(crate) fn finish(what: &str, took: Duration) {
    eprintln!("── {what}: {}", seconds(took));
}

/// A duration for people: `4.2 s`, `3 min 07 s`.
pub(crate) fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole < 60 { format!("{:.1} s", took.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot start {}: {error}", command.get_program().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(seconds(Duration::from_millis(4_230)), "4.2 s");
        assert_eq!(seconds(Duration::from_secs(187)), "3 min 07 s");
    }
}
