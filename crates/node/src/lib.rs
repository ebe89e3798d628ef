//! The host daemon: attests the node, holds its workers, serves actors their identity and runs their programs.

mod attest;
mod backoff;
mod clock;
pub mod config;
pub mod core;
mod dial;
pub mod endpoint;
mod event;
#[cfg(test)]
mod fixture;
mod freshness;
pub mod handover;
mod holder;
mod hub;
mod identity;
mod judge;
mod local;
pub mod mark;
mod meter;
pub mod observe;
pub mod protocol;
mod queue;
mod reservoir;
pub mod run;
pub mod runtime;
mod session;
mod signing;
pub mod start;
mod transfer;
mod trust;
