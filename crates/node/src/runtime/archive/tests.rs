use super::*;
use proptest::collection::btree_map;
use proptest::prelude::{any, proptest};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use tar::{Builder, EntryType, Header};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir(place.state()).expect("a state directory");
        place
    }
    fn state(&self) -> PathBuf {
        self.0.path().join("home")
    }
    fn log(&self) -> PathBuf {
        self.0.path().join("logs").join("actor.log")
    }
    fn file(&self) -> PathBuf {
        self.0.path().join("archive.tar")
    }
    fn pack(&self) -> Packed {
        pack(&self.state(), &self.log(), &self.file()).expect("packed")
    }
    fn unpack_from(&self, other: &Place) -> Result<(), ArchiveError> {
        unpack(&other.file(), &self.state(), &self.log())
    }
}

#[test]
fn state_comes_back_as_it_was_with_its_log_and_without_what_means_nothing_elsewhere() {
    let here = Place::new();
    let state = here.state();
    fs::create_dir_all(state.join("a/b")).expect("directories");
    fs::write(state.join("a/b/note"), "remember").expect("a file");
    fs::write(state.join("run.sh"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(state.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("a mode");
    symlink("../run.sh", state.join("a/inside")).expect("a link");
    symlink("/etc/passwd", state.join("absolute")).expect("a link");
    symlink("../../outside", state.join("a/outside")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(state.join("socket")).expect("a socket");
    fs::create_dir_all(here.log().parent().expect("a parent")).expect("a directory");
    fs::write(here.log(), "said before\n").expect("a log");
    let packed = here.pack();
    assert_eq!(packed.skipped, 3);
    assert_eq!(packed.digest, digest(&here.file()).expect("a digest"));
    assert_eq!(packed.bytes, fs::metadata(here.file()).expect("a file").len());

    let there = Place::new();
    there.unpack_from(&here).expect("unpacked");
    assert_eq!(fs::read_to_string(there.state().join("a/b/note")).expect("a file"), "remember");
    assert_eq!(fs::read_to_string(there.log()).expect("a log"), "said before\n");
    assert_eq!(fs::read_link(there.state().join("a/inside")).expect("a link"), Path::new("../run.sh"));
    let mode = fs::metadata(there.state().join("run.sh")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the owner may still run it, nobody else may anything");
    assert!(fs::symlink_metadata(there.state().join("absolute")).is_err());
    assert_eq!(there.pack().digest, packed.digest, "the content address does not depend on where or when");
}

#[test]
fn names_longer_than_a_tar_header_survive() {
    let here = Place::new();
    let deep = here.state().join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&deep).expect("directories");
    fs::write(deep.join("f".repeat(90)), "far down").expect("a file");
    symlink("g".repeat(200), deep.join("link")).expect("a link");
    let packed = here.pack();
    let there = Place::new();
    there.unpack_from(&here).expect("unpacked");
    assert_eq!(there.pack().digest, packed.digest);
}

#[test]
fn a_tree_that_is_too_deep_is_not_packed() {
    let here = Place::new();
    let mut deep = here.state();
    for _ in 0..=DEPTH_MAX {
        deep.push("d");
    }
    fs::create_dir_all(&deep).expect("directories");
    let failed = pack(&here.state(), &here.log(), &here.file());
    assert!(matches!(failed, Err(ArchiveError::TooMuch { .. })), "{failed:?}");
    assert!(!here.file().exists(), "nothing half written is left");
}

#[test]
fn more_bytes_than_the_limit_are_not_packed() {
    let here = Place::new();
    let sparse = fs::File::create(here.state().join("sparse")).expect("a file");
    sparse.set_len(CONTENT_BYTES_MAX + 1).expect("a size");
    let failed = pack(&here.state(), &here.log(), &here.file());
    assert!(matches!(failed, Err(ArchiveError::TooMuch { .. })), "{failed:?}");
}

/// An entry of a hostile archive: its name as raw bytes, kind, link target.
type Hostile<'h> = (&'h str, EntryType, &'h str);

fn hostile(entries: &[Hostile<'_>], into: &Path) {
    let mut tar = Builder::new(fs::File::create(into).expect("a file"));
    for (name, kind, target) in entries {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o6777);
        header.set_size(0);
        header.set_mtime(1);
        header.set_cksum();
        tar.append(&header, io::empty()).expect("appended");
    }
    tar.finish().expect("finished");
}

#[test]
fn an_archive_that_reaches_outwards_is_refused() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let top: Hostile<'_> = ("state", Directory, "");
    let cases: &[(&str, &[Hostile<'_>])] = &[
        ("name", &[top, ("/etc/cron.d/x", Regular, "")]),
        ("name", &[top, ("state/../../x", Regular, "")]),
        ("name", &[top, ("..", Directory, "")]),
        ("name", &[top, ("other/x", Regular, "")]),
        ("name", &[("log", Directory, "")]),
        ("kind", &[("state", Symlink, "/tmp")]),
        ("parent", &[("state/x", Regular, "")]),
        ("parent", &[top, ("state/d/x", Regular, "")]),
        ("parent", &[top, ("state/l", Symlink, "."), ("state/l/x", Regular, "")]),
        ("link", &[top, ("state/l", Symlink, "/etc/passwd")]),
        ("link", &[top, ("state/l", Symlink, "../x")]),
        ("link", &[top, ("state/d", Directory, ""), ("state/d/l", Symlink, "../../x")]),
        ("link", &[top, ("state/s", Symlink, "."), ("state/l", Symlink, "s/../x")]),
        ("link", &[top, ("state/l", Symlink, "")]),
        ("kind", &[top, ("state/h", Link, "state/x")]),
        ("kind", &[top, ("state/f", Fifo, "")]),
        ("kind", &[top, ("state/c", Char, "")]),
        ("kind", &[top, ("state/b", Block, "")]),
        ("twice", &[top, ("state/x", Regular, ""), ("state/x", Regular, "")]),
        ("twice", &[top, ("state/x", Symlink, "y"), ("state/x", Regular, "")]),
        ("twice", &[top, ("state/", Directory, "")]),
    ];
    for (expected, entries) in cases {
        let place = Place::new();
        hostile(entries, &place.file());
        let refused = unpack(&place.file(), &place.state(), &place.log());
        let kind = match &refused {
            Err(ArchiveError::Name(_)) => "name",
            Err(ArchiveError::Parent(_)) => "parent",
            Err(ArchiveError::Link(_)) => "link",
            Err(ArchiveError::EntryKind(_)) => "kind",
            Err(ArchiveError::Twice(_)) => "twice",
            _ => "none",
        };
        assert_eq!(kind, *expected, "{entries:?}: {refused:?}");
    }
}

#[test]
fn rights_to_become_somebody_else_are_not_restored() {
    let place = Place::new();
    hostile(&[("state", EntryType::Directory, ""), ("state/x", EntryType::Regular, "")], &place.file());
    unpack(&place.file(), &place.state(), &place.log()).expect("unpacked");
    assert_eq!(fs::metadata(place.state().join("x")).expect("a file").permissions().mode() & 0o7777, 0o700);
}

#[test]
fn an_archive_with_too_many_entries_is_refused() {
    let place = Place::new();
    let names: Vec<String> = (0..=ENTRIES_MAX).map(|number| format!("state/{number}")).collect();
    let mut entries = vec![("state", EntryType::Directory, "")];
    entries.extend(names.iter().map(|name| (name.as_str(), EntryType::Symlink, "0")));
    hostile(&entries, &place.file());
    let refused = unpack(&place.file(), &place.state(), &place.log());
    assert!(matches!(refused, Err(ArchiveError::TooMuch { .. })), "{refused:?}");
}

#[test]
fn garbage_is_refused_and_not_believed() {
    for garbage in [vec![7; 512], vec![0xff; 4096], b"ustar".to_vec()] {
        let place = Place::new();
        fs::write(place.file(), &garbage).expect("a file");
        assert!(unpack(&place.file(), &place.state(), &place.log()).is_err(), "{} bytes", garbage.len());
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_packed_is_unpacked_and_packs_the_same(
        files in btree_map("[a-z]{1,3}(/[a-z]{1,3}){0,3}", proptest::collection::vec(any::<u8>(), 0..2000), 0..12),
    ) {
        let here = Place::new();
        for (name, content) in &files {
            let at = here.state().join(name);
            // A name may be a directory of another one; then it is left out.
            if fs::create_dir_all(at.parent().expect("a parent")).is_ok() && !at.is_dir() {
                fs::write(at, content).expect("a file");
            }
        }
        let packed = here.pack();
        let there = Place::new();
        there.unpack_from(&here).expect("unpacked");
        assert_eq!(there.pack().digest, packed.digest);
        for (name, content) in &files {
            if let Ok(found) = fs::read(there.state().join(name)) {
                assert_eq!(&found, content);
            }
        }
    }
}
