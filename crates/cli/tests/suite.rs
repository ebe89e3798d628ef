//! Black-box tests of the binary: help, wrong usage, offline verbs, `dev` with `run`, and the demo. What standard clients
//! see of an identity is tested in `crates/testkit`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of tests may fail a test; clippy exempts only test functions"
)]

#[path = "suite/backup.rs"]
mod backup;
#[path = "suite/class_test.rs"]
mod class_test;
#[path = "suite/demo.rs"]
mod demo;
#[path = "suite/dev.rs"]
mod dev;
#[path = "suite/directory.rs"]
mod directory;
#[path = "suite/doctor.rs"]
mod doctor;
#[path = "suite/help.rs"]
mod help;
#[path = "suite/keys.rs"]
mod keys;
#[path = "suite/offline.rs"]
mod offline;
#[path = "suite/permissions.rs"]
mod permissions;
#[path = "suite/program.rs"]
mod program;
#[path = "suite/usage.rs"]
mod usage;
