//! Runs simulations: `cargo xtask sim`.

use clap::Parser;
use credence_testkit::sim::{CAMPAIGN_RUNS_MIN, Coverage, Options, run};
use std::process::ExitCode;

/// Simulate server, nodes, network and crashes from a seed, and check the invariants after every step.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps of each run
    #[arg(long, default_value_t = 3000)]
    steps: u64,
    /// How many runs; each takes the next seed
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Draw nothing about permissions: a seed then means what it meant before they were drawn
    #[arg(long)]
    without_permissions: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut coverage = Coverage::default();
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.runs) {
        match run(Options { seed, steps: arguments.steps, permissions: !arguments.without_permissions, fault: None }) {
            Ok(seen) => coverage.add(seen),
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} runs of {} steps from seed {}: every invariant held", arguments.runs, arguments.steps, arguments.seed);
    print!("{coverage}");
    let missing = coverage.missing();
    if arguments.runs >= CAMPAIGN_RUNS_MIN && !missing.is_empty() {
        eprintln!("never seen: {}", missing.join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
