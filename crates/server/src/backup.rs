//! Backups of a data directory, made while the server runs, and what is restored from them.
//!
//! A backup is one file (`docs/formats/backup.md`): the files of the data directory one after another, each with its
//! SHA-256, and a last line with the SHA-256 of everything before it. It needs nothing of the server: files of the
//! journal are only ever appended to or replaced whole, so copied in the right order they are what a crash at that
//! moment would have left, and starting from that is what the journal is made for.
//!
//! INVARIANT: what says how far the journal is durable is copied before the journal, and a snapshot before the segments
//! it covers; so the copy of the journal holds every entry that was acknowledged before the backup began.
//! INVARIANT: neither a backup nor a restored directory has its name before it is whole, verified and synced.
//! INVARIANT: a backup holds private keys only if that was asked for, and then as they lie on disk.
//! INVARIANT: a restored directory says that it is one ([`RESTORED`]), so that its server starts held.

mod archive;
mod check;
mod keys;
mod source;
mod verify;

use archive::{Reader, Writer};
use credence_journal::JournalError;
use credence_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

pub use check::{Checked, check_journal};

/// The file in a restored data directory that says so; the server removes it once that is recorded.
pub const RESTORED: &str = "restored.json";
/// Largest such file that is read, in bytes.
const RESTORED_BYTES_MAX: u64 = 64 * 1024;

/// Why there is no backup, or why one cannot be restored. Nothing was changed then.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The target is there already.
    #[error("{} is there already; name one that is not", .0.display())]
    Exists(PathBuf),
    /// The target has something in it.
    #[error("{} is not empty; name a directory that is not there yet", .0.display())]
    NotEmpty(PathBuf),
    /// The source is no data directory.
    #[error("{} holds no journal and authority of a server; name the server's data directory", .0.display())]
    NoData(PathBuf),
    /// The source is no backup, or not one that can be read.
    #[error("{} cannot be restored: {why}", path.display())]
    NoBackup {
        /// The backup.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A part of the backup is not what was backed up.
    #[error("{} is damaged in {part}: {why}; use another backup", path.display())]
    Damaged {
        /// The backup.
        path: PathBuf,
        /// The part.
        part: String,
        /// In which way.
        why: String,
    },
    /// The backup was made without keys, and they were not given.
    #[error("{} was made without private keys and {missing} is not given; name the directory that holds it with --keys", path.display())]
    NoKeys {
        /// The backup.
        path: PathBuf,
        /// The first that is missing.
        missing: String,
    },
    /// A key is not that of its certificate.
    #[error("{}: {why}; give the keys of this authority", path.display())]
    OtherKey {
        /// The key.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The journal in the backup cannot be read.
    #[error("the journal cannot be used")]
    Journal(#[from] JournalError),
    /// The journal in the backup breaks what must hold.
    #[error("the journal is wrong at entry {index}: {why}; use a backup, or another one")]
    Wrong {
        /// The entry.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// How many files.
    pub files: u64,
    /// How many bytes they have together.
    pub bytes: u64,
    /// Private keys that are not in it, by their path in the data directory.
    pub left_out: Vec<String>,
}

/// What was restored; the same is in [`RESTORED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The trust domain.
    pub trust_domain: String,
    /// When the backup was made.
    pub made_at: Timestamp,
    /// The last journal entry: what happened after it is not known.
    pub last_index: u64,
    /// When that was recorded.
    pub last_at: Timestamp,
}

/// Copies `data_dir`, whose server may run, into the file `to`, which must not be there; private keys only if asked for.
pub fn back_up(data_dir: &Path, to: &Path, with_keys: bool, now: Timestamp) -> Result<BackedUp, BackupError> {
    if !data_dir.join("journal/VERSION").is_file() || !data_dir.join("authority").is_dir() {
        return Err(BackupError::NoData(data_dir.to_owned()));
    }
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let (parent, aside) = beside(to)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside);
    let file = made.map_err(io_error("create", &aside))?;
    let written = Writer::new(file, &aside).and_then(|mut archive| {
        let left_out = source::copy(data_dir, with_keys, &mut archive)?;
        let backed_up = archive.finish(now, left_out)?;
        // Not a rename: another backup may have taken the name meanwhile, and that one is whole.
        fs::hard_link(&aside, to).map_err(io_error("put in place", to))?;
        sync_dir(&parent)?;
        Ok(backed_up)
    });
    // What is written aside has done its service, or is not whole.
    let _ = fs::remove_file(&aside);
    written
}

/// Builds `data_dir`, which must not be there or be empty, from the backup in `from`, after verifying all of it. Keys that
/// are not in the backup are taken from `keys`, a copy of the directory `authority`.
pub fn restore(from: &Path, data_dir: &Path, keys: Option<&Path>) -> Result<Restored, BackupError> {
    match fs::read_dir(data_dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(BackupError::NotEmpty(data_dir.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("look into", data_dir)(error)),
        _ => {}
    }
    let mut archive = Reader::open(from)?;
    let (parent, building) = beside(data_dir)?;
    DirBuilder::new().mode(0o700).create(&building).map_err(io_error("create", &building))?;
    let built = build(&mut archive, &building, keys).and_then(|restored| {
        source::sync_tree(&building)?;
        fs::rename(&building, data_dir).map_err(io_error("put in place", data_dir))?;
        sync_dir(&parent)?;
        Ok(restored)
    });
    if built.is_err() {
        // What is left of it has a name that nobody starts from.
        let _ = fs::remove_dir_all(&building);
    }
    built
}

fn build(archive: &mut Reader, dir: &Path, keys: Option<&Path>) -> Result<Restored, BackupError> {
    while archive.next_file(dir)? {}
    let end = archive.end()?;
    keys::complete(archive.path(), &end.left_out, keys, dir)?;
    keys::check(&dir.join("authority"))?;
    let restored = verify::journal(&dir.join("journal"), end.made_at)?;
    let path = dir.join(RESTORED);
    let text = serde_json::to_vec(&restored).map_err(|error| io_error("write", &path)(error.into()))?;
    write_private(&path, &text)?;
    Ok(restored)
}

/// What `credence restore` left in a data directory, if its server has not recorded it yet.
pub fn read_restored(data_dir: &Path) -> Result<Option<Restored>, BackupError> {
    let path = data_dir.join(RESTORED);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io_error("read", &path))?,
    };
    let read = serde_json::from_reader(io::Read::take(file, RESTORED_BYTES_MAX));
    read.map(Some).map_err(|error| io_error("read", &path)(error.into()))
}

/// Removes what [`read_restored`] read.
pub fn forget_restored(data_dir: &Path) -> Result<(), BackupError> {
    let path = data_dir.join(RESTORED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("remove", &path)(error)),
        Ok(()) => sync_dir(data_dir),
    }
}

/// The directory of a path, and a name in it that nobody takes for a finished thing.
fn beside(path: &Path) -> Result<(PathBuf, PathBuf), BackupError> {
    let name = path.file_name().ok_or_else(|| BackupError::NotEmpty(path.to_owned()))?.to_string_lossy();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent.to_owned(), parent.join(format!(".{name}.{}.partial", std::process::id()))))
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    })
    .map_err(io_error("write", path))
}

/// Makes the names in a directory durable.
fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { doing, path, source }
}
