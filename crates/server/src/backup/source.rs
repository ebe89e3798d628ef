//! What of a data directory goes into a backup, and in which order.

use super::archive::Writer;
use super::{BackupError, io_error, keys, sync_dir};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Deepest directory that is copied below the data directory.
const DEPTH_MAX: usize = 8;
/// Largest file that is read until it is the same twice, in bytes.
const SMALL_BYTES_MAX: u64 = 4096;
/// How often such a file is read before the last reading is taken.
const READINGS_MAX: usize = 100;

/// Copies everything but sockets, locks and, unless they are wanted, private keys; answers those that were left out.
pub(super) fn copy(data_dir: &Path, with_keys: bool, archive: &mut Writer) -> Result<Vec<String>, BackupError> {
    let mut done = BTreeSet::new();
    let mut left_out = Vec::new();
    tree(data_dir, "archives", &mut done, archive)?;
    file(data_dir, "journal/VERSION", &mut done, archive)?;
    steady(data_dir, "journal/SYNCED", &mut done, archive)?;
    // Snapshots before segments, and those from the oldest on. What is appended meanwhile may be cut anywhere.
    let journal = names(&data_dir.join("journal"))?;
    for ending in [".snap", ".seg"] {
        for (name, _) in journal.iter().filter(|(name, _)| name.ends_with(ending)) {
            file(data_dir, &format!("journal/{name}"), &mut done, archive)?;
        }
    }
    for path in below(data_dir, "authority")? {
        if keys::is_secret(&path) && !with_keys {
            left_out.push(path);
        } else {
            file(data_dir, &path, &mut done, archive)?;
        }
    }
    // The seed of retried join tokens is a secret, too; a server that misses it makes another.
    if with_keys {
        file(data_dir, "token-seed", &mut done, archive)?;
    }
    file(data_dir, "mark-key", &mut done, archive)?;
    // Once more: what actors left behind while the journal was copied belongs to entries that it has.
    tree(data_dir, "archives", &mut done, archive)?;
    Ok(left_out)
}

fn tree(from: &Path, dir: &str, done: &mut BTreeSet<String>, archive: &mut Writer) -> Result<(), BackupError> {
    below(from, dir)?.iter().try_for_each(|path| file(from, path, done, archive))
}

/// Copies as much of a file as it has now; one that is not there (any more) or was copied is passed over.
fn file(from: &Path, path: &str, done: &mut BTreeSet<String>, archive: &mut Writer) -> Result<(), BackupError> {
    let source = from.join(path);
    let opened = match File::open(&source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(io_error("read", &source))?,
    };
    if !done.insert(path.to_owned()) {
        return Ok(());
    }
    let bytes = opened.metadata().map_err(io_error("read", &source))?.len();
    archive.file(path, opened, bytes, &source)
}

/// The same for a small file that is overwritten in place again and again: half of one writing and half of the next
/// must not be taken.
fn steady(from: &Path, path: &str, done: &mut BTreeSet<String>, archive: &mut Writer) -> Result<(), BackupError> {
    let source = from.join(path);
    let read = || {
        let mut bytes = Vec::new();
        let opened = File::open(&source)?;
        io::Read::read_to_end(&mut io::Read::take(opened, SMALL_BYTES_MAX), &mut bytes)?;
        Ok(bytes)
    };
    let mut last: Vec<u8> = match read() {
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(io_error("read", &source))?,
    };
    for _ in 0..READINGS_MAX {
        let again = read().map_err(io_error("read", &source))?;
        if again == last {
            break;
        }
        last = again;
    }
    done.insert(path.to_owned());
    archive.file(path, last.as_slice(), last.len() as u64, &source)
}

/// The files in a directory and below it, by their paths in the data directory.
fn below(data_dir: &Path, dir: &str) -> Result<Vec<String>, BackupError> {
    let mut found = Vec::new();
    let mut waiting = vec![(dir.to_owned(), 1)];
    while let Some((dir, depth)) = waiting.pop() {
        for (name, is_dir) in names(&data_dir.join(&dir))? {
            let path = format!("{dir}/{name}");
            match is_dir {
                true if depth < DEPTH_MAX => waiting.push((path, depth + 1)),
                true => {}
                false => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files and directories in a directory, sorted; without sockets, and without what is being written.
pub(super) fn names(dir: &Path) -> Result<Vec<(String, bool)>, BackupError> {
    let failed = || io_error("look into", dir);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed())?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed())?;
        let kind = entry.file_type().map_err(failed())?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_aside = name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".new");
        if (kind.is_file() || kind.is_dir()) && !is_aside {
            found.push((name, kind.is_dir()));
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the names in a directory and below it durable.
pub(super) fn sync_tree(dir: &Path) -> Result<(), BackupError> {
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        sync_dir(&dir)?;
        waiting.extend(names(&dir)?.into_iter().filter(|(_, is_dir)| *is_dir).map(|(name, _)| dir.join(name)));
    }
    Ok(())
}
