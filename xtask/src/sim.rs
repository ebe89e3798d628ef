//! `cargo xtask sim`: the seeded simulator of `credence-testkit`.

use clap::Args;

use crate::step::{self, Outcome};

/// Which runs to make.
#[derive(Args)]
pub(crate) struct Simulation {
    /// The seed of the first run; every following run adds one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many steps a run takes
    #[arg(long, default_value_t = 3_000)]
    steps: u64,
    /// How many runs to make
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Draw nothing about permissions: a seed then means what it meant before they were drawn
    #[arg(long)]
    without_permissions: bool,
    /// Build with optimisation: for long campaigns
    #[arg(long)]
    release: bool,
}

impl Simulation {
    /// What continuous integration runs.
    pub(crate) const STANDING: Self =
        Self { seed: 1, steps: 3_000, runs: 300, without_permissions: false, release: false };

    pub(crate) fn run(&self) -> Outcome {
        let Self { seed, steps, runs, without_permissions, release } = self;
        let what = format!("simulate {runs} run(s) of {steps} steps from seed {seed}");
        // The profile keeps the checks of arithmetic and the debug assertions.
        let profile = if *release { "campaign" } else { "dev" };
        let mut command = step::cargo(&["run", "--quiet", "--profile", profile, "--package", "credence-testkit"]);
        command.args(["--bin", "sim", "--"]);
        command.args(["--seed", &seed.to_string(), "--steps", &steps.to_string(), "--runs", &runs.to_string()]);
        if *without_permissions {
            command.arg("--without-permissions");
        }
        step::run(&what, &mut command)
    }
}
