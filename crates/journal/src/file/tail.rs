//! Tells a torn tail from damage.
//!
//! An append is one write and one sync. When the machine stops in between, any part of that one write may be missing:
//! the file may be short, or sectors that were never written read as zeros. Such a tail was never acknowledged and is
//! cut. Everything else that does not read as a frame was damaged later, may hold acknowledged entries, and stops the
//! start. The rule, in this order:
//!
//! 1. The flaw lies before the length that `SYNCED` notes as durable: **damage**. After a mere crash of the process that
//!    note is exact, so the rules below matter only after a loss of power.
//! 2. A valid frame follows: **damage**, because a frame is written only after the one before it was synced.
//! 3. The header is right and the file ends before the frame does: **torn**.
//! 4. The header is right and all bytes are there: **torn** if a sector of the frame is blank (all zeros) and nothing but
//!    zeros follows, else **damage**.
//! 5. The header is wrong: **torn** if the bytes left are fewer than the smallest frame, if a sector is blank, or if the
//!    file does not end in a frame's trailer (the end of the write never arrived), else **damage**.
//!
//! What the rule cannot see: after a loss of power, within the seconds for which `SYNCED` may lag, an acknowledged last
//! frame that was also damaged *and* has a sector of zeros in its own entries counts as torn. It is reported, not hidden.

use super::frame::{self, Flaw, HEADER_BYTES, MAGIC, TRAILER};

/// The smallest unit a disk writes whole, in bytes.
const SECTOR_BYTES: usize = 512;

/// What the bytes at a flaw are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The rest of an append that never finished.
    Torn,
    /// Something that was whole once.
    Damaged(&'static str),
}

/// Judges the bytes of the last segment from `offset` on, where no frame could be read.
pub(super) fn judge(segment: &[u8], offset: usize, flaw: Flaw, synced: usize) -> Verdict {
    if offset < synced {
        return Verdict::Damaged("an acknowledged batch cannot be read");
    }
    let end = match flaw {
        Flaw::Header => segment.len(),
        Flaw::Short { frame_bytes } | Flaw::Body { frame_bytes } => offset.saturating_add(frame_bytes),
    };
    let search_from = if flaw == Flaw::Header { offset.saturating_add(1) } else { end };
    if holds_frame(segment.get(search_from..).unwrap_or_default()) {
        return Verdict::Damaged("a batch cannot be read, and a later one can");
    }
    let rest = segment.get(offset..).unwrap_or_default();
    let beyond = segment.get(end..).unwrap_or_default();
    let torn = match flaw {
        Flaw::Short { .. } => true,
        Flaw::Body { .. } => is_blank(beyond) && has_blank_sector(segment, offset, end),
        Flaw::Header => {
            rest.len() < HEADER_BYTES + TRAILER.len()
                || has_blank_sector(segment, offset, end)
                || !rest.ends_with(&TRAILER)
        }
    };
    if torn {
        Verdict::Torn
    } else {
        Verdict::Damaged(
            "the last batch is all there and yet not what was written, which no unfinished append leaves behind",
        )
    }
}

/// Whether a whole, valid frame starts anywhere in the bytes.
fn holds_frame(bytes: &[u8]) -> bool {
    bytes
        .windows(MAGIC.len())
        .enumerate()
        .any(|(at, window)| window == MAGIC && bytes.get(at..).is_some_and(|rest| frame::decode(rest).is_ok()))
}

/// Whether the part of some sector that lies in `start..end` is all zeros.
fn has_blank_sector(segment: &[u8], start: usize, end: usize) -> bool {
    let mut from = start;
    while from < end {
        let to = (from / SECTOR_BYTES + 1).saturating_mul(SECTOR_BYTES).min(end);
        if segment.get(from..to).is_some_and(is_blank) {
            return true;
        }
        from = to;
    }
    false
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
