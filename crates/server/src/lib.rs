//! The control plane's process: listeners, the control API in HTTP/JSON, the node protocol in gRPC.
//!
//! It authenticates every caller, checks it against the authorization table, hands commands to the cell and answers
//! what was recorded. It decides nothing about classes, actors or bindings itself: that is the model's.

pub mod api;

pub mod access;
mod administrators;
mod app;
pub mod archive;
mod asker;
mod attest_limit;
pub mod backup;
mod bearer;
pub mod call;
mod caller;
pub mod clock;
mod compiled;
pub mod config;
mod hold;
pub mod identity_provider;
pub mod input;
pub mod judge;
pub mod limits;
pub mod listen;
pub mod listeners;
mod mark;
mod meter;
pub mod observe;
pub mod openapi;
pub mod outbound;
pub mod past;
pub mod problem;
mod protocol;
pub mod reload;
pub mod route;
pub mod seal;
mod search;
pub mod signer;
pub mod start;
pub mod who;
