//! The seam below the file journal: the few things it asks of a file system.
//!
//! There is one real implementation, [`SystemFiles`]. Another one, in the simulator, tears writes, forgets what was not
//! synced, fills up and fails on demand, so that the code that runs in production is the code that is tested so. A call
//! through the seam costs nothing that can be measured beside the write that it leads to.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// Directories and the names in them.
pub trait Files: fmt::Debug + Send + Sync {
    /// Whether there is a directory of this name.
    fn is_dir(&self, path: &Path) -> bool;

    /// Makes a directory that only its owner may enter, and those above it.
    ///
    /// # Errors
    /// Those of the system.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in no order; one that is not UTF-8 is left out.
    ///
    /// # Errors
    /// Those of the system.
    fn names(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Opens a file, or makes one that only its owner may open.
    ///
    /// # Errors
    /// Those of the system.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn OpenFile>>;

    /// The bytes of a whole file.
    ///
    /// # Errors
    /// Those of the system.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Gives a file another name, in place of the file that had it.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To be read.
    Read,
    /// To be read and written.
    Write,
    /// To be read and written; made if it is not there.
    WriteOrCreate,
    /// To be written from the beginning; made if it is not there, emptied if it is.
    Replace,
}

/// An open file.
pub trait OpenFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn length(&self) -> io::Result<u64>;

    /// Reads some bytes from a place on; none at the end.
    ///
    /// # Errors
    /// Those of the system.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of the bytes at a place.
    ///
    /// # Errors
    /// Those of the system; any part of the bytes may be written then.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts it, or fills it up with zeros.
    ///
    /// # Errors
    /// Those of the system.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Waits until its bytes are durable, and its length if it grew.
    ///
    /// # Errors
    /// Those of the system; what was written may then be lost although it can be read.
    fn sync_data(&self) -> io::Result<()>;

    /// The same, and everything else that is known of the file.
    ///
    /// # Errors
    /// As above.
    fn sync_all(&self) -> io::Result<()>;

    /// Locks the file against every other opening of it, for as long as this one lives.
    ///
    /// # Errors
    /// That another one holds it, or those of the system.
    fn try_lock(&self) -> Result<(), TryLockError>;
    /// Gives the lock back. Closing the file does that, too, but not before a child has closed its copy that was forked just then.
    ///
    /// # Errors
    /// As the system says.
    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(path)?;
        entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose()).collect()
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn OpenFile>> {
        let file = OpenOptions::new()
            .read(mode != OpenMode::Replace)
            .write(mode != OpenMode::Read)
            .create(matches!(mode, OpenMode::WriteOrCreate | OpenMode::Replace))
            .truncate(mode == OpenMode::Replace)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl OpenFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        Self::sync_all(self)
    }

    fn try_lock(&self) -> Result<(), TryLockError> {
        Self::try_lock(self)
    }
    fn unlock(&self) -> io::Result<()> {
        Self::unlock(self)
    }
}
