//! A journal in a directory of files.
//!
//! ```text
//! LOCK                        one process at a time
//! VERSION                     format of the directory
//! SYNCED                      how far the record is known to be durable
//! 00000000000000000001.seg    frames, one a batch; named by the first entry; never removed
//! snap-00000000000000000042.snap   the newest two snapshots
//! ```
//!
//! An append is one write and one `fdatasync` of one frame, however many entries it holds. Owning the journal is itself
//! recorded: recovery appends an opening, an empty frame under the next fence.
//!
//! INVARIANT: after a failed write or sync nothing is written until the directory was read back; a sync is never tried
//! again on the same file and believed.
//!
//! It does not encrypt, compress or expire anything, and it does not repair damage: it says where it is and stops. The
//! format is described byte by byte in `docs/formats/journal.md`.

mod directory;
mod fields;
mod frame;
mod lock;
mod recovery;
mod segment;
mod snapshot;
mod synced;
mod tail;
mod version;

use std::path::Path;
use std::sync::Arc;

use self::directory::Directory;
use self::lock::Lock;
use self::recovery::Found;
use self::segment::{SEGMENT_HEADER_BYTES, Segment, SegmentHeader};
use self::synced::{Place, Synced};
use crate::error::JournalError;
use crate::files::{Files, OpenFile, OpenMode, SystemFiles};
use crate::journal::{Journal, Recovered, Snapshot, StoreSnapshot};
use crate::limits::{
    Page, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, check_batch, check_fence, check_snapshot, check_snapshot_bytes,
};
use crate::position::{Fence, Index};

/// How a [`FileJournal`] keeps its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// Bytes of a segment after which the next batch starts a new one; at most [`SEGMENT_BYTES_MAX`].
    pub segment_bytes_max: u64,
    /// How much recovery reads.
    pub verify: Verify,
}

/// How much of the record recovery reads and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Every frame of every segment: damage anywhere stops the start.
    Everything,
    /// Of segments that the snapshot covers wholly, only the header; their frames are checked when they are read. For a
    /// record so long that reading it all would delay the start too much.
    SinceSnapshot,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { segment_bytes_max: SEGMENT_BYTES_DEFAULT, verify: Verify::Everything }
    }
}

/// A journal in a directory, locked for as long as this value lives.
#[derive(Debug)]
pub struct FileJournal {
    dir: Directory,
    options: FileOptions,
    condition: Condition,
    /// How far the record is durable, as this process saw it with its own eyes.
    durable: Option<Place>,
    segments: Vec<Segment>,
    _lock: Lock,
}

#[derive(Debug)]
enum Condition {
    Unopened,
    Ready(Writer),
    Poisoned,
}

/// The end of the record, open for appending.
#[derive(Debug)]
struct Writer {
    file: Box<dyn OpenFile>,
    synced: Synced,
    place: Place,
    last: Index,
    fence: Fence,
    /// Header CRC of the last frame.
    chain: u32,
    /// The last entry the newest snapshot covers.
    covered: Index,
    /// The frame being written; kept for its allocation.
    frame: Vec<u8>,
}

impl FileJournal {
    /// Makes the directory if it is not there, locks it and checks its format. Nothing else is read before `recover`.
    ///
    /// # Errors
    /// [`JournalError::InUse`], [`JournalError::NewerFormat`], [`JournalError::Io`].
    pub fn open(dir: &Path, options: FileOptions) -> Result<Self, JournalError> {
        Self::open_on(Arc::new(SystemFiles), dir, options)
    }

    /// The same on another file system than this machine's.
    ///
    /// # Errors
    /// As above.
    pub fn open_on(files: Arc<dyn Files>, dir: &Path, options: FileOptions) -> Result<Self, JournalError> {
        let dir = Directory::make(files, dir)?;
        let lock = lock::take(&dir)?;
        let is_new = dir.names()?.iter().all(|name| segment::parse_name(name).is_none());
        version::check(&dir, is_new)?;
        let options = FileOptions { segment_bytes_max: options.segment_bytes_max.min(SEGMENT_BYTES_MAX), ..options };
        let segments = Vec::new();
        Ok(Self { dir, options, condition: Condition::Unopened, durable: None, segments, _lock: lock })
    }

    /// Starts the next fence by appending an opening.
    fn take_over(&mut self, found: &mut Found, synced: Synced) -> Result<Writer, JournalError> {
        let fence = found.fence.next();
        let (first, previous) = (found.last.next(), found.chain);
        if found.segments.is_empty() {
            found.segments.push(Segment::create(&self.dir, &SegmentHeader { first, fence, previous })?);
        }
        self.segments = std::mem::take(&mut found.segments);
        let Some(segment) = self.segments.last() else { return Err(JournalError::NotRecovered) };
        let length = found.tail.as_ref().map_or(SEGMENT_HEADER_BYTES as u64, |tail| tail.end);
        let place = Place { segment: segment.first, length };
        let covered = found.snapshot.as_ref().map_or(Index::NONE, |snapshot| snapshot.upto);
        let file = self.dir.open(&segment.path, OpenMode::Write)?;
        let (last, chain) = (found.last, previous);
        let mut writer = Writer { file, synced, place, last, fence, chain, covered, frame: Vec::new() };
        self.durable = Some(place);
        writer.encode(&[]);
        writer.commit(segment, 0)?;
        self.durable = Some(writer.place);
        Ok(writer)
    }

    fn writer(&self) -> Result<&Writer, JournalError> {
        match &self.condition {
            Condition::Unopened => Err(JournalError::NotRecovered),
            Condition::Poisoned => Err(JournalError::Poisoned),
            Condition::Ready(writer) => Ok(writer),
        }
    }

    /// Writes a batch that passed its checks.
    fn write(&mut self, batch: &[Vec<u8>]) -> Result<Index, JournalError> {
        let Condition::Ready(writer) = &mut self.condition else { return Err(JournalError::Poisoned) };
        let previous = writer.chain;
        writer.encode(batch);
        let filled = writer.place.length.saturating_add(writer.frame.len() as u64);
        // A segment with no entry yet has the name that the next one would get, so it is filled first.
        if filled > self.options.segment_bytes_max && writer.last >= writer.place.segment {
            let header = SegmentHeader { first: writer.last.next(), fence: writer.fence, previous };
            let segment = Segment::create(&self.dir, &header)?;
            writer.file = self.dir.open(&segment.path, OpenMode::Write)?;
            writer.place = Place { segment: segment.first, length: SEGMENT_HEADER_BYTES as u64 };
            self.segments.push(segment);
        }
        let Some(segment) = self.segments.last_mut() else { return Err(JournalError::Poisoned) };
        segment.mark(writer.last.next(), writer.place.length);
        writer.commit(segment, batch.len() as u64)?;
        self.durable = Some(writer.place);
        Ok(writer.last)
    }
}

impl Writer {
    /// Encodes the next frame. After it, `chain` is that frame's, so nothing else may be written before it.
    fn encode(&mut self, batch: &[Vec<u8>]) {
        self.frame.clear();
        self.chain = frame::encode(&mut self.frame, self.fence, self.last.next(), self.chain, batch);
    }

    /// Writes the encoded frame and waits until it is durable.
    fn commit(&mut self, segment: &Segment, entries: u64) -> Result<(), JournalError> {
        let fail = |doing, e| JournalError::io(doing, &segment.path, e);
        self.file.write_all_at(&self.frame, self.place.length).map_err(|e| fail("append to", e))?;
        self.file.sync_data().map_err(|e| fail("sync", e))?;
        let length = self.place.length.saturating_add(self.frame.len() as u64);
        let place = Place { segment: segment.first, length };
        self.synced.note(place)?;
        self.place = place;
        self.last = self.last.plus(entries);
        Ok(())
    }
}

impl Journal for FileJournal {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        if !matches!(self.condition, Condition::Unopened) {
            self.condition = Condition::Poisoned;
        }
        let mut found = recovery::scan(&self.dir, self.options.verify, self.durable)?;
        let synced = Synced::open(&self.dir)?;
        recovery::repair(&self.dir, &found, &synced)?;
        let writer = self.take_over(&mut found, synced)?;
        let fence = writer.fence;
        self.condition = Condition::Ready(writer);
        let Found { snapshot, entries, last, report, .. } = found;
        Ok(Recovered { fence, snapshot, entries, last, report })
    }

    fn append(&mut self, fence: Fence, batch: &[Vec<u8>]) -> Result<Index, JournalError> {
        let writer = self.writer()?;
        check_fence(fence, writer.fence)?;
        check_batch(batch)?;
        if batch.is_empty() {
            return Ok(writer.last);
        }
        let written = self.write(batch);
        if written.is_err() {
            self.condition = Condition::Poisoned;
        }
        written
    }

    fn begin_snapshot(&mut self, fence: Fence, upto: Index) -> Result<StoreSnapshot, JournalError> {
        let writer = self.writer()?;
        check_fence(fence, writer.fence)?;
        check_snapshot(upto, writer.covered, writer.last)?;
        if let Condition::Ready(writer) = &mut self.condition {
            // Should it never be stored, the next one covers more all the same.
            writer.covered = upto;
        }
        let dir = self.dir.clone();
        Ok(Box::new(move |bytes| {
            check_snapshot_bytes(&bytes)?;
            snapshot::write(&dir, &Snapshot { upto, bytes })
        }))
    }

    fn read(&mut self, from: Index, limit: usize) -> Result<Vec<(Index, Vec<u8>)>, JournalError> {
        let place = self.writer()?.place;
        let mut page = Page::new(from, limit);
        let after = self.segments.partition_point(|segment| segment.first <= page.from());
        for segment in self.segments.iter().skip(after.saturating_sub(1)) {
            if page.is_full() {
                break;
            }
            segment.read(&self.dir, &mut page, (segment.first == place.segment).then_some(place.length))?;
        }
        Ok(page.into_entries())
    }
}

#[cfg(test)]
mod tests;
