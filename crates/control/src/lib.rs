//! What can be asked: the cell, which owns one registry and one journal and turns requests into recorded entries.
//!
//! [`Registry`] is the cell without its thread: simulators drive it step by step. [`Cell`] is the handle to a running
//! one. INVARIANT: nothing is answered, published or read that was not recorded; if recording fails, the memory is
//! thrown away and read again from the journal.

mod cell;
mod registry;
mod sinks;

pub use cell::{
    Attachment, BATCH_REQUESTS_MAX, Cell, DIRECTIVES_QUEUED_MAX, EXPIRE_EVERY_MS, Edge, QUEUED_MAX, SNAPSHOT_ENTRIES,
};
pub use registry::{Answered, CellError, Registry, StartReport, Turn};
