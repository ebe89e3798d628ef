//! How a process explains itself: limits that count what they refused, what the peers of its connections do, the page of its
//! metrics, and the id under which one request is found again in every log.
//!
//! It knows nothing of what is measured. INVARIANT: a label has few values, all known when the process is
//! built; no name of an actor, node, namespace or caller is one, and no secret is near.

pub mod activity;
pub mod board;
pub mod door;
pub mod limit;
pub mod patience;
pub mod trace;
