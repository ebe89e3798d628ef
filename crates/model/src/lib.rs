//! What the system is: identifiers, classes, pools, workers, nodes, actors, bindings, and the pure state machine that
//! changes them.

pub mod id;
pub mod order;
pub mod spiffe_id;
pub mod template;
pub mod text;
pub mod time;
