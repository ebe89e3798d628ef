//! The state machine, from outside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test fails by panicking"
)]

mod authority;
mod consent;
mod delegation;
mod detail;
mod explain;
mod format;
mod golden;
mod guard;
mod hold;
mod laws;
mod lifecycle;
mod permission;
mod refusals;
mod world;
