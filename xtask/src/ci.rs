//! `cargo xtask ci`: every stage of continuous integration, with durations and one closing line.

use std::time::{Duration, Instant};

use crate::{
    check,
    sim::Simulation,
    step::{self, Failure, Outcome},
    suite::{self, Count},
};

/// Runs every stage even after one failed: one run tells everything that is wrong.
pub(crate) fn run() -> Outcome {
    let mut stages = Vec::new();
    let mut count = Count::default();
    stages.push(stage("check", check::run));
    stages.push(stage("test", || {
        count = suite::run(&[])?;
        count.verdict()
    }));
    stages.push(stage("sim", || Simulation::STANDING.run()));

    eprintln!();
    for Stage { name, took, outcome } in &stages {
        let verdict = outcome.as_ref().map_or_else(|failure| format!("FAILED: {failure}"), |()| "ok".to_owned());
        eprintln!("{name:<6} {:>12}  {verdict}", step::seconds(*took));
    }
    // The closing line that CI reads, in the words every test runner understands.
    println!("{count}");
    let failed: Vec<&str> = stages.iter().filter(|stage| stage.outcome.is_err()).map(|stage| stage.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", failed.join(", ")))) }
}

struct Stage {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

fn stage(name: &'static str, work: impl FnOnce() -> Outcome) -> Stage {
    let started = Instant::now();
    let outcome = work();
    Stage { name, took: started.elapsed(), outcome }
}
