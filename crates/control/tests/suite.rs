//! The cell from outside, on a journal in memory that fails when it is told to.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "suite/cell.rs"]
mod cell;
#[path = "suite/fixture.rs"]
mod fixture;
#[path = "suite/laws.rs"]
mod laws;
#[path = "suite/registry.rs"]
mod registry;
#[path = "suite/streams.rs"]
mod streams;
