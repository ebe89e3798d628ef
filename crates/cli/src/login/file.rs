//! The file that holds a login, which nobody but its owner can read.

use crate::failure::Failure;
use crate::login::Login;
use credence_model::refusal::Kind;
use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Its name, in the program's home.
const FILE_NAME: &str = "login.json";
/// Name of the file that is locked by whoever changes it.
const LOCK_NAME: &str = "login.lock";
/// Largest file that is written or read, in bytes: two tokens and what belongs to them.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads it, if there is one.
pub(super) fn read(home: &Path) -> Result<Option<Login>, Failure> {
    let path = home.join(FILE_NAME);
    let wrong = |why: String| {
        let failure = Failure::new(Kind::Malformed, format!("{} cannot be used: {why}", path.display()));
        failure.hint("Run `credence logout`, then `credence login`")
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if metadata.mode() & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(wrong("others can read it, or it is another user's".into()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    if is_too_large(&bytes) {
        return Err(wrong("it is too large".into()));
    }
    // The message of the reader could repeat a token.
    serde_json::from_slice(&bytes).map(Some).map_err(|_| wrong("it is not a login of this version".into()))
}

/// Writes it aside and renames it.
pub(super) fn write(home: &Path, login: &Login) -> Result<PathBuf, Failure> {
    let path = home.join(FILE_NAME);
    let aside = home.join(format!("{FILE_NAME}.{}", std::process::id()));
    let written = || {
        let text = Zeroizing::new(serde_json::to_vec(login)?);
        if is_too_large(&text) {
            return Err(std::io::Error::other(format!("the tokens take more than {FILE_BYTES_MAX} bytes")));
        }
        let _ = std::fs::remove_file(&aside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)
    };
    written().map_err(|error| unwritable(&path, &error))?;
    Ok(path)
}

/// Removes it, and what was left of it by whoever was stopped while writing; whether it was there.
pub(super) fn remove(home: &Path) -> Result<bool, Failure> {
    let was_there = remove_one(&home.join(FILE_NAME))?;
    for path in written_aside(home).map_err(|error| unremovable(home, &error))? {
        remove_one(&path)?;
    }
    Ok(was_there)
}

fn written_aside(home: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(FILE_NAME).is_some_and(|rest| rest.starts_with('.'))
    };
    let paths: std::io::Result<Vec<_>> = std::fs::read_dir(home)?.map(|entry| Ok(entry?.path())).collect();
    Ok(paths?.into_iter().filter(is_aside).collect())
}

fn remove_one(path: &Path) -> Result<bool, Failure> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unremovable(path, &error)),
    }
}

/// Waits until nobody else changes it; dropped, others may.
pub(super) fn lock(home: &Path) -> Result<File, Failure> {
    let path = home.join(LOCK_NAME);
    let locked = || {
        DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    };
    locked().map_err(|error| unwritable(&path, &error))
}

fn is_too_large(bytes: &[u8]) -> bool {
    u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_BYTES_MAX)
}

fn unremovable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Unavailable, format!("{} cannot be removed: {error}", path.display()))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Unavailable, format!("{} cannot be written: {error}", path.display()))
}
