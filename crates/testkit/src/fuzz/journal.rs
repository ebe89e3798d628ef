//! The files of a journal, after a disk or a stranger changed them.

use super::scratch;
use credence_journal::{FileJournal, FileOptions, Index, Journal as _, JournalError, READ_ENTRIES_MAX, Snapshot};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// What the segment of a small journal with three batches begins with, and its other files.
static WELL_FORMED: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let dir = scratch();
    let mut journal = FileJournal::open(dir.path(), FileOptions::default()).expect("a journal");
    let fence = journal.recover().expect("empty").fence;
    for batch in [&[b"one".to_vec()][..], &[b"two".to_vec(), Vec::new()], &[vec![0xf7; 70]]] {
        journal.append(fence, batch).expect("appended");
    }
    journal.write_snapshot(fence, &Snapshot { upto: Index(2), bytes: b"state".to_vec() }).expect("a snapshot");
    drop(journal);
    let files = fs::read_dir(dir.path()).expect("its files").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = files.map(|path| (name_of(&path), fs::read(&path).expect("its bytes"))).collect();
    files.retain(|(name, _)| name != "LOCK");
    files.sort();
    files
});

/// A segment of these bytes, alone: see [`snapshot`] for the laws.
pub fn journal(bytes: &[u8]) {
    let files = WELL_FORMED.iter().filter(|(name, _)| name == "VERSION");
    let segment = (format!("{:020}.seg", 1), bytes.to_vec());
    check(&files.cloned().chain([segment]).collect::<Vec<_>>());
}

/// A well-formed journal whose files were changed in places. Each change is four bytes: which file and what (cut, or one
/// byte overwritten), two of where, one of the new value.
///
/// A journal is recovered or said to be damaged. What was recovered is the same the next time, can be read again entry by
/// entry, and is still there when more was appended.
pub fn snapshot(bytes: &[u8]) {
    let mut files = WELL_FORMED.clone();
    for change in bytes.chunks_exact(4) {
        let count = files.len();
        let (_, content) = &mut files[usize::from(change[0]) % count];
        let at = usize::from(u16::from_be_bytes([change[1], change[2]])) % (content.len() + 1);
        match content.get_mut(at) {
            Some(byte) if change[0] < 0x80 => *byte = change[3],
            Some(_) => content.truncate(at),
            None => content.push(change[3]),
        }
    }
    check(&files);
}

fn check(files: &[(String, Vec<u8>)]) {
    let dir = scratch();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).expect("a file of the journal");
    }
    let Some((entries, covered)) = recover(dir.path()) else { return };
    let (again, covered_again) = recover(dir.path()).expect("recovered once, damaged the second time");
    assert_eq!((&again, covered_again), (&entries, covered), "two recoveries, two journals");

    let mut journal = FileJournal::open(dir.path(), FileOptions::default()).expect("opens a third time");
    let recovered = journal.recover().expect("recovers a third time");
    let appended = journal.append(recovered.fence, &[b"more".to_vec()]).expect("goes on");
    assert_eq!(appended, Index(covered + entries.len() as u64 + 1));
    let read = journal.read(Index(covered + 1), READ_ENTRIES_MAX).expect("reads what was recovered");
    let expected = entries.iter().map(Vec::as_slice).chain([&b"more"[..]]);
    assert!(read.iter().map(|(_, entry)| entry.as_slice()).eq(expected), "read otherwise than recovered");
}

/// The entries after the snapshot, and how many are before; nothing if the journal is refused.
fn recover(dir: &Path) -> Option<(Vec<Vec<u8>>, u64)> {
    let mut journal = match FileJournal::open(dir, FileOptions::default()) {
        Ok(journal) => journal,
        Err(refusal) => return refused(&refusal),
    };
    match journal.recover() {
        Ok(recovered) => {
            let covered = recovered.snapshot.map_or(0, |snapshot| snapshot.upto.0);
            assert_eq!(recovered.last.0, covered + recovered.entries.len() as u64);
            Some((recovered.entries, covered))
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused<T>(refusal: &JournalError) -> Option<T> {
    assert!(!matches!(refusal, JournalError::InUse { .. } | JournalError::Poisoned | JournalError::NotRecovered));
    assert!(!refusal.to_string().is_empty());
    None
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
