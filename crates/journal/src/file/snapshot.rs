//! Snapshot files.
//!
//! ```text
//! offset size
//!      0    4  magic F7 43 4A 50 (F7 "CJP")
//!      4    4  format version, 1
//!      8    8  index of the last entry covered
//!     16    8  length of the content in bytes
//!     24    4  CRC-32C of the content
//!     28    4  CRC-32C of bytes 0..28
//!     32    …  content, to the end of the file
//! ```
//!
//! Named `snap-` and the index in twenty digits. The newest two are kept, so that a damaged one has a predecessor; when
//! none can be read the whole record is replayed, since no entry is ever removed.

use std::path::Path;

use super::directory::Directory;
use super::fields::{checked, seal};
use super::version::FORMAT_VERSION;
use crate::error::JournalError;
use crate::journal::{Note, Snapshot};
use crate::position::Index;

const MAGIC: [u8; 4] = [0xF7, b'C', b'J', b'P'];
const HEADER_BYTES: usize = 32;
const PREFIX: &str = "snap-";
const ENDING: &str = ".snap";
const NAME_DIGITS: usize = 20;
/// How many snapshots stay.
const KEPT: usize = 2;

/// Writes a snapshot durably, then removes all but the newest two. One that covers more than this, which cannot be read or
/// this would have been refused, is removed too.
pub(super) fn write(dir: &Directory, snapshot: &Snapshot) -> Result<(), JournalError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    header.extend_from_slice(&snapshot.upto.0.to_be_bytes());
    header.extend_from_slice(&(snapshot.bytes.len() as u64).to_be_bytes());
    header.extend_from_slice(&crc32c::crc32c(&snapshot.bytes).to_be_bytes());
    seal(&mut header, 0);
    dir.write_aside(&name(snapshot.upto), &[&header, &snapshot.bytes])?;
    let (unreadable, kept): (Vec<Index>, Vec<Index>) =
        list(&dir.names()?).into_iter().partition(|upto| *upto > snapshot.upto);
    for upto in unreadable.into_iter().chain(kept.into_iter().skip(KEPT)) {
        dir.remove(&dir.join(name(upto)))?;
    }
    Ok(())
}

/// The newest snapshot that can be read; those passed over are reported.
pub(super) fn newest(dir: &Directory, names: &[String], report: &mut Vec<Note>) -> Option<Snapshot> {
    for upto in list(names) {
        let path = dir.join(name(upto));
        match load(dir, &path, upto) {
            Ok(bytes) => return Some(Snapshot { upto, bytes }),
            Err(what) => report.push(Note::SnapshotDamaged { path, what }),
        }
    }
    None
}

fn load(dir: &Directory, path: &Path, upto: Index) -> Result<Vec<u8>, String> {
    let mut bytes = dir.read(path).map_err(|error| error.to_string())?;
    let parsed = bytes.get(..HEADER_BYTES).and_then(checked).and_then(|mut fields| {
        let magic = fields.take(MAGIC.len())?;
        Some((magic == MAGIC, fields.u32()?, Index(fields.u64()?), fields.u64()?, fields.u32()?))
    });
    let Some((true, version, found, length, crc)) = parsed else {
        return Err("its header is not what was written".to_owned());
    };
    if version != FORMAT_VERSION {
        return Err(format!("it has format version {version}, and this program reads {FORMAT_VERSION}"));
    }
    if found != upto {
        return Err(format!("it covers entries up to {found}, not {upto} as its name says"));
    }
    let content = bytes.split_off(HEADER_BYTES);
    if content.len() as u64 != length || crc32c::crc32c(&content) != crc {
        return Err("its content is not what was written".to_owned());
    }
    Ok(content)
}

/// What the snapshots among these names cover, newest first.
fn list(names: &[String]) -> Vec<Index> {
    let mut found: Vec<Index> = names.iter().filter_map(|name| parse_name(name)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

fn name(upto: Index) -> String {
    format!("{PREFIX}{upto:0>NAME_DIGITS$}{ENDING}", upto = upto.0)
}

fn parse_name(file_name: &str) -> Option<Index> {
    let digits = file_name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?;
    let is_ours = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| digits.parse().ok().map(Index))?
}
