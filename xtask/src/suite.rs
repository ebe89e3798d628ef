//! `cargo xtask test` and `golden`: the whole test suite, counted.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    needs::{self, Installed},
    step::{self, Failure, Outcome},
};

/// Installs what is missing, runs the tests to the last one, and counts them.
pub(crate) fn run(arguments: &[String]) -> Outcome<Count> {
    let installed = needs::install()?;
    counted("tests", &mut cargo_test(arguments, &installed))
}

/// The same with golden files written instead of compared. What changed is then for `git diff` to show.
pub(crate) fn accept_golden(arguments: &[String]) -> Outcome {
    let installed = needs::install()?;
    counted("golden files", cargo_test(arguments, &installed).env("CREDENCE_GOLDEN", "accept"))?.verdict()
}

fn cargo_test(arguments: &[String], installed: &Installed) -> Command {
    let mut command = step::cargo(&["test", "--no-fail-fast"]);
    if arguments.is_empty() {
        command.arg("--workspace");
    }
    command.args(arguments).env("CREDENCE_TEST_PYTHON", &installed.python).env("CREDENCE_TEST_NODE", &installed.node);
    command
}

/// How many tests ran, over all test binaries.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
    /// `cargo test` itself succeeded: everything compiled, and no test binary died.
    complete: bool,
}

impl Count {
    pub(crate) fn verdict(self) -> Outcome {
        match self {
            Self { failed: 0, complete: true, passed: 1.. } => Ok(()),
            Self { failed: 0, complete: true, passed: 0 } => Err(Failure::new("no test was run")),
            Self { failed: 0, .. } => Err(Failure::new("the tests did not compile, or a test program died")),
            Self { failed, .. } => Err(Failure::new(format!("{failed} test(s) failed"))),
        }
    }

    /// Adds one line of a test binary's output, if it is the closing one:
    /// `test result: ok. 5 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, results)) = line.split_once("test result: ").and_then(|(_, rest)| rest.split_once(". ")) else {
            return;
        };
        for result in results.split("; ") {
            match result.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs `command`, passes its output through line by line, and counts.
fn counted(what: &str, command: &mut Command) -> Outcome<Count> {
    step::announce(what);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| step::cannot_start(command, &error))?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        count_lines(BufReader::new(stdout), &mut io::stdout().lock(), &mut count)
            .map_err(|error| Failure::new(format!("cannot pass on the output of {what}: {error}")))?;
    }
    let status = child.wait().map_err(|error| Failure::new(format!("cannot wait for {what}: {error}")))?;
    count.complete = status.success();
    step::finish(&format!("{what}: {count}"), started.elapsed());
    Ok(count)
}

fn count_lines(mut from: impl BufRead, to: &mut impl Write, count: &mut Count) -> io::Result<()> {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        count.add(&String::from_utf8_lossy(&line));
        line.clear();
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(output: &str) -> Count {
        let mut count = Count::default();
        let mut passed_on = Vec::new();
        count_lines(output.as_bytes(), &mut passed_on, &mut count).unwrap();
        assert_eq!(passed_on, output.as_bytes(), "the output is passed on unchanged");
        count.complete = true;
        count
    }

    #[test]
    fn the_results_of_all_test_binaries_are_added_up() {
        let count = counted(
            "running 2 tests\ntest result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.02s\n\
             test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n",
        );
        assert_eq!(count.to_string(), "12 passed, 2 failed");
        assert!(count.verdict().is_err());
    }

    #[test]
    fn a_run_without_a_test_is_a_failure() {
        assert!(counted("nothing to see\n").verdict().is_err());
        assert!(counted("test result: ok. 1 passed; 0 failed; 0 ignored\n").verdict().is_ok());
    }

    #[test]
    fn a_test_binary_that_died_is_a_failure() {
        let mut count = counted("test result: ok. 1 passed; 0 failed; 0 ignored\n");
        count.complete = false;
        assert!(count.verdict().is_err());
    }
}
