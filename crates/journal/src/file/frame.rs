//! A frame: one batch as it stands in a segment.
//!
//! ```text
//! offset size
//!      0    4  magic F7 43 4A 46 (F7 "CJF")
//!      4    4  length of the body in bytes
//!      8    4  number of entries (0: an opening, which says only that a new owner took over)
//!     12    4  header CRC of the frame before, 0 for the first frame of the journal
//!     16    8  fence of the owner that wrote it
//!     24    8  index of its first entry (of the next entry, for an opening)
//!     32    4  CRC-32C of the body
//!     36    4  header CRC: CRC-32C of bytes 0..36, and so of everything above
//!     40    …  body: each entry as length (4 bytes) and bytes
//!      …    4  trailer F7 45 4E 44 (F7 "END")
//! ```
//!
//! All numbers are big-endian. The first and the last byte of a frame are never zero, which helps to tell a sector that
//! never reached the disk from one that did. `F7` occurs in no UTF-8 text, so text in an entry never looks like a frame.

use super::fields::{Fields, seal};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use crate::position::{Fence, Index};

/// Bytes before the body.
pub(super) const HEADER_BYTES: usize = 40;
/// The first bytes of every frame.
pub(super) const MAGIC: [u8; 4] = [0xF7, b'C', b'J', b'F'];
/// The last bytes of every frame.
pub(super) const TRAILER: [u8; 4] = [0xF7, b'E', b'N', b'D'];

const LENGTH_BYTES: usize = 4;
const BODY_BYTES_MAX: usize = BATCH_BYTES_MAX + LENGTH_BYTES * BATCH_ENTRIES_MAX;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) body_bytes: usize,
    pub(super) count: u32,
    pub(super) previous: u32,
    pub(super) fence: Fence,
    pub(super) first: Index,
    body_crc: u32,
    /// Identifies the frame and all it holds; the next frame repeats it.
    pub(super) crc: u32,
}

/// What makes bytes not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The header is cut short, not one, or its checksum differs.
    Header,
    /// The header is right, and the file ends before the frame does.
    Short { frame_bytes: usize },
    /// The header is right and all bytes are there, but body or trailer are not what was written.
    Body { frame_bytes: usize },
}

/// Writes a frame to the end of `out` and gives its header CRC.
pub(super) fn encode(out: &mut Vec<u8>, fence: Fence, first: Index, previous: u32, batch: &[Vec<u8>]) -> u32 {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    let body_bytes: usize = batch.iter().map(|entry| LENGTH_BYTES + entry.len()).sum();
    // The limits keep lengths and counts far below 32 bits.
    let body_crc = batch.iter().fold(0, |crc, entry| {
        crc32c::crc32c_append(crc32c::crc32c_append(crc, &(entry.len() as u32).to_be_bytes()), entry)
    });
    out.extend_from_slice(&(body_bytes as u32).to_be_bytes());
    out.extend_from_slice(&(batch.len() as u32).to_be_bytes());
    out.extend_from_slice(&previous.to_be_bytes());
    out.extend_from_slice(&fence.0.to_be_bytes());
    out.extend_from_slice(&first.0.to_be_bytes());
    out.extend_from_slice(&body_crc.to_be_bytes());
    let crc = seal(out, start);
    for entry in batch {
        out.extend_from_slice(&(entry.len() as u32).to_be_bytes());
        out.extend_from_slice(entry);
    }
    out.extend_from_slice(&TRAILER);
    crc
}

impl Header {
    /// Reads a header; `None` when these bytes are none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        if !header.starts_with(&MAGIC) {
            return None;
        }
        let mut fields = super::fields::checked(header)?;
        fields.take(MAGIC.len())?;
        let body_bytes = usize::try_from(fields.u32()?).ok().filter(|bytes| *bytes <= BODY_BYTES_MAX)?;
        let count = fields.u32()?;
        let previous = fields.u32()?;
        let fence = Fence(fields.u64()?);
        let first = Index(fields.u64()?);
        let body_crc = fields.u32()?;
        let crc = Fields::new(header.get(HEADER_BYTES - 4..)?).u32()?;
        Some(Self { body_bytes, count, previous, fence, first, body_crc, crc })
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.body_bytes + TRAILER.len()
    }

    /// Index of the entry after this frame.
    pub(super) fn next(&self) -> Index {
        self.first.plus(u64::from(self.count))
    }
}

/// Reads the frame at the start of `bytes`; what follows it is ignored.
pub(super) fn decode(bytes: &[u8]) -> Result<(Header, Vec<&[u8]>), Flaw> {
    let header = Header::decode(bytes).ok_or(Flaw::Header)?;
    let frame_bytes = header.frame_bytes();
    let frame = bytes.get(..frame_bytes).ok_or(Flaw::Short { frame_bytes })?;
    entries(&header, frame).map(|entries| (header, entries)).ok_or(Flaw::Body { frame_bytes })
}

fn entries<'a>(header: &Header, frame: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let body = frame.get(HEADER_BYTES..HEADER_BYTES + header.body_bytes)?;
    if crc32c::crc32c(body) != header.body_crc || !frame.ends_with(&TRAILER) {
        return None;
    }
    let mut fields = Fields::new(body);
    let mut entries = Vec::new();
    while !fields.is_empty() {
        let length = usize::try_from(fields.u32()?).ok()?;
        entries.push(fields.take(length)?);
    }
    (entries.len() as u64 == u64::from(header.count)).then_some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_frame_reads_back_as_it_was_written(batch: Vec<Vec<u8>>, fence: u64, first: u64, previous: u32, after: Vec<u8>) {
            let mut bytes = Vec::new();
            let crc = encode(&mut bytes, Fence(fence), Index(first), previous, &batch);
            let frame_bytes = bytes.len();
            bytes.extend_from_slice(&after);
            let (header, entries) = decode(&bytes).unwrap();
            assert_eq!(entries, batch);
            assert_eq!((header.fence.0, header.first.0, header.previous, header.crc), (fence, first, previous, crc));
            assert_eq!(header.frame_bytes(), frame_bytes);
        }

        #[test]
        fn no_bytes_make_the_decoder_fail_otherwise_than_by_a_flaw(mut bytes: Vec<u8>, sealed in any::<bool>()) {
            if sealed {
                bytes.splice(0..0, MAGIC);
                bytes.truncate(HEADER_BYTES - 4);
                if bytes.len() == HEADER_BYTES - 4 {
                    seal(&mut bytes, 0);
                }
            }
            let _ = decode(&bytes);
        }

        #[test]
        fn a_changed_bit_anywhere_is_seen(batch: Vec<Vec<u8>>, at: usize, bit in 0..8_u32) {
            let mut bytes = Vec::new();
            encode(&mut bytes, Fence(3), Index(9), 7, &batch);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            assert!(decode(&bytes).is_err());
        }
    }
}
