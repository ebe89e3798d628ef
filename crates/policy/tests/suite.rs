//! Decisions and policies in Cedar, from outside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cedar;
mod decision;
mod guard;
mod laws;
mod steps;
mod together;
mod world;
