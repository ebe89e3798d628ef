//! How a process explains itself: limits that count what they refused, what the peers of its connections do, the page of its
//! metrics, the id under which one request is found again in every log, and the parts of its way with their times; and how
//! a collector is told, by OTLP.
//!
//! It knows nothing of what is measured. INVARIANT: a label of a metric has few values, all known when the process is
//! built; no name of an actor, node, namespace or caller is one. Spans may name those, since they go to the operator's own
//! collector and nowhere else. No secret is in either.

pub mod activity;
pub mod board;
mod clock;
mod count;
pub mod door;
pub mod limit;
pub mod otlp;
pub mod patience;
pub mod random;
pub mod span;
pub mod trace;
