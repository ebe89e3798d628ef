//! Suites over the whole system: the simulator, and the black box: the real program on real processes and sockets, with
//! clients that anybody may use, unmodified.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the harness may fail a test; clippy exempts only test functions"
)]

mod authzen;
mod collector;
mod corpus;
mod crash;
mod differential;
mod drill;
mod driver;
mod endpoint;
mod explain;
mod gateway;
mod handshake;
mod harness;
mod life;
mod login;
mod logs;
mod loss;
mod operation;
mod restore;
mod rotation;
mod simulation;
mod standard_clients;
