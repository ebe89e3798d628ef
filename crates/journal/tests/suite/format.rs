//! `docs/formats/journal.md` shows real bytes.

use std::fs;
use std::path::Path;

use credence_journal::{FileOptions, Index, Journal, Snapshot};

use super::disk::{FileDisk, batch};

/// The bytes of the hex dump that follows the line naming this file: lines of an offset, bytes, and a remark.
fn documented(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/journal.md");
    let text = fs::read_to_string(path).unwrap();
    let dump = text.split_once(&format!("`{file}`:\n\n```text\n")).unwrap().1.split_once("```").unwrap().0;
    let mut bytes = Vec::new();
    for line in dump.lines() {
        let (offset, rest) = line.split_once("  ").unwrap();
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let hex = rest.split_once("  ").map_or(rest, |(hex, _)| hex);
        bytes.extend(hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

#[test]
fn the_documented_bytes_are_the_written_ones() {
    let disk = FileDisk::new(FileOptions::default());
    let (mut journal, found) = disk.recover().unwrap();
    journal.append(found.fence, &batch(&["hello", "world!"])).unwrap();
    journal.write_snapshot(found.fence, &Snapshot { upto: Index(2), bytes: b"state".to_vec() }).unwrap();
    for file in ["00000000000000000001.seg", "snap-00000000000000000002.snap", "SYNCED"] {
        let written = fs::read(disk.path().join(file)).unwrap();
        assert_eq!(written, documented(file), "{file}: {written:02x?}");
    }
    assert_eq!(fs::read_to_string(disk.path().join("VERSION")).unwrap(), "credence-journal 1\n");
}

#[test]
fn the_documented_journal_is_read() {
    let disk = FileDisk::new(FileOptions::default());
    for file in ["00000000000000000001.seg", "snap-00000000000000000002.snap", "SYNCED"] {
        fs::write(disk.path().join(file), documented(file)).unwrap();
    }
    fs::write(disk.path().join("VERSION"), "credence-journal 1\n").unwrap();
    let (mut journal, found) = disk.recover().unwrap();
    assert_eq!((found.fence.0, found.last, found.report), (2, Index(2), vec![]));
    assert_eq!(found.snapshot.unwrap().bytes, b"state");
    assert_eq!(journal.read(Index(1), 9).unwrap(), [(Index(1), b"hello".to_vec()), (Index(2), b"world!".to_vec())]);
}
