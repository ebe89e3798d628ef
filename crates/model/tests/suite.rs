//! The state machine, from outside.

mod golden;
mod laws;
mod lifecycle;
mod refusals;
mod world;
