//! The seam: five methods that a journal offers, whatever it is written on.

use std::fmt;
use std::path::PathBuf;

use crate::error::JournalError;
use crate::position::{Fence, Index};

/// An append-only record with one owner at a time.
///
/// Entries are opaque bytes. `recover` comes first; after an `append` that failed for another reason than its arguments,
/// every call answers [`JournalError::Poisoned`] until `recover` succeeded again.
pub trait Journal: Send {
    /// Takes ownership (raises the fence durably) and returns what is remembered. Called once before anything else, and
    /// again after a failed append. A batch whose append failed is then wholly there or wholly absent.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] with file and offset when bytes are not what was written; [`JournalError::Io`].
    fn recover(&mut self) -> Result<Recovered, JournalError>;

    /// Appends all entries as one batch, durable when it returns `Ok`; all or nothing. Returns the index of the last entry.
    /// An empty batch writes nothing.
    ///
    /// # Errors
    /// [`JournalError::StaleFence`] and [`JournalError::TooLarge`] change nothing; [`JournalError::Io`] poisons.
    fn append(&mut self, fence: Fence, batch: &[Vec<u8>]) -> Result<Index, JournalError>;

    /// Stores a snapshot covering entries `1..=upto`, durable when it returns `Ok`. The entries stay: they are the
    /// attribution log. Older snapshots may be removed.
    ///
    /// # Errors
    /// [`JournalError::StaleFence`], [`JournalError::TooLarge`] and [`JournalError::SnapshotOutOfRange`] change nothing;
    /// [`JournalError::Io`] leaves the journal usable and the earlier snapshots in place.
    fn write_snapshot(&mut self, fence: Fence, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.begin_snapshot(fence, snapshot.upto)?(snapshot.bytes.clone())
    }

    /// The same in two steps, for a snapshot that takes long: what it returns stores the bytes, on any thread, while
    /// entries are appended. One at a time, and none while `recover` runs.
    ///
    /// # Errors
    /// Those of [`Self::write_snapshot`], each as soon as it is known.
    fn begin_snapshot(&mut self, fence: Fence, upto: Index) -> Result<StoreSnapshot, JournalError>;

    /// Entries from `from` on, in order, at most `limit` of them and never more than [`crate::READ_ENTRIES_MAX`] or about
    /// [`crate::READ_BYTES_MAX`] bytes. Empty when there is none yet.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::Io`]; the journal stays usable.
    fn read(&mut self, from: Index, limit: usize) -> Result<Vec<(Index, Vec<u8>)>, JournalError>;
}

/// Stores the bytes of a snapshot that was begun.
pub type StoreSnapshot = Box<dyn FnOnce(Vec<u8>) -> Result<(), JournalError> + Send>;

/// The state after entry `upto`, as opaque bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry it covers; it stands for entries `1..=upto`.
    pub upto: Index,
    /// The state.
    pub bytes: Vec<u8>,
}

/// What a journal remembers when it is opened.
#[derive(Debug)]
pub struct Recovered {
    /// The fence the caller now owns and gives with every append.
    pub fence: Fence,
    /// The newest readable snapshot.
    pub snapshot: Option<Snapshot>,
    /// The entries after the snapshot (all entries without one), in order.
    pub entries: Vec<Vec<u8>>,
    /// The last entry there is; [`Index::NONE`] in an empty journal.
    pub last: Index,
    /// What was found that a person should know of. Empty after an orderly stop.
    pub report: Vec<Note>,
}

/// Something recovery repaired or passed over. Displays as one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The last append never finished and was never acknowledged; its bytes were cut off.
    TornTail {
        /// The segment file.
        segment: PathBuf,
        /// Byte offset at which the segment now ends.
        offset: u64,
        /// How many bytes were cut.
        bytes_cut: u64,
    },
    /// A snapshot cannot be read; an earlier one, or the whole record, was used in its place.
    SnapshotDamaged {
        /// The snapshot file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The note of how far the record is durable cannot be read; the last batch was judged by its own bytes.
    SyncedDamaged {
        /// The file.
        path: PathBuf,
    },
    /// A file that a crash left half-written was removed.
    LeftoverRemoved {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTail { segment, offset, bytes_cut } => write!(
                f,
                "cut {bytes_cut} bytes of an unfinished, never acknowledged append from {} at byte {offset}",
                segment.display()
            ),
            Self::SnapshotDamaged { path, what } => {
                write!(f, "passed over the snapshot {}: {what}; an earlier state was used", path.display())
            }
            Self::SyncedDamaged { path } => {
                write!(f, "{} cannot be read; the last batch was judged by its own bytes", path.display())
            }
            Self::LeftoverRemoved { path } => write!(f, "removed {}, which a crash left half-written", path.display()),
        }
    }
}
