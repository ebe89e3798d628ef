//! The directory of a journal, and the few steps everything else is made of, each with the path in its error.
//!
//! INVARIANT: a file that is created or replaced whole is written aside, synced, renamed, and its directory synced, so
//! that a crash leaves either the old file, the new one, or a leftover named `*.tmp`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::JournalError;
use crate::files::{Files, OpenFile, OpenMode};

/// Ending of a file that is being written aside.
pub(super) const ASIDE: &str = "tmp";

/// Where a journal is kept, and on which file system.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    files: Arc<dyn Files>,
    path: PathBuf,
}

impl Directory {
    /// Makes the directory, and those above it, unless it is there.
    pub(super) fn make(files: Arc<dyn Files>, path: &Path) -> Result<Self, JournalError> {
        let directory = Self { files, path: path.to_owned() };
        if directory.files.is_dir(path) {
            return Ok(directory);
        }
        directory.files.make_dir(path).map_err(|e| JournalError::io("create", path, e))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            directory.files.sync_dir(parent).map_err(|e| JournalError::io("sync the directory", parent, e))?;
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub(super) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Makes names created, renamed or removed in the directory durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.files.sync_dir(&self.path).map_err(|e| JournalError::io("sync the directory", &self.path, e))
    }

    /// Names of the files in it.
    pub(super) fn names(&self) -> Result<Vec<String>, JournalError> {
        self.files.names(&self.path).map_err(|e| JournalError::io("list", &self.path, e))
    }

    /// Opens a file of the journal.
    pub(super) fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn OpenFile>, JournalError> {
        self.files.open(path, mode).map_err(|e| JournalError::io("open", path, e))
    }

    /// The bytes of a file, or the system's own answer.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }

    /// Removes a file of the journal.
    pub(super) fn remove(&self, path: &Path) -> Result<(), JournalError> {
        self.files.remove(path).map_err(|e| JournalError::io("remove", path, e))
    }

    /// Creates or replaces a file as a whole, durably. The parts are written one after the other.
    pub(super) fn write_aside(&self, name: &str, parts: &[&[u8]]) -> Result<PathBuf, JournalError> {
        let aside = self.join(format!("{name}.{ASIDE}"));
        let path = self.join(name);
        let written = self.write_new(&aside, parts).map_err(|e| JournalError::io("write", &aside, e));
        if let Err(error) = written {
            // Best effort: what is left is removed at the next start.
            let _ = self.files.remove(&aside);
            return Err(error);
        }
        let renamed = self.files.rename(&aside, &path);
        renamed.map_err(|e| JournalError::io("rename a finished file to", &path, e))?;
        self.sync()?;
        Ok(path)
    }

    fn write_new(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let file = self.files.open(path, OpenMode::Replace)?;
        let mut offset = 0;
        for part in parts {
            file.write_all_at(part, offset)?;
            offset += part.len() as u64;
        }
        file.sync_all()
    }
}

/// Reads a file from a place on.
pub(super) struct Reader<'a> {
    file: &'a dyn OpenFile,
    offset: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn OpenFile, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.offset)?;
        self.offset = self.offset.saturating_add(read as u64);
        Ok(read)
    }
}
