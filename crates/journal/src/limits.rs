//! Named limits, and the checks that hold every implementation to the same ones.

use crate::error::JournalError;
use crate::position::{Fence, Index};

/// Bytes of one entry, at most.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Entries of one batch, at most.
pub const BATCH_ENTRIES_MAX: usize = 65_536;
/// Bytes of all entries of one batch together, at most.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// Entries one read returns, at most; a larger wish is cut to this.
pub const READ_ENTRIES_MAX: usize = 10_000;
/// Bytes after which a read returns what it has, even if more entries were asked for. One entry is always returned.
pub const READ_BYTES_MAX: usize = 16 << 20;
/// Bytes of one snapshot, at most.
pub const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;
/// Bytes of a segment after which the next batch starts a new one, unless configured.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// The most that may be configured for a segment, in bytes: recovery holds one segment in memory.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Refuses a batch that is beyond a limit.
pub(crate) fn check_batch(batch: &[Vec<u8>]) -> Result<(), JournalError> {
    within("a batch", "entries", batch.len(), BATCH_ENTRIES_MAX)?;
    let mut bytes = 0_usize;
    for entry in batch {
        within("an entry", "bytes", entry.len(), ENTRY_BYTES_MAX)?;
        bytes = bytes.saturating_add(entry.len());
    }
    within("a batch", "bytes", bytes, BATCH_BYTES_MAX)
}

/// Refuses a fence that is not the newest one.
pub(crate) fn check_fence(given: Fence, newest: Fence) -> Result<(), JournalError> {
    if given == newest { Ok(()) } else { Err(JournalError::StaleFence { given, newest }) }
}

/// Refuses a snapshot that covers what it cannot.
pub(crate) fn check_snapshot(upto: Index, newest: Index, last: Index) -> Result<(), JournalError> {
    if upto < newest || upto > last {
        return Err(JournalError::SnapshotOutOfRange { upto, newest, last });
    }
    Ok(())
}

/// Refuses a snapshot that is too large.
pub(crate) fn check_snapshot_bytes(bytes: &[u8]) -> Result<(), JournalError> {
    let given = bytes.len() as u64;
    if given > SNAPSHOT_BYTES_MAX {
        return Err(JournalError::TooLarge { what: "a snapshot", unit: "bytes", given, max: SNAPSHOT_BYTES_MAX });
    }
    Ok(())
}

fn within(what: &'static str, unit: &'static str, given: usize, max: usize) -> Result<(), JournalError> {
    if given <= max {
        return Ok(());
    }
    Err(JournalError::TooLarge { what, unit, given: given as u64, max: max as u64 })
}

/// Collects the entries of one read and says when it is full.
pub(crate) struct Page {
    from: Index,
    entries_max: usize,
    bytes: usize,
    is_full: bool,
    entries: Vec<(Index, Vec<u8>)>,
}

impl Page {
    /// An empty page of at most `limit` entries from `from` on; index 0 means the first entry.
    pub(crate) fn new(from: Index, limit: usize) -> Self {
        let entries_max = limit.min(READ_ENTRIES_MAX);
        Self { from: from.max(Index(1)), entries_max, bytes: 0, is_full: entries_max == 0, entries: Vec::new() }
    }

    /// The first index wanted.
    pub(crate) fn from(&self) -> Index {
        self.from
    }

    /// Takes an entry if it is wanted; answers whether the next one is wanted too.
    pub(crate) fn offer(&mut self, index: Index, entry: &[u8]) -> bool {
        if index >= self.from && !self.is_full {
            let bytes = self.bytes.saturating_add(entry.len());
            if self.entries.is_empty() || bytes <= READ_BYTES_MAX {
                self.bytes = bytes;
                self.entries.push((index, entry.to_vec()));
                self.is_full = self.entries.len() >= self.entries_max;
            } else {
                // The page stays closed: a smaller entry further on must not leave a gap.
                self.is_full = true;
            }
        }
        !self.is_full
    }

    /// Whether every further entry would be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The entries, in order.
    pub(crate) fn into_entries(self) -> Vec<(Index, Vec<u8>)> {
        self.entries
    }
}
