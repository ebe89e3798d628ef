//! `VERSION`: which format the directory is in, readable by a person and by every later version of the program.

use super::directory::Directory;
use crate::error::JournalError;

/// The format this program writes, and the newest it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

const NAME: &str = "VERSION";
const PREFIX: &str = "credence-journal ";

/// Checks the version, or writes it when the directory is new.
pub(super) fn check(dir: &Directory, is_new: bool) -> Result<(), JournalError> {
    let path = dir.join(NAME);
    let bytes = match dir.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_new => {
            dir.write_aside(NAME, &[format!("{PREFIX}{FORMAT_VERSION}\n").as_bytes()])?;
            return Ok(());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(JournalError::damaged(&path, 0, "it is missing, and the directory holds a journal"));
        }
        Err(error) => return Err(JournalError::io("read", &path, error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    match text.strip_prefix(PREFIX).and_then(|rest| rest.trim_end().parse::<u32>().ok()) {
        Some(FORMAT_VERSION) => Ok(()),
        Some(found) if found > FORMAT_VERSION => {
            Err(JournalError::NewerFormat { path, found, supported: FORMAT_VERSION })
        }
        _ => Err(JournalError::damaged(&path, 0, format!("it should read \"{PREFIX}{FORMAT_VERSION}\""))),
    }
}
