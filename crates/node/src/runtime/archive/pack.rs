//! Writing an archive.

use crate::runtime::archive::{
    ARCHIVE_BYTES_MAX, ArchiveError, CONTENT_BYTES_MAX, DEPTH_MAX, ENTRIES_MAX, LOG, NAME_BYTES_MAX, Sink, in_state,
    stays_inside, too_much,
};
use rustix::fs::OFlags;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Writes everything and returns how many entries were left out.
pub(super) fn write(state: &Path, log: &Path, sink: &mut Sink) -> Result<u64, ArchiveError> {
    let mut packing = Packing { tar: Builder::new(sink), entries: 0, content: 0, skipped: 0 };
    if log.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        packing.file(log, Path::new(LOG))?;
    }
    packing.directory(state, Path::new(""), 0)?;
    packing.tar.finish()?;
    let (bytes, skipped) = (packing.tar.get_ref().bytes, packing.skipped);
    if bytes > ARCHIVE_BYTES_MAX { Err(too_much("bytes", ARCHIVE_BYTES_MAX)) } else { Ok(skipped) }
}

struct Packing<'s> {
    tar: Builder<&'s mut Sink>,
    entries: usize,
    content: u64,
    skipped: u64,
}

impl Packing<'_> {
    /// Writes a directory and everything in it, sorted by name.
    fn directory(&mut self, at: &Path, relative: &Path, depth: usize) -> Result<(), ArchiveError> {
        if depth > DEPTH_MAX {
            return Err(too_much("directories in one another", DEPTH_MAX as u64));
        }
        let mode = at.symlink_metadata()?.permissions().mode();
        self.entry(EntryType::Directory, mode, 0, &in_state(relative), io::empty())?;
        let names: io::Result<Vec<_>> = fs::read_dir(at)?.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names?;
        names.sort();
        for name in names {
            let (from, relative) = (at.join(&name), relative.join(&name));
            let metadata = from.symlink_metadata()?;
            if in_state(&relative).as_os_str().len() > NAME_BYTES_MAX {
                return Err(too_much("bytes in a file's path", NAME_BYTES_MAX as u64));
            }
            self.item(&from, &relative, &metadata, depth)?;
        }
        Ok(())
    }

    fn item(&mut self, from: &Path, relative: &Path, metadata: &Metadata, depth: usize) -> Result<(), ArchiveError> {
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.directory(from, relative, depth + 1)
        } else if kind.is_file() {
            self.file(from, &in_state(relative))
        } else if kind.is_symlink() {
            let target = fs::read_link(from)?;
            if stays_inside(&target, depth) { self.link(&in_state(relative), &target) } else { self.skip() }
        } else {
            self.skip()
        }
    }

    /// Sockets, devices and links to the machine's own files mean nothing elsewhere.
    #[expect(clippy::unnecessary_wraps, reason = "one arm among others that can fail")]
    fn skip(&mut self) -> Result<(), ArchiveError> {
        self.skipped += 1;
        Ok(())
    }

    fn file(&mut self, from: &Path, name: &Path) -> Result<(), ArchiveError> {
        let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
        let file = File::options().read(true).custom_flags(no_follow).open(from)?;
        let metadata = file.metadata()?;
        let bytes = metadata.len();
        self.content = self.content.saturating_add(bytes);
        if self.content > CONTENT_BYTES_MAX {
            return Err(too_much("bytes of files", CONTENT_BYTES_MAX));
        }
        // A log may grow while it is read; the header has told the size already.
        self.entry(EntryType::Regular, metadata.permissions().mode(), bytes, name, file.take(bytes))
    }

    fn link(&mut self, name: &Path, target: &Path) -> Result<(), ArchiveError> {
        self.count()?;
        let mut header = header(EntryType::Symlink, 0o777, 0);
        Ok(self.tar.append_link(&mut header, name, target)?)
    }

    fn entry(
        &mut self,
        kind: EntryType,
        mode: u32,
        bytes: u64,
        name: &Path,
        content: impl io::Read,
    ) -> Result<(), ArchiveError> {
        self.count()?;
        let mut header = header(kind, mode, bytes);
        Ok(self.tar.append_data(&mut header, name, content)?)
    }

    fn count(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX { Err(too_much("files", ENTRIES_MAX as u64)) } else { Ok(()) }
    }
}

/// A header without owner and time. Of the mode only what the owner may do is kept.
fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o700);
    header.set_size(bytes);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
