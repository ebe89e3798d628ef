//! What can go wrong with a journal, in sentences for the person who has to act on it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::position::{Fence, Index};

/// Why the journal did not do what was asked.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process holds the directory's lock.
    #[error("the data directory {} is in use by {}; stop it first, or choose another with --data-dir", dir.display(), holder(*pid, program))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process that holds it, when it said so.
        pid: Option<u32>,
        /// Its program name; empty when unknown.
        program: String,
    },
    /// The directory was written by a newer version of this program.
    #[error("{} says format version {found}, and this program reads up to {supported}; start the newer program that wrote it, or restore a backup made before the upgrade", path.display())]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version this program reads.
        supported: u32,
    },
    /// Bytes that were written are not what they were. Nothing was changed.
    #[error("{} is damaged at byte {offset}: {what}; nothing was changed: keep a copy of the directory, then restore it from a backup or a replica", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Byte offset in it of what could not be read.
        offset: u64,
        /// What is wrong there, and what else can be done about it.
        what: String,
    },
    /// The file system refused.
    #[error("cannot {doing} {}: {obstacle}", path.display())]
    Io {
        /// What was attempted, as a verb.
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What stands in the way, and what to do about it.
        obstacle: Obstacle,
        /// The system's answer.
        source: io::Error,
    },
    /// The caller does not own the journal (any more).
    #[error("fence {given} is not the newest one opened, {newest}: another owner took over; recover before appending")]
    StaleFence {
        /// The fence the caller gave.
        given: Fence,
        /// The newest fence opened.
        newest: Fence,
    },
    /// An append or a snapshot failed half-way; memory and disk may differ until the next recovery.
    #[error("the journal stopped after a failed write; recover it before using it again")]
    Poisoned,
    /// Nothing can be asked of a journal before its first recovery.
    #[error("the journal was not recovered yet; recover it before using it")]
    NotRecovered,
    /// A batch, entry or snapshot is beyond its limit. Nothing was changed.
    #[error("{what} of {given} {unit} is beyond the limit of {max}; split it")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Unit of the two numbers.
        unit: &'static str,
        /// Its size.
        given: u64,
        /// The limit.
        max: u64,
    },
    /// A snapshot covers entries that do not exist, or fewer than the newest snapshot. Nothing was changed.
    #[error("a snapshot up to entry {upto} does not fit: the newest one covers {newest}, the last entry is {last}")]
    SnapshotOutOfRange {
        /// The last entry the refused snapshot covers.
        upto: Index,
        /// The last entry the newest stored snapshot covers.
        newest: Index,
        /// The last entry there is.
        last: Index,
    },
}

impl JournalError {
    /// Wraps a system error with what was attempted on which path.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), obstacle: Obstacle::of(&source), source }
    }

    /// Reports damage at a byte of a file.
    pub(crate) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), offset, what: what.into() }
    }
}

/// What stands in the way of a file operation. Displays what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The file system is mounted read-only.
    ReadOnly,
    /// The process lacks the permission.
    NoPermission,
    /// The disk or the quota is full.
    Full,
    /// The path does not exist.
    Missing,
    /// A part of the path that has to be a directory is something else.
    NotADirectory,
    /// The device failed.
    Device,
    /// Anything else; the source says what.
    Other,
}

impl Obstacle {
    /// Classifies a system error.
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full,
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Self::NotADirectory,
            _ if error.raw_os_error() == Some(EIO) => Self::Device,
            _ => Self::Other,
        }
    }
}

/// Linux `EIO`, which the standard library has no kind for.
const EIO: i32 = 5;

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => {
                "the file system is mounted read-only; mount it writable, or choose another directory with --data-dir"
            }
            Self::NoPermission => {
                "permission denied; give the directory to the user this process runs as, or choose another with --data-dir"
            }
            Self::Full => "the disk, the quota or the file size limit is full; free some space and start again",
            Self::Missing => "it does not exist; create it, or choose another directory with --data-dir",
            Self::NotADirectory => "a part of the path is a file, not a directory; choose another with --data-dir",
            Self::Device => "the device reported an error; check the disk and the kernel log before starting again",
            Self::Other => "the system refused",
        })
    }
}

fn holder(pid: Option<u32>, program: &str) -> String {
    match (pid, program) {
        (None, _) => "another process".to_owned(),
        (Some(pid), "") => format!("process {pid}"),
        (Some(pid), program) => format!("process {pid} ({program})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_error_names_what_to_do() {
        let check = |errno: i32, obstacle: Obstacle, advice: &str| {
            let error = JournalError::io("append to", Path::new("/data/x.seg"), io::Error::from_raw_os_error(errno));
            assert!(matches!(error, JournalError::Io { obstacle: found, .. } if found == obstacle), "{error:?}");
            let text = error.to_string();
            assert!(text.starts_with("cannot append to /data/x.seg: ") && text.contains(advice), "{text}");
        };
        check(30, Obstacle::ReadOnly, "mount it writable");
        check(13, Obstacle::NoPermission, "the user this process runs as");
        check(1, Obstacle::NoPermission, "the user this process runs as");
        check(28, Obstacle::Full, "free some space");
        check(122, Obstacle::Full, "free some space");
        check(2, Obstacle::Missing, "create it");
        check(20, Obstacle::NotADirectory, "choose another");
        check(5, Obstacle::Device, "check the disk");
        check(24, Obstacle::Other, "the system refused");
    }

    #[test]
    fn an_unknown_holder_is_still_a_sentence() {
        assert_eq!(holder(None, ""), "another process");
        assert_eq!(holder(Some(7), ""), "process 7");
        assert_eq!(holder(Some(7), "credence"), "process 7 (credence)");
    }
}
