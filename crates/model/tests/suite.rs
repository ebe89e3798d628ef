//! The state machine, from outside.

mod format;
mod golden;
mod laws;
mod lifecycle;
mod refusals;
mod world;
