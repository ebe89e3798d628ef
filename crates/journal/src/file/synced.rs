//! `SYNCED`: how far the record is known to be durable.
//!
//! ```text
//! offset size
//!      0    4  magic F7 43 4A 59 (F7 "CJY")
//!      4    8  first index of the segment appended to
//!     12    8  its length in bytes after the last synced append
//!     20    4  CRC-32C of bytes 0..20
//! ```
//!
//! It is overwritten after each synced append and not synced itself, so it costs no second wait for the disk. It never
//! runs ahead: it is written after the sync and before the answer. After a crash of the process it is exact, because the
//! system still holds the write; after a loss of power it may lag by the seconds the system takes to write back.

use std::io;
use std::path::PathBuf;

use super::directory::Directory;
use super::fields::{checked, seal};
use super::segment::SEGMENT_HEADER_BYTES;
use crate::error::JournalError;
use crate::files::{OpenFile, OpenMode};
use crate::position::Index;

const NAME: &str = "SYNCED";
const MAGIC: [u8; 4] = [0xF7, b'C', b'J', b'Y'];

/// A place in the record: a byte of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: Index,
    pub(super) length: u64,
}

impl Place {
    /// How much of the last segment is durable, given which one that is. A later segment than the noted one holds no more
    /// than its header for certain.
    pub(super) fn durable_in(self, last_segment: Index) -> u64 {
        if self.segment == last_segment { self.length } else { SEGMENT_HEADER_BYTES as u64 }
    }

    fn encode(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.segment.0.to_be_bytes());
        bytes.extend_from_slice(&self.length.to_be_bytes());
        seal(&mut bytes, 0);
        bytes
    }
}

/// The open note.
#[derive(Debug)]
pub(super) struct Synced {
    file: Box<dyn OpenFile>,
    path: PathBuf,
}

impl Synced {
    /// Opens or creates the note.
    pub(super) fn open(dir: &Directory) -> Result<Self, JournalError> {
        let path = path(dir);
        Ok(Self { file: dir.open(&path, OpenMode::WriteOrCreate)?, path })
    }

    /// Notes that everything up to this place is durable.
    pub(super) fn note(&self, place: Place) -> Result<(), JournalError> {
        self.file.write_all_at(&place.encode(), 0).map_err(|e| JournalError::io("write", &self.path, e))
    }

    /// Replaces the open file, so that a test can make the next note fail.
    #[cfg(test)]
    pub(super) fn exchange(&mut self, file: Box<dyn OpenFile>) {
        self.file = file;
    }

    /// Makes the note itself durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(|e| JournalError::io("sync", &self.path, e))
    }
}

/// Where the note is kept.
pub(super) fn path(dir: &Directory) -> PathBuf {
    dir.join(NAME)
}

/// What was noted: `Ok(None)` without a note, `Err` when it cannot be read.
pub(super) fn load(dir: &Directory) -> Result<Option<Place>, Unreadable> {
    let bytes = match dir.read(&path(dir)) {
        Ok(bytes) if bytes.is_empty() => return Ok(None),
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err(Unreadable),
    };
    let parsed = checked(&bytes).and_then(|mut fields| {
        let magic = fields.take(MAGIC.len())?;
        (magic == MAGIC).then_some(Place { segment: Index(fields.u64()?), length: fields.u64()? })
    });
    parsed.map(Some).ok_or(Unreadable)
}

/// The note is there and cannot be read.
pub(super) struct Unreadable;
