//! What the system is: identifiers, classes, pools, workers, nodes, actors, bindings, and the pure state machine that
//! changes them.
//!
//! INVARIANT: no IO, no clock, no randomness, no logging, nothing asynchronous. Time and entropy arrive as arguments, and
//! the state changes only by applying a recorded entry, so replaying a journal gives the same state byte for byte.

pub mod actor;
pub mod actors;
pub mod apply;
pub mod authority;
pub mod budget;
pub mod caller;
pub mod canonical_json;
mod cautious;
pub mod class;
pub mod command;
pub mod decide;
pub mod decided;
pub mod delegation;
pub mod delegations;
pub mod directive;
pub mod event;
pub mod explain;
pub mod guard;
pub mod guards;
pub mod hold;
pub mod id;
pub mod idle;
pub mod invariant;
pub mod label;
pub mod lineage;
pub mod lineages;
pub mod node;
pub mod order;
pub mod permission;
pub mod pool;
pub mod refusal;
pub mod settings;
pub mod spiffe_id;
pub mod state;
pub mod template;
pub mod text;
pub mod time;
mod ulid_id;
pub mod user;
pub mod verify;
pub mod waiting;
pub mod worker;
