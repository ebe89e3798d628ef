//! The file that a backup is: `docs/formats/backup.md`.

use super::{BackedUp, BackupError, io_error, write_private};
use credence_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// What the first line begins with; the number of the format follows.
const MAGIC: &str = "credence-backup ";
const FORMAT: u32 = 1;
/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Most private keys that a backup may leave out.
const LEFT_OUT_MAX: usize = 256;
const BUFFER_BYTES: usize = 256 * 1024;

/// A line between the bytes of files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// So many bytes of this file follow, then [`Line::Sha256`].
    File { path: String, bytes: u64 },
    /// Of the file before.
    Sha256(String),
    /// Nothing follows but the checksum of everything before.
    End(End),
}

/// The last line but one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    version: String,
    pub(super) made_at: Timestamp,
    files: u64,
    bytes: u64,
    /// Private keys that are not in it, by their path in the data directory.
    pub(super) left_out: Vec<String>,
}

/// Writes a backup.
pub(super) struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    whole: Sha256,
    files: u64,
    bytes: u64,
}

impl Writer {
    pub(super) fn new(file: File, path: &Path) -> Result<Self, BackupError> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut writer = Self { out, path: path.to_owned(), whole: Sha256::new(), files: 0, bytes: 0 };
        writer.write(format!("{MAGIC}{FORMAT}\n").as_bytes())?;
        Ok(writer)
    }

    /// Adds a file of which `source` gives at least `bytes` bytes; what it has beyond them is not wanted.
    pub(super) fn file(&mut self, name: &str, source: impl Read, bytes: u64, from: &Path) -> Result<(), BackupError> {
        self.line(&Line::File { path: name.to_owned(), bytes })?;
        let (mut source, mut left, mut digest) = (source.take(bytes), bytes, Sha256::new());
        let mut buffer = vec![0; BUFFER_BYTES];
        while left > 0 {
            let read = source.read(&mut buffer).map_err(io_error("read", from))?;
            let part = buffer.get(..read).filter(|part| !part.is_empty()).ok_or_else(|| {
                io_error("read", from)(io::Error::other("it became shorter meanwhile; make the backup again"))
            })?;
            digest.update(part);
            self.write(part)?;
            left -= part.len() as u64;
        }
        self.files += 1;
        self.bytes += bytes;
        self.line(&Line::Sha256(hex(digest)))
    }

    /// Ends the backup; it is durable then, under the name that it has.
    pub(super) fn finish(mut self, made_at: Timestamp, left_out: Vec<String>) -> Result<BackedUp, BackupError> {
        let (files, bytes, version) = (self.files, self.bytes, env!("CARGO_PKG_VERSION").to_owned());
        self.line(&Line::End(End { version, made_at, files, bytes, left_out: left_out.clone() }))?;
        let whole = hex(std::mem::take(&mut self.whole));
        self.write(format!("{whole}\n").as_bytes())?;
        self.out.flush().and_then(|()| self.out.get_ref().sync_all()).map_err(io_error("write", &self.path))?;
        Ok(BackedUp { files, bytes, left_out })
    }

    fn line(&mut self, line: &Line) -> Result<(), BackupError> {
        let text = serde_json::to_string(line).map_err(|error| io_error("write", &self.path)(error.into()))?;
        self.write(format!("{text}\n").as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.whole.update(bytes);
        self.out.write_all(bytes).map_err(io_error("write", &self.path))
    }
}

/// Reads a backup from its beginning to its end.
pub(super) struct Reader {
    input: BufReader<File>,
    path: PathBuf,
    whole: Sha256,
    offset: u64,
    files: u64,
    bytes: u64,
    end: Option<End>,
}

impl Reader {
    /// Opens a file that begins as a backup does.
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(io_error("read", path))?;
        let input = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut reader =
            Self { input, path: path.to_owned(), whole: Sha256::new(), offset: 0, files: 0, bytes: 0, end: None };
        let first = reader.text("its first line")?;
        let number = first.strip_prefix(MAGIC).and_then(|number| number.parse::<u32>().ok());
        match number {
            Some(FORMAT) => Ok(reader),
            Some(number) => Err(reader.unreadable(format!(
                "it is a backup of format {number} and this program reads format {FORMAT}; use the version that made it"
            ))),
            None => Err(reader.unreadable("it is not a backup of a server".to_owned())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Unpacks the next file below `dir`; `false` if there is none.
    pub(super) fn next_file(&mut self, dir: &Path) -> Result<bool, BackupError> {
        let (name, bytes) = match self.line("the line before a file")? {
            Line::File { path, bytes } => (path, bytes),
            Line::End(end) => {
                self.end = Some(end);
                return Ok(false);
            }
            Line::Sha256(_) => return Err(self.damaged("the line before a file", "it is another line")),
        };
        if !is_inside(&name) {
            return Err(self.damaged(&name, "it would lie outside of the data directory"));
        }
        let digest = self.unpack(&name, bytes, &dir.join(&name))?;
        self.files += 1;
        self.bytes += bytes;
        match self.line(&name)? {
            Line::Sha256(expected) if expected == digest => Ok(true),
            Line::Sha256(_) => Err(self.damaged(&name, "its checksum differs")),
            _ => Err(self.damaged(&name, "its checksum is not there")),
        }
    }

    /// What the last lines say, once they were read and hold.
    pub(super) fn end(&mut self) -> Result<End, BackupError> {
        let end = self.end.clone().ok_or_else(|| self.damaged("its end", "it was not read"))?;
        let found = hex(self.whole.clone());
        if self.text("its checksum")? != found {
            return Err(self.damaged("the whole", "its checksum differs"));
        }
        let mut more = [0];
        if self.input.read(&mut more).map_err(io_error("read", &self.path))? > 0 {
            return Err(self.damaged("its end", "something follows"));
        }
        if (end.files, end.bytes) != (self.files, self.bytes) || end.left_out.len() > LEFT_OUT_MAX {
            return Err(self.damaged("its end", "it counts other files than there are"));
        }
        Ok(end)
    }

    fn unpack(&mut self, name: &str, bytes: u64, to: &Path) -> Result<String, BackupError> {
        if let Some(parent) = to.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(io_error("create", parent))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        let mut file = file.map_err(io_error("create", to))?;
        let (mut left, mut digest) = (bytes, Sha256::new());
        let mut buffer = vec![0; BUFFER_BYTES];
        while left > 0 {
            let wanted = usize::try_from(left).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
            let space = buffer.get_mut(..wanted).unwrap_or_default();
            let read = self.input.read(space).map_err(io_error("read", &self.path))?;
            let part = space.get(..read).unwrap_or_default();
            if part.is_empty() {
                return Err(self.cut(name));
            }
            self.whole.update(part);
            digest.update(part);
            self.offset += part.len() as u64;
            left -= part.len() as u64;
            file.write_all(part).map_err(io_error("write", to))?;
        }
        file.sync_all().map_err(io_error("write", to))?;
        Ok(hex(digest))
    }

    fn line(&mut self, part: &str) -> Result<Line, BackupError> {
        let text = self.text(part)?;
        serde_json::from_str(&text).map_err(|_| self.damaged(part, "it cannot be read"))
    }

    fn text(&mut self, part: &str) -> Result<String, BackupError> {
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        read.map_err(io_error("read", &self.path))?;
        self.whole.update(&bytes);
        self.offset += bytes.len() as u64;
        if bytes.pop() != Some(b'\n') {
            let is_long = bytes.len() as u64 + 1 >= LINE_BYTES_MAX;
            return Err(if is_long { self.damaged(part, "it has no end") } else { self.cut(part) });
        }
        String::from_utf8(bytes).map_err(|_| self.damaged(part, "it is not text"))
    }

    fn cut(&self, part: &str) -> BackupError {
        self.damaged(part, &format!("the backup is cut off there, after {} bytes", self.offset))
    }

    fn damaged(&self, part: &str, why: &str) -> BackupError {
        BackupError::Damaged { path: self.path.clone(), part: part.escape_debug().to_string(), why: why.to_owned() }
    }

    fn unreadable(&self, why: String) -> BackupError {
        BackupError::NoBackup { path: self.path.clone(), why }
    }
}

/// Whether a path, put behind that of a directory, leads into it whatever the path says.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Copies a small secret file below `dir`.
pub(super) fn copy_private(from: &Path, to: &Path) -> Result<(), BackupError> {
    let bytes = zeroize::Zeroizing::new(std::fs::read(from).map_err(io_error("read", from))?);
    write_private(to, &bytes)
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
