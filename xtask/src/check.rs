//! `cargo xtask check`: everything that can be said without running the product.

use crate::{
    step::{self, Outcome},
    tidy,
};

pub(crate) fn run() -> Outcome {
    step::run("format", &mut step::cargo(&["fmt", "--all", "--check"]))?;
    // Tidy before clippy: it takes a second, and its findings are the cheaper ones to mend.
    tidy::run()?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    step::run("clippy", &mut step::cargo(&clippy))
}
