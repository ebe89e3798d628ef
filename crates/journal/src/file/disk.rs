//! The few file-system steps everything else is made of, each with the path in its error.
//!
//! INVARIANT: a file that is created or replaced whole is written aside, synced, renamed, and its directory synced, so
//! that a crash leaves either the old file, the new one, or a leftover named `*.tmp`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::JournalError;

/// Ending of a file that is being written aside.
pub(super) const ASIDE: &str = "tmp";

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// Makes the directory, and those above it, unless it is there.
pub(super) fn make_dir(dir: &Path) -> Result<(), JournalError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(|e| JournalError::io("create", dir, e))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Makes names created, renamed or removed in the directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| JournalError::io("sync the directory", dir, e))
}

/// Opens a file of the journal for reading and writing.
pub(super) fn open_rw(path: &Path, create: bool) -> Result<File, JournalError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|e| JournalError::io("open", path, e))
}

/// Creates or replaces a file as a whole, durably. The parts are written one after the other.
pub(super) fn write_aside(dir: &Path, name: &str, parts: &[&[u8]]) -> Result<PathBuf, JournalError> {
    let aside = dir.join(format!("{name}.{ASIDE}"));
    let path = dir.join(name);
    let written = write_new(&aside, parts).map_err(|e| JournalError::io("write", &aside, e));
    if let Err(error) = written {
        // Best effort: what is left is removed at the next start.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    fs::rename(&aside, &path).map_err(|e| JournalError::io("rename a finished file to", &path, e))?;
    sync_dir(dir)?;
    Ok(path)
}

fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Removes a file of the journal.
pub(super) fn remove(path: &Path) -> Result<(), JournalError> {
    fs::remove_file(path).map_err(|e| JournalError::io("remove", path, e))
}

/// Names of the files in the directory.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, JournalError> {
    let listed = fs::read_dir(dir).and_then(|entries| {
        // A name that is not UTF-8 is none of ours.
        entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose()).collect()
    });
    listed.map_err(|e| JournalError::io("list", dir, e))
}
