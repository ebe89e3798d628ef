//! The developer's commands: `cargo xtask <command>`.
//!
//! Everything continuous integration does is here, so that it can be done on a laptop with the same command.
//! The commands need the Rust toolchain; what the tests need besides (a C compiler's libraries, `openssl`,
//! Python clients, as root `iproute2`) they install themselves.
//!
//! Deliberately not here: anything a user of the product needs, and any code the product links.

mod check;
mod ci;
mod crash;
mod fuzz;
mod generate;
mod needs;
mod rotate;
mod sim;
mod step;
mod suite;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::step::Outcome;

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The developer's commands of Credence. Exit code 0: all well; 1: a check or a test failed; 2: used wrongly.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, clippy with warnings as errors, and tidy
    Check,
    /// Install what the tests need, then run all of them
    Test {
        /// Passed to `cargo test` instead of `--workspace`, for example `-p credence-model`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO TEST ARGS")]
        arguments: Vec<String>,
    },
    /// The house rules that no compiler knows: dependency directions, module cycles, sizes, bans
    Tidy,
    /// Write crates/wire/src/generated anew from proto/
    Gen,
    /// Run the tests that compare with golden files and let them write what they see
    Golden {
        /// Passed to `cargo test` instead of `--workspace`, for example `-p credence-server`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO TEST ARGS")]
        arguments: Vec<String>,
    },
    /// Run the seeded simulator over model, cell and node logic
    Sim(sim::Simulation),
    /// Kill, stop, cut off and starve real processes under load (docs/testing.md)
    Crash(crash::Crashes),
    /// Rotate authorities while workloads shake hands all the time (docs/testing.md)
    Rotate(rotate::Rotations),
    /// Fuzz every parser of bytes from strangers (docs/testing.md)
    Fuzz(fuzz::Fuzzing),
    /// What continuous integration runs: check, test, then a few hundred simulator seeds
    Ci,
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Self::Check => check::run(),
            Self::Test { arguments } => suite::run(&arguments).and_then(suite::Count::verdict),
            Self::Tidy => tidy::run(),
            Self::Gen => generate::write(),
            Self::Golden { arguments } => suite::accept_golden(&arguments),
            Self::Sim(simulation) => simulation.run(),
            Self::Crash(crashes) => crashes.run(),
            Self::Rotate(rotations) => rotations.run(),
            Self::Fuzz(fuzzing) => fuzzing.run(),
            Self::Ci => ci::run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
