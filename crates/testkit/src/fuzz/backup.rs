//! Backups, which may have been anywhere since they were made.

use super::scratch;
use credence_model::id::Digest;
use credence_model::time::Timestamp;
use credence_server::backup::{RESTORED, Restored, back_up, restore};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The checksums are put right before the backup is read.
const RIGHTED: u8 = 1;
/// A directory with the keys that were left out is given.
const KEYED: u8 = 2;
/// A moment to make backups at.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A backup is restored or refused whole, the same twice; nothing beside the directory is touched; and what was restored can
/// be backed up and restored to the same.
///
/// The first byte says whether the checksums are put right first: without that, no change gets past them.
pub fn backup(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let file = if mode & RIGHTED == 0 { rest.to_vec() } else { with_right_checksums(rest) };
    let dir = scratch();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("in"), &file).expect("the backup");
    fs::write(at("outside"), b"untouched").expect("a file beside it");
    fs::create_dir(at("keys")).expect("a directory");
    fs::write(at("keys/root.key.pem"), b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n").expect("a key");
    let keys = (mode & KEYED != 0).then(|| at("keys"));
    let before = listing(dir.path());

    let restored = restore(&at("in"), &at("data"), keys.as_deref());
    let mut after = listing(dir.path());
    after.retain(|path, _| restored.is_err() || !path.starts_with("data/"));
    assert_eq!(before, after, "something beside the directory was made or changed");
    let again = restore(&at("in"), &at("again"), keys.as_deref());
    match (restored, again) {
        (Ok(restored), Ok(again)) => {
            assert_eq!(restored, again);
            assert_eq!(listing(&at("data")), listing(&at("again")), "restored twice, two directories");
            nothing_else(&listing(&at("data")), &file, &at("keys"));
            goes_on(dir.path(), &restored);
        }
        (Err(one), Err(two)) => {
            assert!(!one.to_string().is_empty() && one.to_string().len() <= super::MESSAGE_BYTES_MAX);
            assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&two), "refused twice, for two reasons");
        }
        (one, two) => panic!("restored in two ways: {one:?} and {two:?}"),
    }
}

/// What is in the directory was in the backup, or among the keys; only the journal and the record of the restore are written.
fn nothing_else(made: &BTreeMap<String, Vec<u8>>, backup: &[u8], keys: &Path) {
    for (name, content) in made.iter().filter(|(name, _)| *name != RESTORED && !name.starts_with("journal/")) {
        let was_there = content.is_empty() || backup.windows(content.len()).any(|window| window == content);
        assert!(was_there || listing(keys).values().any(|key| key == content), "{name} came from elsewhere");
    }
}

/// What was restored is a data directory like any other, as far as it has what one needs.
fn goes_on(dir: &Path, restored: &Restored) {
    let at = |name: &str| dir.join(name);
    let Ok(made) = back_up(&at("data"), &at("1.backup"), true, NOW) else { return };
    assert_eq!(made.left_out, Vec::<String>::new());
    let once = restore(&at("1.backup"), &at("once"), None).expect("what was backed up can be restored");
    assert_eq!(once, Restored { made_at: NOW, ..restored.clone() });
    back_up(&at("once"), &at("2.backup"), true, NOW).expect("backed up again");
    let twice = restore(&at("2.backup"), &at("twice"), None).expect("and restored again");
    assert_eq!(once, twice);
    // Whoever opens a journal leaves a trace in it.
    let without_journal = |name: &str| {
        let mut found = listing(&at(name));
        found.retain(|path, _| !path.starts_with("journal/"));
        found
    };
    assert_eq!(without_journal("once"), without_journal("twice"), "the same state has two backups");
}

/// Writes behind each file, and at the end, the checksums and counts that belong there, as far as the lines can be read.
fn with_right_checksums(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest, mut files, mut size) = (Vec::with_capacity(bytes.len()), bytes, 0_u64, 0_u64);
    take_line(&mut rest, &mut out);
    while !rest.is_empty() {
        let begin = out.len();
        take_line(&mut rest, &mut out);
        let line: serde_json::Value = serde_json::from_slice(&out[begin..]).unwrap_or_default();
        if let Some(length) = line["file"]["bytes"].as_u64().and_then(|length| usize::try_from(length).ok()) {
            let (content, behind) = rest.split_at(length.min(rest.len()));
            out.extend_from_slice(content);
            rest = behind;
            take_line(&mut rest, &mut Vec::new());
            out.extend_from_slice(format!("{{\"sha256\":\"{}\"}}\n", hex(content)).as_bytes());
            (files, size) = (files + 1, size.saturating_add(content.len() as u64));
        }
        if let serde_json::Value::Object(end) = &line["end"] {
            let mut end = end.clone();
            end.insert("files".to_owned(), files.into());
            end.insert("bytes".to_owned(), size.into());
            out.truncate(begin);
            out.extend_from_slice(format!("{}\n", serde_json::json!({ "end": end })).as_bytes());
            take_line(&mut rest, &mut Vec::new());
            let whole = hex(&out);
            out.extend_from_slice(format!("{whole}\n").as_bytes());
        }
    }
    out
}

fn take_line(rest: &mut &[u8], to: &mut Vec<u8>) {
    let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
    let (line, behind) = rest.split_at(end);
    to.extend_from_slice(line);
    *rest = behind;
}

fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string().trim_start_matches("sha256:").to_owned()
}

/// Every file below a directory with its bytes. Locks are left out: whoever opens a journal makes one.
fn listing(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("inside").to_string_lossy().into_owned();
            match path.is_dir() {
                true => waiting.push(path),
                false if name.ends_with("LOCK") => {}
                false => drop(found.insert(name, fs::read(&path).expect("a file"))),
            }
        }
    }
    found
}
