//! Black-box tests of the binary that need no server: help, wrong usage, completion, offline verbs. What needs a server
//! is tested end to end in `crates/testkit`.

#![expect(clippy::expect_used, reason = "the helpers of tests may fail a test; clippy exempts only test functions")]

#[path = "suite/help.rs"]
mod help;
#[path = "suite/offline.rs"]
mod offline;
#[path = "suite/program.rs"]
mod program;
#[path = "suite/usage.rs"]
mod usage;
