//! What every journal does, whatever it is written on.

use credence_journal::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, Fence, Index, Journal, JournalError, READ_BYTES_MAX,
    READ_ENTRIES_MAX, Recovered, Snapshot,
};

use super::disk::{Disk, batch, each_disk};

fn recovered(disk: &dyn Disk) -> (Box<dyn Journal>, Recovered) {
    let mut journal = disk.open();
    let recovered = journal.recover().unwrap();
    (journal, recovered)
}

fn snapshot(upto: u64, text: &str) -> Snapshot {
    Snapshot { upto: Index(upto), bytes: text.as_bytes().to_vec() }
}

#[test]
fn an_empty_journal_remembers_nothing() {
    each_disk(|disk| {
        let (mut journal, found) = recovered(disk);
        assert_eq!((found.last, found.snapshot, found.fence), (Index::NONE, None, Fence(1)));
        assert!(found.entries.is_empty() && found.report.is_empty());
        assert_eq!(journal.read(Index(1), 10).unwrap(), []);
    });
}

#[test]
fn what_was_appended_is_remembered_in_order() {
    each_disk(|disk| {
        let (mut journal, found) = recovered(disk);
        assert_eq!(journal.append(found.fence, &batch(&["a", "", "c"])).unwrap(), Index(3));
        assert_eq!(journal.append(found.fence, &[]).unwrap(), Index(3));
        assert_eq!(journal.append(found.fence, &batch(&["d"])).unwrap(), Index(4));
        drop(journal);
        let (_, found) = recovered(disk);
        assert_eq!(found.entries, batch(&["a", "", "c", "d"]));
        assert_eq!((found.last, found.report), (Index(4), vec![]));
    });
}

#[test]
fn the_fence_rises_at_every_recovery_and_older_ones_are_refused() {
    each_disk(|disk| {
        let (mut journal, first) = recovered(disk);
        journal.append(first.fence, &batch(&["a"])).unwrap();
        let second = journal.recover().unwrap();
        assert!(second.fence > first.fence);
        assert_eq!(second.entries, batch(&["a"]));
        for given in [first.fence, Fence(0), second.fence.next()] {
            let refused = journal.append(given, &batch(&["stale"])).unwrap_err();
            assert!(matches!(refused, JournalError::StaleFence { newest, .. } if newest == second.fence), "{refused}");
            let refused = journal.append(given, &[]).unwrap_err();
            assert!(matches!(refused, JournalError::StaleFence { .. }), "{refused}");
            let refused = journal.write_snapshot(given, &snapshot(1, "stale")).unwrap_err();
            assert!(matches!(refused, JournalError::StaleFence { .. }), "{refused}");
        }
        assert_eq!(journal.append(second.fence, &batch(&["b"])).unwrap(), Index(2));
        drop(journal);
        let (_, third) = recovered(disk);
        assert!(third.fence > second.fence);
        assert_eq!((third.entries, third.snapshot), (batch(&["a", "b"]), None));
    });
}

#[test]
fn nothing_is_answered_before_the_first_recovery() {
    each_disk(|disk| {
        let mut journal = disk.open();
        assert!(matches!(journal.append(Fence(1), &batch(&["a"])), Err(JournalError::NotRecovered)));
        assert!(matches!(journal.read(Index(1), 1), Err(JournalError::NotRecovered)));
        assert!(matches!(journal.write_snapshot(Fence(1), &snapshot(0, "")), Err(JournalError::NotRecovered)));
    });
}

#[test]
fn a_snapshot_shortens_the_replay_and_not_the_record() {
    each_disk(|disk| {
        let (mut journal, found) = recovered(disk);
        journal.append(found.fence, &batch(&["a", "b", "c"])).unwrap();
        journal.write_snapshot(found.fence, &snapshot(1, "after one")).unwrap();
        journal.append(found.fence, &batch(&["d"])).unwrap();
        journal.write_snapshot(found.fence, &snapshot(2, "after two")).unwrap();
        journal.write_snapshot(found.fence, &snapshot(2, "after two")).unwrap();
        drop(journal);
        let (mut journal, found) = recovered(disk);
        assert_eq!(found.snapshot, Some(snapshot(2, "after two")));
        assert_eq!((found.entries, found.last), (batch(&["c", "d"]), Index(4)));
        assert_eq!(journal.read(Index(1), 9).unwrap().len(), 4);
    });
}

#[test]
fn a_snapshot_of_what_does_not_exist_or_of_less_than_the_last_is_refused() {
    each_disk(|disk| {
        let (mut journal, found) = recovered(disk);
        journal.append(found.fence, &batch(&["a", "b"])).unwrap();
        journal.write_snapshot(found.fence, &snapshot(2, "two")).unwrap();
        for upto in [1, 3] {
            let refused = journal.write_snapshot(found.fence, &snapshot(upto, "x")).unwrap_err();
            assert!(matches!(refused, JournalError::SnapshotOutOfRange { .. }), "{refused}");
        }
        assert_eq!(journal.recover().unwrap().snapshot, Some(snapshot(2, "two")));
    });
}

#[test]
fn a_range_is_read_from_anywhere_in_pages() {
    each_disk(|disk| {
        let (mut journal, found) = recovered(disk);
        let mut all = Vec::new();
        for number in 0..40_u64 {
            let entries: Vec<Vec<u8>> = (0..number % 4).map(|at| format!("{number}.{at}").into_bytes()).collect();
            journal.append(found.fence, &entries).unwrap();
            all.extend(entries);
        }
        let all: Vec<(Index, Vec<u8>)> = (1..).map(Index).zip(all).collect();
        for from in 0..=all.len() + 2 {
            for limit in [0, 1, 7, usize::MAX] {
                let wanted: Vec<_> = all.iter().skip(from.saturating_sub(1)).take(limit).cloned().collect();
                assert_eq!(journal.read(Index(from as u64), limit).unwrap(), wanted, "from {from}, limit {limit}");
            }
        }
        assert_eq!(journal.read(Index(u64::MAX), 3).unwrap(), []);
    });
}

#[test]
fn a_page_is_bounded_in_entries_and_in_bytes_and_leaves_no_gap() {
    each_disk(|disk| {
        let (mut journal, found) = recovered(disk);
        journal.append(found.fence, &vec![vec![]; READ_ENTRIES_MAX + 1]).unwrap();
        assert_eq!(journal.read(Index(1), usize::MAX).unwrap().len(), READ_ENTRIES_MAX);
        let large = READ_BYTES_MAX / ENTRY_BYTES_MAX - 1;
        let start = journal.append(found.fence, &vec![vec![7; ENTRY_BYTES_MAX]; large]).unwrap();
        let from = Index(start.0 - large as u64 + 1);
        journal.append(found.fence, &[vec![8; ENTRY_BYTES_MAX / 2]]).unwrap();
        journal.append(found.fence, &[vec![9; ENTRY_BYTES_MAX]]).unwrap();
        journal.append(found.fence, &batch(&["small enough to fit, but behind one that is not"])).unwrap();
        let page = journal.read(from, usize::MAX).unwrap();
        assert_eq!(page.len(), large + 1);
        assert_eq!(journal.read(from.plus(page.len() as u64), usize::MAX).unwrap().len(), 2);
    });
}

#[test]
fn a_batch_beyond_a_limit_is_refused_whole_and_changes_nothing() {
    each_disk(|disk| {
        let (mut journal, found) = recovered(disk);
        let full = vec![vec![0; ENTRY_BYTES_MAX]; BATCH_BYTES_MAX / ENTRY_BYTES_MAX];
        let mut over = full.clone();
        over.push(vec![0]);
        for (what, refused) in [
            ("an entry of", vec![vec![0; ENTRY_BYTES_MAX + 1]]),
            ("a batch of", vec![vec![]; BATCH_ENTRIES_MAX + 1]),
            ("a batch of", over),
        ] {
            let error = journal.append(found.fence, &refused).unwrap_err();
            assert!(matches!(error, JournalError::TooLarge { .. }) && error.to_string().starts_with(what), "{error}");
        }
        assert_eq!(journal.append(found.fence, &full).unwrap(), Index(full.len() as u64));
        assert_eq!(
            journal.append(found.fence, &vec![vec![]; BATCH_ENTRIES_MAX]).unwrap().0,
            (full.len() + BATCH_ENTRIES_MAX) as u64
        );
        assert_eq!(journal.recover().unwrap().last.0, (full.len() + BATCH_ENTRIES_MAX) as u64);
    });
}
