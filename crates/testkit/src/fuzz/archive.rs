//! State archives, which come from another host.

use super::scratch;
use credence_node::runtime::archive::{CONTENT_BYTES_MAX, ENTRIES_MAX, pack, unpack};
use std::fs;
use std::path::Path;

/// Bytes of a block of a tar file, and of its header.
const BLOCK: usize = 512;

/// Whatever an archive says, nothing is made outside the two places it may write to, nothing exceeds the limits, and what
/// was unpacked packs to an archive that is its own canonical form.
///
/// The first byte says whether the checksums of the headers are put right first: without that, few changes get past them.
pub fn archive(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let mut tar = rest.to_vec();
    if mode % 2 == 1 {
        put_checksums_right(&mut tar);
    }
    let dir = scratch();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("in.tar"), &tar).expect("the archive");
    fs::write(at("outside"), b"untouched").expect("a file beside it");
    fs::create_dir(at("one")).expect("a directory");
    let accepted = unpack(&at("in.tar"), &at("one"), &at("one.log")).is_ok();

    assert_eq!(fs::read(at("outside")).ok().as_deref(), Some(&b"untouched"[..]), "something outside was changed");
    let mut beside: Vec<_> = names(dir.path());
    beside.retain(|name| !["in.tar", "one", "outside"].contains(&name.as_str()) && !name.starts_with("one.log"));
    assert!(beside.is_empty(), "made outside: {beside:?}");
    if !accepted {
        return;
    }
    let (mut entries, mut content) = (0, 0);
    measure(&at("one"), &mut entries, &mut content);
    assert!(entries <= ENTRIES_MAX && content <= CONTENT_BYTES_MAX);

    // What came from outside may hold what packing leaves out; from the first packing on nothing changes.
    pack(&at("one"), &at("one.log"), &at("1.tar")).expect("what was unpacked can be packed");
    fs::create_dir(at("two")).expect("a directory");
    unpack(&at("1.tar"), &at("two"), &at("two.log")).expect("what was packed can be unpacked");
    let packed = pack(&at("two"), &at("two.log"), &at("2.tar")).expect("packed again");
    assert_eq!(packed.skipped, 0);
    assert_eq!(fs::read(at("1.tar")).ok(), fs::read(at("2.tar")).ok(), "the same state has two archives");
}

/// Writes into every header the checksum that belongs to it, as far as sizes can be followed.
fn put_checksums_right(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()).unwrap_or(0);
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
        if tar.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0)) {
            return;
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn measure(dir: &Path, entries: &mut usize, content: &mut u64) {
    // A directory may have been archived without the right to read it; its owner may still be another than the tests'.
    let Ok(found) = fs::read_dir(dir) else { return };
    for entry in found.filter_map(Result::ok) {
        let metadata = entry.metadata().expect("its own metadata, no link followed");
        *entries += 1;
        if metadata.is_dir() {
            measure(&entry.path(), entries, content);
        } else if metadata.is_file() {
            *content += metadata.len();
        }
    }
}
