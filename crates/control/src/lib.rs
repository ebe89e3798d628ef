//! What can be asked: the cell, which owns one registry and one journal and turns requests into recorded entries.
//!
//! [`Registry`] is the cell without its thread: simulators drive it step by step. [`Cell`] is the handle to a running
//! one. INVARIANT: nothing is answered, published or read that was not recorded; if recording fails, the memory is
//! thrown away and read again from the journal.

mod cell;
mod intake;
mod lent;
mod meter;
mod openings;
mod refused;
mod registry;
mod sinks;

pub use cell::{Attachment, BATCH_REQUESTS_MAX, Cell, EXPIRE_EVERY_MS, Edge, SNAPSHOT_ENTRIES};
pub use intake::{LANE_QUEUED_MAX, QUEUED_MAX};
pub use meter::Meters;
pub use openings::{Opening, Openings};
pub use registry::{Answered, BegunSnapshot, CellError, Recorded, Registry, StartReport, Turn};
pub use sinks::{Changes, DIRECTIVES_QUEUED_MAX, Directed, Reconsidered};

use credence_telemetry::limit::Limit;

/// Every limit of this crate that refuses.
pub static LIMITS: [&Limit; 3] = [&intake::QUEUED, &intake::LANE_QUEUED, &sinks::DIRECTIVES_QUEUED];
