//! Reads a directory back: first everything is read and judged, then, and only then, something is changed.
//!
//! INVARIANT: a start that is refused has changed nothing.

use std::io::Read;
use std::path::Path;

use super::directory::{self, Directory, Reader};
use super::frame::{self, Header};
use super::segment::{self, SEGMENT_HEADER_BYTES, Segment, SegmentHeader};
use super::synced::{self, Place, Synced};
use super::tail::{self, Verdict};
use super::{Verify, snapshot};
use crate::error::JournalError;
use crate::files::OpenMode;
use crate::journal::{Note, Snapshot};
use crate::position::{Fence, Index};

/// What a directory holds.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) snapshot: Option<Snapshot>,
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) last: Index,
    pub(super) fence: Fence,
    /// Header CRC of the last frame.
    pub(super) chain: u32,
    pub(super) segments: Vec<Segment>,
    pub(super) tail: Option<Tail>,
    pub(super) report: Vec<Note>,
}

/// What is to be done with the last segment.
#[derive(Debug)]
pub(super) struct Tail {
    /// Where its last whole frame ends.
    pub(super) end: u64,
    /// How many bytes follow that have to go.
    torn_bytes: u64,
    /// From where on its frames are not known to be durable, and those frames.
    unsynced_from: u64,
    unsynced: Vec<u8>,
}

/// Reads and judges everything. `exact` is how far this very process knows the record to be durable, after an append of
/// its own failed: what lies beyond was never acknowledged and counts as torn, even if it reads well, because the system
/// may hold in memory what it failed to write.
pub(super) fn scan(dir: &Directory, verify: Verify, exact: Option<Place>) -> Result<Found, JournalError> {
    let names = dir.names()?;
    let mut report = leftovers(dir, &names);
    let snapshot = snapshot::newest(dir, &names, &mut report);
    let mut firsts: Vec<Index> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    firsts.sort_unstable();
    let mut segments: Vec<Segment> = firsts.into_iter().map(|first| Segment::found(dir, first)).collect();
    let place = match exact {
        Some(place) => Some(place),
        None => synced::load(dir).unwrap_or_else(|synced::Unreadable| {
            report.push(Note::SyncedDamaged { path: synced::path(dir) });
            None
        }),
    };
    check_present(dir, &segments, place)?;

    let upto = snapshot.as_ref().map_or(Index::NONE, |snapshot| snapshot.upto);
    let mut replay =
        Replay { dir, keep_after: upto, next: Index(1), fence: Fence(0), chain: Some(0), entries: Vec::new() };
    let next_firsts: Vec<Index> = segments.iter().skip(1).map(|segment| segment.first).collect();
    let mut tail = None;
    for (at, segment) in segments.iter_mut().enumerate() {
        match next_firsts.get(at) {
            Some(next) if verify == Verify::SinceSnapshot && *next <= upto.next() => replay.skip(segment, *next)?,
            Some(_) => replay.inner(segment)?,
            None => tail = Some(replay.last(segment, place, exact.is_some(), &mut report)?),
        }
    }
    let last = Index(replay.next.0.saturating_sub(1));
    if upto > last {
        let what = format!(
            "the record ends at entry {last}, and a snapshot covers entries up to {upto}: segments are missing"
        );
        return Err(JournalError::damaged(dir.path(), 0, what));
    }
    let Replay { fence, chain, entries, .. } = replay;
    Ok(Found { snapshot, entries, last, fence, chain: chain.unwrap_or(0), segments, tail, report })
}

/// Makes the directory what was found: removes leftovers, cuts a torn tail, makes sure of the last frames.
pub(super) fn repair(dir: &Directory, found: &Found, synced: &Synced) -> Result<(), JournalError> {
    for note in &found.report {
        if let Note::LeftoverRemoved { path } = note {
            dir.remove(path)?;
        }
    }
    // The last start may have ended between creating a file and making its name durable.
    dir.sync()?;
    let (Some(segment), Some(tail)) = (found.segments.last(), &found.tail) else { return Ok(()) };
    let file = dir.open(&segment.path, OpenMode::Write)?;
    let fail = |doing, e| JournalError::io(doing, &segment.path, e);
    if tail.torn_bytes > 0 {
        // The note goes first, so that it never runs ahead of the segment.
        synced.note(Place { segment: segment.first, length: tail.end - tail.unsynced.len() as u64 })?;
        synced.sync()?;
        file.set_length(tail.end).map_err(|e| fail("cut", e))?;
    }
    // Frames read from memory that a failed sync never brought to the disk would be believed for nothing: written again,
    // they are synced for certain. The bytes are the same, so a crash here harms nothing.
    file.write_all_at(&tail.unsynced, tail.unsynced_from).map_err(|e| fail("write", e))?;
    file.sync_all().map_err(|e| fail("sync", e))?;
    synced.note(Place { segment: segment.first, length: tail.end })
}

fn leftovers(dir: &Directory, names: &[String]) -> Vec<Note> {
    let aside =
        names.iter().filter(|name| Path::new(name).extension().is_some_and(|ending| ending == directory::ASIDE));
    aside.map(|name| Note::LeftoverRemoved { path: dir.join(name) }).collect()
}

/// Refuses a directory from which the newest segment is gone.
fn check_present(dir: &Directory, segments: &[Segment], place: Option<Place>) -> Result<(), JournalError> {
    let Some(place) = place else { return Ok(()) };
    if segments.iter().any(|segment| segment.first == place.segment) {
        return Ok(());
    }
    let missing = dir.join(segment::name(place.segment));
    Err(JournalError::damaged(&missing, 0, format!("the segment is missing, and {}", acknowledged(dir, place))))
}

fn acknowledged(dir: &Directory, place: Place) -> String {
    format!(
        "{} says that {} bytes of it were acknowledged (only after a restore from an older copy: remove that file to accept the loss)",
        synced::path(dir).display(),
        place.length
    )
}

/// The walk over all frames, oldest first.
struct Replay<'a> {
    dir: &'a Directory,
    keep_after: Index,
    next: Index,
    fence: Fence,
    /// Header CRC of the last frame; `None` after a segment that was passed over.
    chain: Option<u32>,
    entries: Vec<Vec<u8>>,
}

impl Replay<'_> {
    /// Passes over a segment that a snapshot covers; only its header is read.
    fn skip(&mut self, segment: &Segment, next: Index) -> Result<(), JournalError> {
        let file = self.dir.open(&segment.path, OpenMode::Read)?;
        let mut bytes = Vec::new();
        Reader::new(file.as_ref(), 0)
            .take(SEGMENT_HEADER_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(|e| JournalError::io("read", &segment.path, e))?;
        self.begin(segment, &bytes)?;
        self.next = next;
        self.chain = None;
        Ok(())
    }

    /// Reads a segment that another one follows: every byte of it was acknowledged.
    fn inner(&mut self, segment: &mut Segment) -> Result<(), JournalError> {
        let bytes = self.load(segment)?;
        match self.frames(segment, &bytes)? {
            (_, None) => Ok(()),
            (end, Some(_)) => Err(JournalError::damaged(
                &segment.path,
                end as u64,
                "a batch of an earlier segment is not what was written",
            )),
        }
    }

    /// Reads the last segment, where an unfinished append may have left something.
    fn last(
        &mut self,
        segment: &mut Segment,
        place: Option<Place>,
        is_exact: bool,
        report: &mut Vec<Note>,
    ) -> Result<Tail, JournalError> {
        let mut bytes = self.load(segment)?;
        let file_bytes = bytes.len() as u64;
        let synced = place.map_or(SEGMENT_HEADER_BYTES as u64, |place| place.durable_in(segment.first));
        if let Some(place) = place.filter(|_| synced > file_bytes) {
            let what = format!("the file ends here, and {}", acknowledged(self.dir, place));
            return Err(JournalError::damaged(&segment.path, file_bytes, what));
        }
        let synced = usize::try_from(synced).unwrap_or(usize::MAX);
        if is_exact {
            bytes.truncate(synced);
        }
        let (end, flaw) = self.frames(segment, &bytes)?;
        if let Some(flaw) = flaw
            && let Verdict::Damaged(what) = tail::judge(&bytes, end, flaw, synced)
        {
            return Err(JournalError::damaged(&segment.path, end as u64, what));
        }
        let torn_bytes = file_bytes.saturating_sub(end as u64);
        if torn_bytes > 0 {
            let (segment, offset) = (segment.path.clone(), end as u64);
            report.push(Note::TornTail { segment, offset, bytes_cut: torn_bytes });
        }
        bytes.truncate(end);
        let unsynced = bytes.split_off(synced.min(end));
        Ok(Tail { end: end as u64, torn_bytes, unsynced_from: bytes.len() as u64, unsynced })
    }

    fn load(&mut self, segment: &Segment) -> Result<Vec<u8>, JournalError> {
        let bytes = self.dir.read(&segment.path).map_err(|e| JournalError::io("read", &segment.path, e))?;
        self.begin(segment, &bytes)?;
        Ok(bytes)
    }

    fn begin(&mut self, segment: &Segment, bytes: &[u8]) -> Result<(), JournalError> {
        let header = SegmentHeader::decode(&segment.path, bytes)?;
        if header.first != self.next {
            let what = format!("it starts at entry {}, and entry {} is missing", header.first, self.next);
            return Err(JournalError::damaged(&segment.path, 0, what));
        }
        if header.fence < self.fence || self.chain.is_some_and(|chain| header.previous != chain) {
            let what = "it does not continue the segment before it: one of the two belongs to another journal";
            return Err(JournalError::damaged(&segment.path, 0, what));
        }
        self.chain = Some(header.previous);
        self.fence = header.fence;
        Ok(())
    }

    /// Reads frames up to the end or the first flaw; gives the place and the flaw.
    fn frames(&mut self, segment: &mut Segment, bytes: &[u8]) -> Result<(usize, Option<frame::Flaw>), JournalError> {
        let mut offset = SEGMENT_HEADER_BYTES;
        while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            match frame::decode(rest) {
                Err(flaw) => return Ok((offset, Some(flaw))),
                Ok((header, entries)) => {
                    self.frame(&segment.path, offset, &header, &entries)?;
                    segment.mark(header.first, offset as u64);
                    offset = offset.saturating_add(header.frame_bytes());
                }
            }
        }
        Ok((offset, None))
    }

    fn frame(&mut self, path: &Path, offset: usize, header: &Header, entries: &[&[u8]]) -> Result<(), JournalError> {
        if header.first != self.next || Some(header.previous) != self.chain || header.fence < self.fence {
            let what =
                format!("a whole batch starts here at entry {}, and it does not continue the one before", header.first);
            return Err(JournalError::damaged(path, offset as u64, what));
        }
        let mut index = header.first;
        for entry in entries {
            if index > self.keep_after {
                self.entries.push(entry.to_vec());
            }
            index = index.next();
        }
        self.next = header.next();
        self.chain = Some(header.crc);
        self.fence = header.fence;
        Ok(())
    }
}
