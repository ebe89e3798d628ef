//! Segments: the files that hold the frames.
//!
//! A segment is named by the index of its first entry, twenty digits, so that names sort as indexes do. Its header:
//!
//! ```text
//! offset size
//!      0    4  magic F7 43 4A 53 (F7 "CJS")
//!      4    4  format version, 1
//!      8    8  index of the first entry
//!     16    8  fence of the owner that created it
//!     24    4  header CRC of the frame before, 0 in the first segment
//!     28    4  CRC-32C of bytes 0..28
//! ```
//!
//! The header is written aside with the file, so a segment that exists has one. Reading a range goes by marks: every
//! `MARK_SPACING_BYTES` the place of a frame is remembered, and a read starts at the mark before what it wants.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::directory::{Directory, Reader};
use super::fields::{checked, seal};
use super::frame::{self, HEADER_BYTES};
use super::version::FORMAT_VERSION;
use crate::error::JournalError;
use crate::files::OpenMode;
use crate::limits::Page;
use crate::position::{Fence, Index};

/// Bytes before the first frame.
pub(super) const SEGMENT_HEADER_BYTES: usize = 32;

const MAGIC: [u8; 4] = [0xF7, b'C', b'J', b'S'];
const ENDING: &str = ".seg";
const NAME_DIGITS: usize = 20;
/// Distance of two remembered frames, at least: what a read scans in vain, at most.
const MARK_SPACING_BYTES: u64 = 256 << 10;

/// A segment as the running journal knows it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) first: Index,
    marks: Vec<(Index, u64)>,
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentHeader {
    pub(super) first: Index,
    pub(super) fence: Fence,
    pub(super) previous: u32,
}

impl SegmentHeader {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.first.0.to_be_bytes());
        bytes.extend_from_slice(&self.fence.0.to_be_bytes());
        bytes.extend_from_slice(&self.previous.to_be_bytes());
        seal(&mut bytes, 0);
        bytes
    }

    /// Reads the header of the segment at `path` from its first bytes.
    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, JournalError> {
        let parsed = bytes.get(..SEGMENT_HEADER_BYTES).and_then(checked).and_then(|mut fields| {
            let magic = fields.take(MAGIC.len())?;
            Some((magic, fields.u32()?, Index(fields.u64()?), Fence(fields.u64()?), fields.u32()?))
        });
        match parsed {
            Some((magic, found, ..)) if magic == MAGIC && found > FORMAT_VERSION => {
                Err(JournalError::NewerFormat { path: path.to_owned(), found, supported: FORMAT_VERSION })
            }
            Some((magic, FORMAT_VERSION, first, fence, previous)) if magic == MAGIC && path.ends_with(name(first)) => {
                Ok(Self { first, fence, previous })
            }
            _ => Err(JournalError::damaged(path, 0, "the header of the segment is not what was written")),
        }
    }
}

impl Segment {
    /// A segment found on disk.
    pub(super) fn found(dir: &Directory, first: Index) -> Self {
        Self { path: dir.join(name(first)), first, marks: Vec::new() }
    }

    /// Creates a new segment, durably.
    pub(super) fn create(dir: &Directory, header: &SegmentHeader) -> Result<Self, JournalError> {
        let path = dir.write_aside(&name(header.first), &[&header.encode()])?;
        Ok(Self { path, first: header.first, marks: Vec::new() })
    }

    /// Remembers where a frame stands, unless one close before it is remembered.
    pub(super) fn mark(&mut self, first: Index, offset: u64) {
        let last = self.marks.last().map_or(0, |(_, offset)| *offset);
        if offset.saturating_sub(last) >= MARK_SPACING_BYTES {
            self.marks.push((first, offset));
        }
    }

    /// Fills the page with entries of this segment, up to byte `end` where that is known.
    pub(super) fn read(&self, dir: &Directory, page: &mut Page, end: Option<u64>) -> Result<(), JournalError> {
        let fail = |e| JournalError::io("read", &self.path, e);
        let mut offset = self.offset_before(page.from());
        let file = dir.open(&self.path, OpenMode::Read)?;
        let end = match end {
            Some(end) => end,
            None => file.length().map_err(fail)?,
        };
        let mut reader = BufReader::new(Reader::new(file.as_ref(), offset));
        let mut bytes = Vec::new();
        while offset < end && !page.is_full() {
            bytes.clear();
            reader.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(fail)?;
            let Some(header) = frame::Header::decode(&bytes) else {
                return Err(JournalError::damaged(&self.path, offset, "the header of a batch is not what was written"));
            };
            let rest = (header.frame_bytes() - HEADER_BYTES) as u64;
            reader.by_ref().take(rest).read_to_end(&mut bytes).map_err(fail)?;
            let Ok((_, entries)) = frame::decode(&bytes) else {
                return Err(JournalError::damaged(&self.path, offset, "a batch is not what was written"));
            };
            let mut index = header.first;
            for entry in entries {
                if !page.offer(index, entry) {
                    return Ok(());
                }
                index = index.next();
            }
            offset = offset.saturating_add(header.frame_bytes() as u64);
        }
        Ok(())
    }

    fn offset_before(&self, index: Index) -> u64 {
        let after = self.marks.partition_point(|(first, _)| *first <= index);
        let mark = after.checked_sub(1).and_then(|at| self.marks.get(at));
        mark.map_or(SEGMENT_HEADER_BYTES as u64, |(_, offset)| *offset)
    }
}

/// The name of the segment that starts with this entry.
pub(super) fn name(first: Index) -> String {
    format!("{first:0>NAME_DIGITS$}{ENDING}", first = first.0)
}

/// The first index a file name stands for, if it is a segment's.
pub(super) fn parse_name(file_name: &str) -> Option<Index> {
    let digits = file_name.strip_suffix(ENDING)?;
    let is_ours = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| digits.parse().ok().map(Index))?
}
