//! What a crash may leave behind, and that nothing acknowledged is lost by it.

use std::fs::{self, OpenOptions};

use credence_journal::{Fault, FileOptions, Index, Journal, JournalError, MemoryDisk, MemoryJournal, Note};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};

use super::disk::{FileDisk, batch};

const SECTOR_BYTES: usize = 512;

/// A journal of two batches, of which the second is still on its way to the disk: `SYNCED` is that of the first.
struct InFlight {
    disk: FileDisk,
    /// Where the second frame starts in the segment.
    start: usize,
    whole: Vec<u8>,
}

impl InFlight {
    fn of(first: &[Vec<u8>], second: &[Vec<u8>]) -> Self {
        let disk = FileDisk::new(FileOptions::default());
        let (mut journal, found) = disk.recover().unwrap();
        journal.append(found.fence, first).unwrap();
        let (synced, segment) = (disk.path().join("SYNCED"), disk.files(".seg").remove(0));
        let noted = fs::read(&synced).unwrap();
        let start = fs::read(&segment).unwrap().len();
        journal.append(found.fence, second).unwrap();
        drop(journal);
        fs::write(&synced, noted).unwrap();
        Self { whole: fs::read(&segment).unwrap(), start, disk }
    }

    /// The same directory with another segment.
    fn with_segment(&self, bytes: &[u8]) -> FileDisk {
        let copy = self.disk.copy();
        fs::write(copy.files(".seg").remove(0), bytes).unwrap();
        copy
    }
}

/// Starts, expects these entries and a cut at this place, and that the next start is clean.
fn check_cut(disk: &FileDisk, entries: &[Vec<u8>], at: usize, what: &str) {
    let (mut journal, found) = disk.recover().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(found.entries, entries, "{what}");
    assert!(
        matches!(&found.report[..], [Note::TornTail { offset, segment, .. }] if *offset == at as u64 && *segment == disk.files(".seg")[0]),
        "{what}: {:?}",
        found.report
    );
    journal.append(found.fence, &batch(&["after"])).unwrap();
    drop(journal);
    let (_, found) = disk.recover().unwrap();
    assert_eq!((found.entries.len(), found.report), (entries.len() + 1, vec![]), "{what}");
}

#[test]
fn a_last_batch_cut_short_at_any_byte_is_cut_and_reported_and_the_earlier_ones_survive() {
    let first = batch(&["kept", "also kept"]);
    let crash = InFlight::of(&first, &batch(&["in flight", "as well"]));
    for length in crash.start + 1..crash.whole.len() {
        check_cut(&crash.with_segment(&crash.whole[..length]), &first, crash.start, &format!("cut to {length} bytes"));
    }
    let clean = crash.with_segment(&crash.whole[..crash.start]);
    assert_eq!(clean.recover().unwrap().1.report, []);
}

#[test]
fn an_unacknowledged_batch_that_is_whole_is_kept_whole() {
    let crash = InFlight::of(&batch(&["a"]), &batch(&["b", "c"]));
    let (_, found) = crash.disk.recover().unwrap();
    assert_eq!((found.entries, found.report), (batch(&["a", "b", "c"]), vec![]));
}

#[test]
fn a_last_batch_with_any_sectors_missing_is_cut_and_the_earlier_ones_survive() {
    let first = batch(&["kept"]);
    let second: Vec<Vec<u8>> = (1..=9_u8).map(|byte| vec![byte; 250]).collect();
    let crash = InFlight::of(&first, &second);
    let sectors: Vec<usize> = (crash.start / SECTOR_BYTES..crash.whole.len().div_ceil(SECTOR_BYTES)).collect();
    assert!((4..10).contains(&sectors.len()));
    for missing in 1..1_usize << sectors.len() {
        let mut bytes = crash.whole.clone();
        for (_, sector) in sectors.iter().enumerate().filter(|(at, _)| missing >> at & 1 == 1) {
            let range = (sector * SECTOR_BYTES).max(crash.start)..((sector + 1) * SECTOR_BYTES).min(bytes.len());
            bytes[range].fill(0);
        }
        check_cut(&crash.with_segment(&bytes), &first, crash.start, &format!("missing sectors {missing:b}"));
    }
}

#[test]
fn bytes_that_are_no_batch_behind_the_last_one_are_cut_and_reported() {
    for garbage in
        [&b"x"[..], b"no batch at all, and longer than the header of one would be", &[0; 44], &[0; 5000], &[0xF7; 300]]
    {
        let disk = FileDisk::new(FileOptions::default());
        let (mut journal, found) = disk.recover().unwrap();
        journal.append(found.fence, &batch(&["kept"])).unwrap();
        drop(journal);
        let segment = disk.files(".seg").remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        let end = bytes.len();
        bytes.extend_from_slice(garbage);
        fs::write(&segment, bytes).unwrap();
        check_cut(&disk, &batch(&["kept"]), end, &format!("{garbage:?}"));
    }
}

#[test]
fn a_crash_before_the_first_opening_is_whole_leaves_an_empty_journal() {
    let disk = FileDisk::new(FileOptions::default());
    drop(disk.recover().unwrap());
    fs::remove_file(disk.path().join("SYNCED")).unwrap();
    let whole = fs::read(&disk.files(".seg")[0]).unwrap();
    for length in 32..whole.len() {
        let copy = disk.copy();
        OpenOptions::new().write(true).open(&copy.files(".seg")[0]).unwrap().set_len(length as u64).unwrap();
        let (mut journal, found) = copy.recover().unwrap();
        assert_eq!((found.last, found.report.len()), (Index::NONE, usize::from(length > 32)));
        assert_eq!(journal.append(found.fence, &batch(&["a"])).unwrap(), Index(1));
    }
}

#[test]
fn a_file_left_half_written_is_removed_and_reported() {
    let disk = FileDisk::new(FileOptions::default());
    drop(disk.recover().unwrap());
    let left = disk.path().join("snap-00000000000000000009.snap.tmp");
    fs::write(&left, "half").unwrap();
    let (_, found) = disk.recover().unwrap();
    assert_eq!(found.report, [Note::LeftoverRemoved { path: left.clone() }]);
    assert!(!left.exists() && disk.recover().unwrap().1.report.is_empty());
}

#[test]
fn a_failed_append_poisons_until_recovery_and_its_batch_is_wholly_there_or_wholly_absent() {
    for (fault, kept) in [(Fault::RefuseAppend, batch(&["a"])), (Fault::LoseAnswer, batch(&["a", "b", "c"]))] {
        let disk = MemoryDisk::new();
        let mut journal = MemoryJournal::open(&disk);
        let fence = journal.recover().unwrap().fence;
        journal.append(fence, &batch(&["a"])).unwrap();
        disk.inject(fault);
        assert!(matches!(journal.append(fence, &batch(&["b", "c"])), Err(JournalError::Io { .. })));
        assert!(matches!(journal.append(fence, &batch(&["d"])), Err(JournalError::Poisoned)));
        assert!(matches!(journal.read(Index(1), 1), Err(JournalError::Poisoned)));
        let found = journal.recover().unwrap();
        assert_eq!((found.entries, disk.last()), (kept.clone(), Index(kept.len() as u64)));
        journal.append(found.fence, &batch(&["d"])).unwrap();
    }
}

#[test]
fn an_owner_who_was_replaced_without_noticing_cannot_append() {
    let disk = MemoryDisk::new();
    let (mut old, mut new) = (MemoryJournal::open(&disk), MemoryJournal::open(&disk));
    let stale = old.recover().unwrap().fence;
    let fence = new.recover().unwrap().fence;
    assert!(matches!(old.append(stale, &batch(&["late"])), Err(JournalError::StaleFence { .. })));
    new.append(fence, &batch(&["a"])).unwrap();
    assert_eq!(new.read(Index(1), 9).unwrap(), [(Index(1), b"a".to_vec())]);
}

/// A frame of any content, with some of its sectors missing and then cut to some length: all a torn write can be.
fn torn() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<bool>, usize)> {
    let entry = prop::collection::vec(any::<u8>().prop_map(|byte| if byte < 128 { 0 } else { byte }), 0..900);
    (prop::collection::vec(entry, 1..5), prop::collection::vec(any::<bool>(), 12), any::<usize>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_part_of_the_last_write_is_missing_the_start_succeeds_and_what_was_acknowledged_is_there((second, missing, length) in torn()) {
        let first = batch(&["kept"]);
        let crash = InFlight::of(&first, &second);
        let mut bytes = crash.whole.clone();
        for (sector, _) in missing.iter().enumerate().filter(|(_, missing)| **missing) {
            let end = bytes.len().min((sector + 1) * SECTOR_BYTES);
            let start = crash.start.max(sector * SECTOR_BYTES).min(end);
            bytes[start..end].fill(0);
        }
        bytes.truncate(crash.start + length % (bytes.len() - crash.start + 1));
        let is_whole = bytes == crash.whole;
        let (_, found) = crash.with_segment(&bytes).recover().unwrap();
        let kept: Vec<Vec<u8>> = if is_whole { [first, second].concat() } else { first };
        assert_eq!(found.entries, kept);
    }
}
