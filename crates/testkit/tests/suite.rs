//! Suites over the whole system.

mod simulation;
