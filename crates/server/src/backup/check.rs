//! Reads the journal of a data directory as a start would, without touching it: its server may run.
//!
//! What a start would write to is copied, everything else linked, into a directory beside the journal.

use super::{BackupError, io_error, source};
use credence_journal::{FileJournal, FileOptions, Index, Journal as _, Verify};
use credence_model::event::Entry;
use credence_model::time::Timestamp;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The last entry.
    pub last_index: u64,
    /// When it was recorded.
    pub last_at: Timestamp,
    /// How many entries were read and verified: those that the snapshot does not cover.
    pub verified: u64,
}

/// Verifies the journal since its snapshot.
pub fn check_journal(data_dir: &Path) -> Result<Checked, BackupError> {
    let aside = data_dir.join(format!(".check.{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&aside).map_err(io_error("create", &aside))?;
    let checked = gather(&data_dir.join("journal"), &aside).and_then(|()| read(&aside));
    // It is a copy; its name says that nobody starts from it.
    let _ = fs::remove_dir_all(&aside);
    checked
}

fn gather(journal: &Path, aside: &Path) -> Result<(), BackupError> {
    let copy = |name: &str| match fs::copy(journal.join(name), aside.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("copy", &journal.join(name))(error)),
        _ => Ok(()),
    };
    ["VERSION", "SYNCED"].into_iter().try_for_each(copy)?;
    let names: Vec<_> = source::names(journal)?.into_iter().map(|(name, _)| name).collect();
    let ending = |ending: &'static str| names.iter().filter(move |name| name.ends_with(ending));
    let last = ending(".seg").next_back();
    for name in ending(".snap").chain(ending(".seg")) {
        if Some(name) == last {
            copy(name)?;
            continue;
        }
        match fs::hard_link(journal.join(name), aside.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("link", &journal.join(name))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn read(dir: &Path) -> Result<Checked, BackupError> {
    let mut journal = FileJournal::open(dir, FileOptions { verify: Verify::SinceSnapshot, ..FileOptions::default() })?;
    let recovered = journal.recover()?;
    let last = journal.read(Index(recovered.last.0.max(1)), 1)?;
    let Some((_, bytes)) = last.first() else {
        return Ok(Checked { last_index: 0, last_at: Timestamp::default(), verified: 0 });
    };
    let wrong = |error: &dyn std::fmt::Display| BackupError::Wrong { index: recovered.last.0, why: error.to_string() };
    let entry = Entry::decode(bytes).map_err(|error| wrong(&error))?;
    Ok(Checked { last_index: entry.index, last_at: entry.at, verified: recovered.entries.len() as u64 })
}
