//! An actor's log: what its programs said on stdout and stderr, line by line, with the time and the stream.
//!
//! A file holds the newest bytes only. Offsets count every byte that was ever written, so a reader that follows by offset is
//! not confused when the oldest half is dropped: the first line of such a file says how many bytes are gone.
//!
//! It belongs to the actor, not to a binding: it goes on at the next binding and travels in the state archive.

use credence_model::id::ActorRef;
use credence_model::time::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Most bytes that a log keeps.
pub const LOG_BYTES_MAX: u64 = 1024 * 1024;
/// Longest line, in bytes; a longer one is broken.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of one page.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Begins the line that says how much was dropped.
const DROPPED: &str = "# bytes dropped before this line: ";
/// Digits of the number in it, so that its length is fixed.
const DROPPED_DIGITS: usize = 20;
/// Bytes of that whole line.
const HEADER_BYTES: usize = DROPPED.len() + DROPPED_DIGITS + 1;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// stdout.
    Out,
    /// stderr.
    Err,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// Lines `<RFC 3339 time> <out|err> <text>`; the last one may be cut off.
    pub bytes: Vec<u8>,
    /// Where the next page begins.
    pub next_offset: u64,
}

/// The log file of an actor below the node's log directory.
pub fn path(log_dir: &Path, actor: &ActorRef) -> PathBuf {
    log_dir.join(actor.namespace.as_str()).join(format!("{}.log", actor.actor))
}

/// Reads up to `bytes_max` bytes from `offset` on. An offset that was dropped already means the oldest bytes that are left;
/// one beyond the end means the newest `bytes_max`, from the beginning of a line. No file is an empty log.
pub fn read(path: &Path, offset: u64, bytes_max: usize) -> io::Result<LogPage> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(LogPage { bytes: Vec::new(), next_offset: 0 });
        }
        Err(error) => return Err(error),
    };
    let extent = Extent::of(&mut file)?;
    let bytes_max = u64::try_from(bytes_max.min(PAGE_BYTES_MAX)).unwrap_or(u64::MAX);
    let newest = offset > extent.end();
    let from = if newest { extent.end().saturating_sub(bytes_max) } else { offset }.max(extent.dropped);
    file.seek(SeekFrom::Start(extent.header + (from - extent.dropped)))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    let next_offset = from + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if newest && from > extent.dropped {
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..line);
    }
    Ok(LogPage { bytes, next_offset })
}

/// What a file covers.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Bytes of the header line.
    header: u64,
    /// Bytes that were dropped: the offset of the first byte that is left.
    dropped: u64,
    /// Bytes that are left.
    kept: u64,
}

impl Extent {
    fn of(file: &mut File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut start = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(HEADER_BYTES as u64).read_to_end(&mut start)?;
        let dropped = std::str::from_utf8(&start).ok().and_then(|line| line.strip_prefix(DROPPED));
        let dropped = dropped.and_then(|digits| digits.strip_suffix('\n')?.parse().ok());
        let header = if dropped.is_some() { HEADER_BYTES as u64 } else { 0 };
        Ok(Self { header, dropped: dropped.unwrap_or(0), kept: length - header })
    }

    fn end(&self) -> u64 {
        self.dropped + self.kept
    }
}

/// Appends lines to an actor's log.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    bytes: u64,
    now: fn() -> Timestamp,
}

impl LogWriter {
    /// Opens the log (mode 0600, its directory 0700), or begins it.
    pub fn open(path: &Path, now: fn() -> Timestamp) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, now })
    }

    /// Appends one line; `text` without its line feed. Control characters but the tab are replaced, so that a log can be
    /// shown on a terminal.
    pub fn line(&mut self, stream: Stream, text: &[u8]) -> io::Result<()> {
        let name = match stream {
            Stream::Out => "out",
            Stream::Err => "err",
        };
        let printable = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
        let text: String = String::from_utf8_lossy(text).chars().map(printable).collect();
        let line = format!("{} {name} {text}\n", rfc3339((self.now)()));
        self.file.write_all(line.as_bytes())?;
        self.bytes += u64::try_from(line.len()).unwrap_or(0);
        if self.bytes > LOG_BYTES_MAX { self.drop_oldest() } else { Ok(()) }
    }

    /// Keeps the newest half, from the beginning of a line, in a new file that takes the old one's place at once.
    fn drop_oldest(&mut self) -> io::Result<()> {
        let mut old = File::open(&self.path)?;
        let extent = Extent::of(&mut old)?;
        old.seek(SeekFrom::Start(extent.header + extent.kept - extent.kept.min(LOG_BYTES_MAX / 2)))?;
        let mut newest = Vec::new();
        old.read_to_end(&mut newest)?;
        let line = newest.iter().position(|byte| *byte == b'\n').map_or(newest.len(), |end| end + 1);
        newest.drain(..line);
        let dropped = extent.end() - u64::try_from(newest.len()).unwrap_or(0);
        let aside = self.path.with_extension("log.new");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
        file.write_all(format!("{DROPPED}{dropped:0width$}\n", width = DROPPED_DIGITS).as_bytes())?;
        file.write_all(&newest)?;
        fs::rename(&aside, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }
}

fn rfc3339(at: Timestamp) -> String {
    let at = i64::try_from(at.as_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, prop, proptest};

    fn noon() -> Timestamp {
        Timestamp(1_767_268_800_123)
    }

    fn writer(dir: &Path) -> (PathBuf, LogWriter) {
        let path = dir.join("ns").join("actor.log");
        let writer = LogWriter::open(&path, noon).expect("a log");
        (path, writer)
    }

    #[test]
    fn a_line_has_its_time_and_its_stream_and_nothing_that_moves_a_cursor() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, mut log) = writer(dir.path());
        log.line(Stream::Out, b"hello\tthere").expect("written");
        log.line(Stream::Err, b"red \x1b[31m \xff").expect("written");
        let page = read(&path, 0, 1000).expect("a page");
        let text = String::from_utf8(page.bytes).expect("UTF-8");
        assert_eq!(
            text,
            "2026-01-01T12:00:00.123Z out hello\tthere\n2026-01-01T12:00:00.123Z err red \u{fffd}[31m \u{fffd}\n"
        );
    }

    #[test]
    fn a_log_that_is_not_there_is_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        let page = read(&dir.path().join("none.log"), 17, 10).expect("a page");
        assert_eq!(page, LogPage { bytes: Vec::new(), next_offset: 0 });
    }

    #[test]
    fn the_file_stays_below_its_limit_and_keeps_the_newest_lines_and_the_count_of_all_bytes() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, mut log) = writer(dir.path());
        let mut written = 0;
        for number in 0..5000 {
            let text = format!("{number:0>400}");
            log.line(Stream::Out, text.as_bytes()).expect("written");
            written += 29 + 400 + 1;
        }
        assert!(fs::metadata(&path).expect("a file").len() <= LOG_BYTES_MAX + HEADER_BYTES as u64);
        let newest = read(&path, u64::MAX, 1000).expect("a page");
        assert_eq!(newest.next_offset, written, "offsets count dropped bytes too");
        let text = String::from_utf8(newest.bytes).expect("UTF-8");
        assert!(text.starts_with("2026-") && text.trim_end().ends_with("4999"), "{text}");
        let oldest = read(&path, 0, 100).expect("a page");
        assert!(oldest.bytes.starts_with(b"2026-"), "what is left begins with a whole line");
        assert!(oldest.next_offset > LOG_BYTES_MAX / 2);
    }

    proptest! {
        #[test]
        fn pages_of_any_size_put_together_are_the_whole_log(
            texts in prop::collection::vec("[a-z ]{0,40}", 0..20),
            sizes in prop::collection::vec(1_usize..200, 1..40).prop_map(|sizes| sizes.into_iter().cycle()),
        ) {
            let dir = tempfile::tempdir().expect("a directory");
            let (path, mut log) = writer(dir.path());
            for text in &texts {
                log.line(Stream::Out, text.as_bytes()).expect("written");
            }
            let (mut offset, mut whole) = (0, Vec::new());
            for size in sizes {
                let page = read(&path, offset, size).expect("a page");
                if page.bytes.is_empty() {
                    break;
                }
                offset = page.next_offset;
                whole.extend(page.bytes);
            }
            assert_eq!(whole, fs::read(&path).expect("the file"));
        }
    }
}
