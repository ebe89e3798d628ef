//! What is remembered: an append-only, checksummed, group-committed record of opaque entries, with snapshots.
//!
//! The journal that makes the system durable is also the log that makes it accountable, so entries are never removed:
//! a snapshot shortens the replay, not the record. One trait, [`Journal`], has two implementations:
//! [`MemoryJournal`] for simulation and tests, [`FileJournal`] for one machine. Both pass the same conformance suite.
//!
//! INVARIANT: an entry whose append returned `Ok` is read back after every crash, or the start is refused.
//! INVARIANT: a batch is wholly there or wholly absent.
//! INVARIANT: an append under any fence but the newest one opened is refused and changes nothing.
//!
//! It does not know what an entry means, does not read a clock, has no async and no thread of its own: the one thread
//! that owns a journal calls it and waits. Only a snapshot may be stored by another thread.

mod error;
mod file;
mod files;
mod journal;
mod limits;
mod memory;
mod position;

pub use crate::error::{JournalError, Obstacle};
pub use crate::file::{FileJournal, FileOptions, Verify};
pub use crate::files::{Files, OpenFile, OpenMode, SystemFiles};
pub use crate::journal::{Journal, Note, Recovered, Snapshot, StoreSnapshot};
pub use crate::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, READ_BYTES_MAX, READ_ENTRIES_MAX, SEGMENT_BYTES_DEFAULT,
    SEGMENT_BYTES_MAX, SNAPSHOT_BYTES_MAX,
};
pub use crate::memory::{Fault, MemoryDisk, MemoryJournal};
pub use crate::position::{Fence, Index};
