//! Where a journal under test is kept, and how it is opened again.

use std::fs;
use std::path::{Path, PathBuf};

use credence_journal::{FileJournal, FileOptions, Journal, JournalError, MemoryDisk, MemoryJournal, Recovered, Verify};
use tempfile::TempDir;

/// Something that survives its journal.
pub(crate) trait Disk {
    fn open(&self) -> Box<dyn Journal>;
}

impl Disk for MemoryDisk {
    fn open(&self) -> Box<dyn Journal> {
        Box::new(MemoryJournal::open(self))
    }
}

/// A temporary directory.
pub(crate) struct FileDisk {
    pub(crate) dir: TempDir,
    pub(crate) options: FileOptions,
}

impl FileDisk {
    pub(crate) fn new(options: FileOptions) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), options }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Opens and recovers.
    pub(crate) fn recover(&self) -> Result<(FileJournal, Recovered), JournalError> {
        let mut journal = FileJournal::open(self.path(), self.options)?;
        let recovered = journal.recover()?;
        Ok((journal, recovered))
    }

    /// The refusal of a start, as a person reads it. It must have changed nothing but the lock's text.
    pub(crate) fn refusal(&self) -> String {
        let before = contents(self.path());
        let error = self.recover().expect_err("the start should be refused");
        assert_eq!(contents(self.path()), before, "a refused start changes nothing");
        error.to_string()
    }

    /// A copy of the files, as a crash at this moment would leave them.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(self.options);
        for (path, bytes) in contents(self.path()) {
            fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        copy
    }

    /// The files whose name ends so, in order.
    pub(crate) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| path.to_string_lossy().ends_with(ending));
        found.sort();
        found
    }
}

impl Disk for FileDisk {
    fn open(&self) -> Box<dyn Journal> {
        Box::new(FileJournal::open(self.path(), self.options).unwrap())
    }
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("LOCK"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

/// Options that make segments of a few frames.
pub(crate) fn small_segments() -> FileOptions {
    FileOptions { segment_bytes_max: 200, verify: Verify::Everything }
}

/// Every kind of disk that the conformance suite runs on.
pub(crate) fn each_disk(check: impl Fn(&dyn Disk)) {
    check(&MemoryDisk::new());
    check(&FileDisk::new(FileOptions::default()));
    check(&FileDisk::new(small_segments()));
    check(&FileDisk::new(FileOptions { verify: Verify::SinceSnapshot, ..small_segments() }));
}

/// Entries from texts.
pub(crate) fn batch(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
