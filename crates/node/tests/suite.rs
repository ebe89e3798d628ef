//! An actor's endpoint in this process, without a node around it. Programs and whole nodes are tested in `crates/testkit`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of tests may fail a test; clippy exempts only test functions"
)]

mod crowd;
mod door;
mod frames;
mod gateway;
mod identity;
mod limits;
mod metadata;
mod secrets;
mod workload;
