//! State archives: an actor's private directory and its log as one file that is named by its digest.
//!
//! The same state gives the same bytes: entries are sorted by name, times and owners are zero. Regular files, directories
//! and links that stay inside are kept; sockets, devices, pipes and links that lead outside are left out and counted.
//!
//! Unpacking trusts nothing: an archive came over the network from another machine. It refuses what it does not know, and
//! it never follows a link that it made, because every parent of an entry must be a directory of the same archive.

use credence_model::id::Digest;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

mod pack;
mod unpack;

/// Largest archive, in bytes.
pub const ARCHIVE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most bytes of all files of an archive together.
pub const CONTENT_BYTES_MAX: u64 = ARCHIVE_BYTES_MAX;
/// Most files, directories and links.
pub const ENTRIES_MAX: usize = 10_000;
/// Longest name of an entry, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// Most directories in one another.
pub const DEPTH_MAX: usize = 64;

/// Where the actor's private directory is in the archive.
const STATE: &str = "state";
/// Where the log is.
const LOG: &str = "log";

/// Why an archive could not be written or is not accepted.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The file system said no.
    #[error("state archive: cannot read or write it")]
    Io(#[from] io::Error),
    /// There is too much in it.
    #[error("state archive: more than {limit} {what}; let the actor keep less in its home directory")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// An entry has a name that is absolute, leads upwards or is not plain.
    #[error("state archive: the name {0:?} is not a plain path inside the archive")]
    Name(String),
    /// An entry lies in something that is no directory of the archive.
    #[error("state archive: {0:?} lies in a directory that the archive does not have")]
    Parent(String),
    /// A link leads out of the state directory.
    #[error("state archive: the link {0:?} leads out of the state directory")]
    Link(String),
    /// A device, pipe, hard link or something unknown.
    #[error("state archive: {0:?} is neither a file nor a directory nor a symbolic link")]
    EntryKind(String),
    /// Two entries have one name.
    #[error("state archive: {0:?} is there twice")]
    Twice(String),
}

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Entries that were left out.
    pub skipped: u64,
}

/// Packs the directory `state` and the file `log` (if it is there) into the new file `into`. Nothing may write to `state`
/// meanwhile. A file that was begun is removed on failure.
pub fn pack(state: &Path, log: &Path, into: &Path) -> Result<Packed, ArchiveError> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(into)?;
    let mut sink = Sink { file: BufWriter::new(file), digest: <sha2::Sha256 as sha2::Digest>::new(), bytes: 0 };
    let packed = pack::write(state, log, &mut sink).and_then(|skipped| {
        sink.flush()?;
        Ok(Packed { digest: Digest(sha2::Digest::finalize(sink.digest).into()), bytes: sink.bytes, skipped })
    });
    if packed.is_err() {
        // The failure is what counts; a file that is left over is removed with the state directory later.
        let _ = std::fs::remove_file(into);
    }
    packed
}

/// Unpacks an archive into the empty directory `state` and replaces the file `log`.
pub fn unpack(archive: &Path, state: &Path, log: &Path) -> Result<(), ArchiveError> {
    let file = File::open(archive)?;
    if file.metadata()?.len() > ARCHIVE_BYTES_MAX {
        return Err(too_much("bytes", ARCHIVE_BYTES_MAX));
    }
    unpack::read(BufReader::new(file), state, log)
}

/// The SHA-256 of a file, its content address.
pub fn digest(path: &Path) -> io::Result<Digest> {
    let mut digest = <sha2::Sha256 as sha2::Digest>::new();
    let mut file = File::open(path)?;
    let mut bytes = vec![0; 64 * 1024];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(Digest(sha2::Digest::finalize(digest).into())),
            count => sha2::Digest::update(&mut digest, bytes.get(..count).unwrap_or_default()),
        }
    }
}

fn too_much(what: &'static str, limit: u64) -> ArchiveError {
    ArchiveError::TooMuch { what, limit }
}

/// Whether a link that lies `depth` directories deep stays inside: a relative target whose `..` all come first and do not
/// climb above the top. A `..` behind a name could leave through another link, so it never counts as inside.
fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut up = 0;
    let mut named = false;
    for component in target.components() {
        match component {
            Component::Normal(_) => named = true,
            Component::CurDir => {}
            Component::ParentDir if !named => up += 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().is_empty() && up <= depth && target.as_os_str().len() <= NAME_BYTES_MAX
}

/// A file that is hashed and counted while it is written.
struct Sink {
    file: BufWriter<File>,
    digest: sha2::Sha256,
    bytes: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        sha2::Digest::update(&mut self.digest, bytes.get(..count).unwrap_or_default());
        self.bytes += u64::try_from(count).unwrap_or(0);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A name for people.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Name of an entry below [`STATE`].
fn in_state(relative: &Path) -> PathBuf {
    Path::new(STATE).join(relative)
}

#[cfg(test)]
mod tests;
