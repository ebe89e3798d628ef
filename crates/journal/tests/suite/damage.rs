//! Bytes that changed after they were written: the start is refused with the place, and nothing is dropped unseen.

use std::fs;
use std::path::Path;

use credence_journal::{FileOptions, Index, Journal, JournalError, Note, Snapshot, Verify};

use super::disk::{FileDisk, batch, small_segments};

/// A journal with these batches, stopped in an orderly way, and where each frame starts and ends in its only segment.
fn written(options: FileOptions, batches: &[Vec<Vec<u8>>]) -> (FileDisk, Vec<(usize, usize)>) {
    let disk = FileDisk::new(options);
    let (mut journal, found) = disk.recover().unwrap();
    let length = || fs::metadata(&disk.files(".seg")[0]).unwrap().len() as usize;
    let mut places = Vec::new();
    for batch in batches {
        let start = length();
        journal.append(found.fence, batch).unwrap();
        places.push((start, length()));
    }
    drop(journal);
    (disk, places)
}

fn three_batches(options: FileOptions) -> (FileDisk, Vec<(usize, usize)>) {
    written(options, &[batch(&["first", "1"]), batch(&["second", "2"]), batch(&["third", "3"])])
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

fn snapshot(upto: u64) -> Snapshot {
    Snapshot { upto: Index(upto), bytes: format!("state after {upto}").into_bytes() }
}

#[test]
fn a_changed_bit_in_any_acknowledged_batch_stops_the_start_with_its_place() {
    let (disk, places) = three_batches(FileOptions::default());
    let segment = disk.files(".seg").remove(0);
    for (start, end) in places {
        for bit in start * 8..end * 8 {
            flip(&segment, bit);
            let refusal = disk.refusal();
            let place = format!("{} is damaged at byte {start}: ", segment.display());
            assert!(refusal.starts_with(&place) && refusal.contains("restore it from a backup"), "{refusal}");
            flip(&segment, bit);
        }
    }
    assert_eq!(disk.recover().unwrap().1.last, Index(6));
}

#[test]
fn a_changed_bit_is_told_from_a_torn_write_by_the_bytes_alone() {
    let (disk, places) = three_batches(FileOptions::default());
    let segment = disk.files(".seg").remove(0);
    fs::remove_file(disk.path().join("SYNCED")).unwrap();
    for (start, end) in places {
        for bit in start * 8..end * 8 {
            flip(&segment, bit);
            assert!(disk.refusal().contains(&format!("damaged at byte {start}: ")));
            flip(&segment, bit);
        }
    }
    assert_eq!(disk.recover().unwrap().1.last, Index(6));
}

#[test]
fn sectors_blanked_after_they_were_acknowledged_are_damage_though_they_look_torn() {
    let batches: Vec<Vec<Vec<u8>>> = (1..4).map(|byte| vec![vec![byte; 2_000]]).collect();
    let (disk, places) = written(FileOptions::default(), &batches);
    let segment = disk.files(".seg").remove(0);
    let (whole, synced) = (fs::read(&segment).unwrap(), disk.path().join("SYNCED"));
    let noted = fs::read(&synced).unwrap();
    for (number, (start, end)) in places.into_iter().enumerate() {
        for blank in [start..end, start + 100..end - 100] {
            let mut bytes = whole.clone();
            bytes[blank].fill(0);
            fs::write(&segment, &bytes).unwrap();
            // With the note, any of them is known to have been acknowledged; without it, those that others follow are.
            assert!(disk.refusal().contains(&format!("damaged at byte {start}: an acknowledged batch")));
            fs::remove_file(&synced).unwrap();
            if number < 2 {
                assert!(
                    disk.refusal()
                        .contains(&format!("damaged at byte {start}: a batch cannot be read, and a later one can"))
                );
            } else {
                assert!(matches!(disk.copy().recover().unwrap().1.report[..], [Note::TornTail { .. }]));
            }
            fs::write(&synced, &noted).unwrap();
        }
    }
}

#[test]
fn a_whole_batch_of_another_journal_or_out_of_its_place_stops_the_start() {
    let (disk, places) = written(FileOptions::default(), &[batch(&["one"]), batch(&["two"]), batch(&["six"])]);
    let (other, _) = written(FileOptions::default(), &[batch(&["ONE"]), batch(&["two"]), batch(&["six"])]);
    let segment = disk.files(".seg").remove(0);
    let (ours, theirs) = (fs::read(&segment).unwrap(), fs::read(&other.files(".seg")[0]).unwrap());
    let frame = |bytes: &[u8], number: usize| bytes[places[number].0..places[number].1].to_vec();
    let [first, second, third] = [0, 1, 2].map(|number| frame(&ours, number));
    let their_first = frame(&theirs, 0);
    for (order, offset) in [
        ([&their_first, &second, &third], places[1].0),
        ([&second, &first, &third], places[0].0),
        ([&first, &first, &third], places[0].1),
    ] {
        let bytes = [&ours[..places[0].0], &order.map(|frame| frame.as_slice()).concat()].concat();
        fs::write(&segment, bytes).unwrap();
        let refusal = disk.refusal();
        assert!(refusal.contains(&format!("damaged at byte {offset}: a whole batch starts here")), "{refusal}");
    }
}

#[test]
fn a_changed_bit_in_a_segment_header_stops_the_start() {
    let (disk, _) = three_batches(FileOptions::default());
    let segment = disk.files(".seg").remove(0);
    for bit in 0..32 * 8 {
        flip(&segment, bit);
        let refusal = disk.refusal();
        assert!(refusal.contains("damaged at byte 0: the header of the segment"), "{refusal}");
        flip(&segment, bit);
    }
}

#[test]
fn a_changed_bit_in_an_earlier_segment_stops_the_start_with_its_place() {
    let (disk, places) = three_batches(small_segments());
    assert!(disk.files(".seg").len() > 1);
    let segment = disk.files(".seg").remove(0);
    flip(&segment, places[0].0 * 8 + 400);
    let refusal = disk.refusal();
    assert!(refusal.starts_with(&format!("{} is damaged at byte {}: ", segment.display(), places[0].0)), "{refusal}");
}

#[test]
fn acknowledged_bytes_that_are_gone_stop_the_start_and_the_loss_can_be_accepted() {
    let (disk, places) = three_batches(FileOptions::default());
    let segment = disk.files(".seg").remove(0);
    let whole = fs::read(&segment).unwrap();
    for length in 32..whole.len() {
        fs::write(&segment, &whole[..length]).unwrap();
        let refusal = disk.refusal();
        assert!(refusal.contains(&format!("damaged at byte {length}: the file ends here")), "{refusal}");
        assert!(refusal.contains("remove that file to accept the loss"), "{refusal}");
    }
    fs::remove_file(disk.path().join("SYNCED")).unwrap();
    let (_, found) = disk.recover().unwrap();
    assert_eq!(found.entries, batch(&["first", "1", "second", "2"]));
    assert!(matches!(found.report[..], [Note::TornTail { offset, .. }] if offset == places[2].0 as u64));
}

#[test]
fn a_missing_segment_stops_the_start() {
    let batches: Vec<Vec<Vec<u8>>> = (0..9).map(|number| vec![vec![number; 60]]).collect();
    for missing in [0, 1, 2] {
        let (disk, _) = written(small_segments(), &batches);
        let segments = disk.files(".seg");
        assert!(segments.len() >= 3);
        let at = if missing == 2 { segments.len() - 1 } else { missing };
        fs::remove_file(&segments[at]).unwrap();
        let refusal = disk.refusal();
        assert!(refusal.contains("missing"), "{refusal}");
    }
}

#[test]
fn a_record_that_ends_before_its_snapshot_stops_the_start() {
    let (disk, _) = three_batches(FileOptions::default());
    let (mut journal, found) = disk.recover().unwrap();
    journal.write_snapshot(found.fence, &snapshot(6)).unwrap();
    drop(journal);
    for file in disk.files(".seg").iter().chain(&disk.files("SYNCED")) {
        fs::remove_file(file).unwrap();
    }
    let refusal = disk.refusal();
    assert!(refusal.contains("the record ends at entry 0, and a snapshot covers entries up to 6"), "{refusal}");
}

#[test]
fn a_segment_of_another_journal_stops_the_start() {
    let (disk, _) = three_batches(small_segments());
    let (other, _) =
        written(small_segments(), &[batch(&["FIRST", "1"]), batch(&["second", "2"]), batch(&["third", "3"])]);
    assert_eq!(disk.files(".seg").len(), other.files(".seg").len());
    fs::copy(&other.files(".seg")[0], &disk.files(".seg")[0]).unwrap();
    let refusal = disk.refusal();
    assert!(refusal.contains("belongs to another journal"), "{refusal}");
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_one_before_it_and_reported() {
    let (disk, _) = three_batches(FileOptions::default());
    let (mut journal, found) = disk.recover().unwrap();
    for upto in [2, 4, 5] {
        journal.write_snapshot(found.fence, &snapshot(upto)).unwrap();
    }
    drop(journal);
    let snapshots = disk.files(".snap");
    assert_eq!(snapshots.len(), 2, "the newest two are kept");
    for bit in 0..fs::read(&snapshots[1]).unwrap().len() * 8 {
        flip(&snapshots[1], bit);
        let (_, found) = disk.recover().unwrap();
        assert_eq!((found.snapshot, found.entries.len()), (Some(snapshot(4)), 2));
        assert!(matches!(&found.report[..], [Note::SnapshotDamaged { path, .. }] if *path == snapshots[1]));
        flip(&snapshots[1], bit);
    }
    flip(&snapshots[0], 300);
    flip(&snapshots[1], 300);
    let (mut journal, found) = disk.recover().unwrap();
    assert_eq!((found.snapshot, found.entries.len(), found.report.len()), (None, 6, 2));
    journal.write_snapshot(found.fence, &snapshot(3)).unwrap();
    drop(journal);
    let (_, found) = disk.recover().unwrap();
    assert_eq!((found.snapshot, found.report), (Some(snapshot(3)), vec![]), "unreadable ones make room for the next");
}

#[test]
fn a_damaged_note_of_what_is_durable_is_reported_and_costs_nothing() {
    let (disk, _) = three_batches(FileOptions::default());
    let synced = disk.path().join("SYNCED");
    for bit in 0..24 * 8 {
        flip(&synced, bit);
        let (_, found) = disk.recover().unwrap();
        assert_eq!((found.last, found.report), (Index(6), vec![Note::SyncedDamaged { path: synced.clone() }]));
    }
}

#[test]
fn damage_behind_a_snapshot_is_found_at_the_start_or_when_it_is_read() {
    let (disk, _) = three_batches(small_segments());
    let (mut journal, found) = disk.recover().unwrap();
    journal.write_snapshot(found.fence, &snapshot(6)).unwrap();
    drop(journal);
    let segment = disk.files(".seg").remove(0);
    flip(&segment, fs::read(&segment).unwrap().len() * 8 - 80);
    assert!(disk.refusal().contains("is damaged at byte "));
    let quick = FileDisk { options: FileOptions { verify: Verify::SinceSnapshot, ..small_segments() }, dir: disk.dir };
    let (mut journal, found) = quick.recover().unwrap();
    assert_eq!((found.snapshot, found.last), (Some(snapshot(6)), Index(6)));
    assert!(matches!(journal.read(Index(1), 6), Err(JournalError::Damaged { path, .. }) if path == segment));
    assert_eq!(journal.read(Index(5), 6).unwrap().len(), 2, "the rest is still readable");
}
