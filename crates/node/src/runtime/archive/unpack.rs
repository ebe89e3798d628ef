//! Reading an archive that somebody else wrote.

use crate::runtime::archive::{
    ArchiveError, CONTENT_BYTES_MAX, DEPTH_MAX, ENTRIES_MAX, LOG, NAME_BYTES_MAX, STATE, shown, stays_inside, too_much,
};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// Unpacks into the empty directory `state`, and the log over `log`.
pub(super) fn read(source: impl Read, state: &Path, log: &Path) -> Result<(), ArchiveError> {
    let mut unpacking =
        Unpacking { state, log, directories: BTreeSet::new(), names: BTreeSet::new(), modes: Vec::new(), content: 0 };
    for entry in Archive::new(source).entries()? {
        unpacking.entry(entry?)?;
    }
    unpacking.finish()
}

struct Unpacking<'p> {
    state: &'p Path,
    log: &'p Path,
    /// Directories that this archive has made: the only parents that an entry may have.
    directories: BTreeSet<PathBuf>,
    names: BTreeSet<PathBuf>,
    /// Modes of directories, set at the end: a directory without the right to write must be filled first.
    modes: Vec<(PathBuf, u32)>,
    content: u64,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let name = plain(&entry.path()?)?;
        if self.names.len() >= ENTRIES_MAX {
            return Err(too_much("files", ENTRIES_MAX as u64));
        }
        if !self.names.insert(name.clone()) {
            return Err(ArchiveError::Twice(shown(&name)));
        }
        self.content = self.content.saturating_add(entry.header().size()?);
        if self.content > CONTENT_BYTES_MAX {
            return Err(too_much("bytes of files", CONTENT_BYTES_MAX));
        }
        let kind = entry.header().entry_type();
        if name == Path::new(LOG) && kind == EntryType::Regular {
            return Ok(self.log(&mut entry)?);
        }
        let at = self.place(&name, kind)?;
        let mode = entry.header().mode()? & 0o700;
        match kind {
            EntryType::Directory => self.directory(&name, &at, mode),
            EntryType::Regular => Ok(write(&at, mode, &mut entry)?),
            EntryType::Symlink => link(&name, &at, &entry),
            _ => Err(ArchiveError::EntryKind(shown(&name))),
        }
    }

    /// Where an entry goes; its parent must have been made by this archive.
    fn place(&self, name: &Path, kind: EntryType) -> Result<PathBuf, ArchiveError> {
        let relative = name.strip_prefix(STATE).map_err(|_| ArchiveError::Name(shown(name)))?;
        if relative == Path::new("") {
            let top = kind == EntryType::Directory;
            return if top { Ok(self.state.to_owned()) } else { Err(ArchiveError::EntryKind(shown(name))) };
        }
        if name.parent().is_some_and(|parent| self.directories.contains(parent)) {
            Ok(self.state.join(relative))
        } else {
            Err(ArchiveError::Parent(shown(name)))
        }
    }

    fn directory(&mut self, name: &Path, at: &Path, mode: u32) -> Result<(), ArchiveError> {
        if name.components().count() > DEPTH_MAX + 1 {
            return Err(too_much("directories in one another", DEPTH_MAX as u64));
        }
        if name != Path::new(STATE) {
            DirBuilder::new().mode(0o700).create(at)?;
            self.modes.push((at.to_owned(), mode));
        }
        self.directories.insert(name.to_owned());
        Ok(())
    }

    /// Written aside and renamed, so that a reader of the old log sees one or the other.
    fn log(&self, entry: &mut impl Read) -> io::Result<()> {
        if let Some(dir) = self.log.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let aside = self.log.with_extension("log.new");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        io::copy(entry, &mut file)?;
        fs::rename(&aside, self.log)
    }

    fn finish(self) -> Result<(), ArchiveError> {
        for (at, mode) in self.modes.iter().rev() {
            fs::set_permissions(at, fs::Permissions::from_mode(*mode))?;
        }
        Ok(())
    }
}

/// A relative path of plain names and nothing else.
fn plain(name: &Path) -> Result<PathBuf, ArchiveError> {
    let wrong = || ArchiveError::Name(shown(name));
    if name.as_os_str().len() > NAME_BYTES_MAX + 1 || name.as_os_str().is_empty() {
        return Err(wrong());
    }
    if name.components().all(|component| matches!(component, Component::Normal(_))) {
        // Collected again, because the name of a directory may end with a slash.
        Ok(name.components().collect())
    } else {
        Err(wrong())
    }
}

/// Creates a file that is not there yet: nothing is overwritten and no link is followed.
fn write(at: &Path, mode: u32, content: &mut impl Read) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(at)?;
    io::copy(content, &mut file)?;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

fn link(name: &Path, at: &Path, entry: &Entry<'_, impl Read>) -> Result<(), ArchiveError> {
    let target = entry.link_name()?.ok_or_else(|| ArchiveError::Link(shown(name)))?;
    // Depth below the state directory: without `state` itself and without the link's own name.
    let depth = name.components().count().saturating_sub(2);
    if !stays_inside(&target, depth) {
        return Err(ArchiveError::Link(shown(name)));
    }
    Ok(symlink(&target, at)?)
}
