//! What a file journal does when the system refuses a write: only from inside can its files be exchanged for ones that do.

use std::fs::{self, File, OpenOptions};

use tempfile::TempDir;

use super::{Condition, FileJournal, FileOptions, Writer};
use crate::error::{JournalError, Obstacle};
use crate::journal::{Journal, Note, Snapshot};
use crate::position::{Fence, Index};

fn entries(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn opened() -> (TempDir, FileJournal, Fence) {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = FileJournal::open(dir.path(), FileOptions::default()).unwrap();
    let fence = journal.recover().unwrap().fence;
    journal.append(fence, &entries(&["kept"])).unwrap();
    (dir, journal, fence)
}

fn writer(journal: &mut FileJournal) -> &mut Writer {
    match &mut journal.condition {
        Condition::Ready(writer) => writer,
        other => panic!("{other:?}"),
    }
}

fn check_poisoned(journal: &mut FileJournal, fence: Fence) {
    let snapshot = Snapshot { upto: Index(1), bytes: vec![] };
    assert!(matches!(journal.append(fence, &entries(&["b"])), Err(JournalError::Poisoned)));
    assert!(matches!(journal.append(fence, &[]), Err(JournalError::Poisoned)));
    assert!(matches!(journal.read(Index(1), 1), Err(JournalError::Poisoned)));
    assert!(matches!(journal.write_snapshot(fence, &snapshot), Err(JournalError::Poisoned)));
}

#[test]
fn a_full_disk_is_named_and_poisons_until_recovery() {
    let (_dir, mut journal, fence) = opened();
    writer(&mut journal).file = Box::new(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let error = journal.append(fence, &entries(&["a"])).unwrap_err();
    assert!(matches!(error, JournalError::Io { obstacle: Obstacle::Full, .. }), "{error:?}");
    assert!(error.to_string().contains("00000000000000000001.seg: the disk, the quota"), "{error}");
    check_poisoned(&mut journal, fence);
    let found = journal.recover().unwrap();
    assert_eq!((found.entries, found.report), (entries(&["kept"]), vec![]));
    assert!(matches!(journal.append(fence, &entries(&["a"])), Err(JournalError::StaleFence { .. })));
    assert_eq!(journal.append(found.fence, &entries(&["a"])).unwrap(), Index(2));
}

#[test]
fn a_write_that_is_refused_poisons_until_recovery() {
    let (dir, mut journal, fence) = opened();
    writer(&mut journal).file = Box::new(File::open(dir.path().join("00000000000000000001.seg")).unwrap());
    assert!(matches!(journal.append(fence, &entries(&["a"])), Err(JournalError::Io { doing: "append to", .. })));
    check_poisoned(&mut journal, fence);
    assert_eq!(journal.recover().unwrap().entries, entries(&["kept"]));
}

#[test]
fn a_batch_whose_append_failed_after_its_bytes_were_written_is_cut_and_not_believed() {
    let (dir, mut journal, fence) = opened();
    // The frame reaches the file and the note of it fails, as when a sync fails: the bytes read well, for now.
    writer(&mut journal).synced.exchange(Box::new(File::open(dir.path().join("SYNCED")).unwrap()));
    assert!(matches!(journal.append(fence, &entries(&["unsure"])), Err(JournalError::Io { .. })));
    check_poisoned(&mut journal, fence);
    let found = journal.recover().unwrap();
    assert_eq!(found.entries, entries(&["kept"]));
    assert!(matches!(found.report[..], [Note::TornTail { .. }]), "{:?}", found.report);
    assert_eq!(journal.append(found.fence, &entries(&["b"])).unwrap(), Index(2));
    drop(journal);
    let found = FileJournal::open(dir.path(), FileOptions::default()).unwrap().recover().unwrap();
    assert_eq!((found.entries, found.report), (entries(&["kept", "b"]), vec![]));
}

#[test]
fn a_recovery_that_fails_leaves_the_journal_closed_and_can_be_tried_again() {
    let (dir, mut journal, fence) = opened();
    let (segment, aside) = (dir.path().join("00000000000000000001.seg"), dir.path().join("elsewhere"));
    fs::rename(&segment, &aside).unwrap();
    assert!(matches!(journal.recover(), Err(JournalError::Damaged { path, .. }) if path == segment));
    check_poisoned(&mut journal, fence);
    fs::rename(&aside, &segment).unwrap();
    assert_eq!(journal.recover().unwrap().entries, entries(&["kept"]));
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_journal_usable() {
    let (dir, mut journal, fence) = opened();
    let snapshot = Snapshot { upto: Index(1), bytes: b"state".to_vec() };
    let blocked = dir.path().join("snap-00000000000000000001.snap.tmp");
    fs::create_dir(&blocked).unwrap();
    assert!(matches!(journal.write_snapshot(fence, &snapshot), Err(JournalError::Io { doing: "write", .. })));
    assert_eq!(journal.append(fence, &entries(&["a"])).unwrap(), Index(2));
    fs::remove_dir(&blocked).unwrap();
    journal.write_snapshot(fence, &snapshot).unwrap();
    assert_eq!(journal.recover().unwrap().snapshot, Some(snapshot));
}
