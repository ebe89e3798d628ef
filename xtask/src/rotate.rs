//! `cargo xtask rotate`: the campaign of rotations of `credence-testkit`.

use clap::Args;

use crate::step::{self, Outcome};

/// How long authorities come and go.
#[derive(Args)]
pub(crate) struct Rotations {
    /// How many rotations
    #[arg(long, default_value_t = 100)]
    count: u32,
}

impl Rotations {
    pub(crate) fn run(&self) -> Outcome {
        let Self { count } = self;
        let campaign = "rotation::handshakes_never_fail_while_authorities_come_and_go";
        let test = ["test", "--quiet", "--package", "credence-testkit", "--test", "suite", "--"];
        let mut command = step::cargo(&[&test[..], &["--exact", campaign, "--nocapture"]].concat());
        command.env("CREDENCE_ROTATE_COUNT", count.to_string());
        step::run(&format!("rotate {count} time(s) under load"), &mut command)
    }
}
