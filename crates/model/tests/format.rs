//! `docs/formats/entry.md` says what is written.

const DOCUMENT: &str = include_str!("../../../docs/formats/entry.md");
const GOLDEN: &str = include_str!("golden/journal-v1.txt");

/// The number of an entry's event: the entry is `[format, index, at, caller, [number, fields]]`.
fn number_of_event(bytes: &[u8]) -> u32 {
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder.array().unwrap();
    for _ in 0..4 {
        decoder.skip().unwrap();
    }
    decoder.array().unwrap();
    decoder.u32().unwrap()
}

#[test]
fn the_documented_entry_is_one_of_the_golden_journal() {
    let example = DOCUMENT.split("```").nth(1).unwrap().trim();
    let entry_2 = GOLDEN.lines().nth(1).unwrap();
    assert_eq!(entry_2, format!("cell_started {example}"));
}

#[test]
fn every_event_is_documented_under_its_number() {
    for line in GOLDEN.lines() {
        let (tag, bytes) = line.split_once(' ').unwrap();
        let number = number_of_event(&hex::decode(bytes).unwrap());
        let row = format!("| {number} | `{tag}` |");
        assert!(DOCUMENT.contains(&row), "docs/formats/entry.md has no row {row}");
    }
}
