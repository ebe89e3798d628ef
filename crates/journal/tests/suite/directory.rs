//! Directories that cannot be used, and what is said about them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use credence_journal::{FileJournal, FileOptions, Index, Journal, JournalError, Obstacle, Snapshot};

use super::disk::{FileDisk, batch};

fn obstacle(dir: &Path) -> (Obstacle, String) {
    match FileJournal::open(dir, FileOptions::default()) {
        Err(error @ JournalError::Io { obstacle, .. }) => (obstacle, error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_of_a_newer_format_is_refused_and_left_alone() {
    let disk = FileDisk::new(FileOptions::default());
    drop(disk.recover().unwrap());
    fs::write(disk.path().join("VERSION"), "credence-journal 2\n").unwrap();
    let refusal = disk.refusal();
    assert!(refusal.contains("VERSION says format version 2, and this program reads up to 1"), "{refusal}");
}

#[test]
fn a_version_that_cannot_be_read_or_is_gone_is_refused() {
    let disk = FileDisk::new(FileOptions::default());
    drop(disk.recover().unwrap());
    for text in ["", "credence-journal", "credence-journal 0", "credence-journal one", "something else 1"] {
        fs::write(disk.path().join("VERSION"), text).unwrap();
        let refusal = disk.refusal();
        assert!(refusal.contains("it should read \"credence-journal 1\""), "{text:?}: {refusal}");
    }
    fs::remove_file(disk.path().join("VERSION")).unwrap();
    let refusal = disk.refusal();
    assert!(refusal.contains("it is missing, and the directory holds a journal"), "{refusal}");
}

#[test]
fn a_path_that_is_or_goes_through_a_file_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let (obstacle, text) = obstacle(&dir);
        assert_eq!(obstacle, Obstacle::NotADirectory, "{text}");
        assert!(text.contains(&*dir.to_string_lossy()) && text.contains("--data-dir"), "{text}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_with_what_to_do() {
    // No one, not even root, can make a directory there.
    let (obstacle, text) = obstacle(Path::new("/proc/credence/journal"));
    assert!(matches!(obstacle, Obstacle::Missing | Obstacle::NoPermission | Obstacle::ReadOnly), "{text}");
    assert!(text.starts_with("cannot create /proc/credence/journal: ") && text.contains("--data-dir"), "{text}");
}

#[test]
fn a_lock_file_that_leads_nowhere_is_an_error_with_its_path() {
    let parent = tempfile::tempdir().unwrap();
    symlink("missing/lock", parent.path().join("LOCK")).unwrap();
    let (obstacle, text) = obstacle(parent.path());
    assert_eq!(obstacle, Obstacle::Missing, "{text}");
    assert!(text.contains("LOCK"), "{text}");
}

#[test]
fn a_second_journal_in_the_same_process_is_refused_too() {
    let disk = FileDisk::new(FileOptions::default());
    let (journal, _) = disk.recover().unwrap();
    let refusal = FileJournal::open(disk.path(), disk.options).unwrap_err();
    assert!(matches!(refusal, JournalError::InUse { pid, .. } if pid == Some(std::process::id())), "{refusal}");
    drop(journal);
    disk.recover().unwrap();
}

#[test]
fn only_the_owner_may_read_the_files() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("made/for/it");
    let mut journal = FileJournal::open(&dir, FileOptions::default()).unwrap();
    let fence = journal.recover().unwrap().fence;
    journal.append(fence, &batch(&["a"])).unwrap();
    journal.write_snapshot(fence, &Snapshot { upto: Index(1), bytes: vec![] }).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 5);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
