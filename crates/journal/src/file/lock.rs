//! `LOCK`: one process at a time.
//!
//! The lock is the system's advisory lock on the open file, so it ends with the process however that dies. The text in the
//! file (process id, program) only serves the error message of the next one who comes.

use std::fs::TryLockError;
use std::io;
use std::path::Path;

use super::directory::Directory;
use crate::error::JournalError;
use crate::files::{OpenFile, OpenMode};

const NAME: &str = "LOCK";
/// Bytes of the holder's program name that are repeated in an error, at most.
const PROGRAM_BYTES_MAX: usize = 64;

/// The lock of a directory, held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: Box<dyn OpenFile>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails, the lock ends with the file.
        let _ = self.file.unlock();
    }
}

/// Takes the lock, or says who holds it.
pub(super) fn take(dir: &Directory) -> Result<Lock, JournalError> {
    let path = dir.join(NAME);
    let file = dir.open(&path, OpenMode::WriteOrCreate)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let (pid, program) = holder(dir, &path);
            return Err(JournalError::InUse { dir: dir.path().to_owned(), pid, program });
        }
        Err(TryLockError::Error(error)) => return Err(JournalError::io("lock", &path, error)),
    }
    sign(file.as_ref()).map_err(|e| JournalError::io("write", &path, e))?;
    Ok(Lock { file })
}

fn sign(file: &dyn OpenFile) -> io::Result<()> {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_default();
    file.set_length(0)?;
    file.write_all_at(format!("{}\n{program}\n", std::process::id()).as_bytes(), 0)
}

fn holder(dir: &Directory, path: &Path) -> (Option<u32>, String) {
    let bytes = dir.read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok());
    let program =
        lines.next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(PROGRAM_BYTES_MAX).collect();
    (pid, program)
}
