//! Runs simulations: `cargo xtask sim`.

use clap::Parser;
use credence_testkit::sim::{Coverage, Options, run};
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut coverage = Coverage::new();
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.runs) {
        match run(Options { seed, steps: arguments.steps, fault: None }) {
            Ok(seen) => seen.into_iter().for_each(|(what, count)| *coverage.entry(what).or_default() += count),
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} runs of {} steps from seed {}: every invariant held", arguments.runs, arguments.steps, arguments.seed);
    coverage.into_iter().for_each(|(what, count)| println!("{count:>10}  {what}"));
    ExitCode::SUCCESS
}
