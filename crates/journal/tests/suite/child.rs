//! What only two processes can show: this test binary starts itself again as the other one.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use credence_journal::{FileJournal, FileOptions, Index, Journal, JournalError, Verify};

use super::disk::FileDisk;

const DIR: &str = "CREDENCE_JOURNAL_CHILD_DIR";
const PART: &str = "CREDENCE_JOURNAL_CHILD_PART";
const OPTIONS: FileOptions = FileOptions { segment_bytes_max: 2_000, verify: Verify::Everything };
const ACKNOWLEDGED: &str = "acknowledged ";
const HOLDING: &str = "holding";

/// The other process. Run as an ordinary test it has no part to play.
#[test]
fn the_other_process_plays_its_part() {
    let (Some(dir), Some(part)) = (env::var_os(DIR), env::var_os(PART)) else { return };
    let mut journal = FileJournal::open(&PathBuf::from(dir), OPTIONS).unwrap();
    if part == "hold" {
        println!("{HOLDING}");
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let found = journal.recover().unwrap();
    let mut next = found.last.0 + 1;
    loop {
        let batch: Vec<Vec<u8>> = (next..=next + next % 5).map(entry).collect();
        let last = journal.append(found.fence, &batch).unwrap();
        println!("{ACKNOWLEDGED}{last}");
        next = last.0 + 1;
    }
}

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index} ").repeat(usize::try_from(index % 7).unwrap()).into_bytes()
}

fn start(disk: &FileDisk, part: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "suite::child::the_other_process_plays_its_part", "--nocapture"])
        .env(DIR, disk.path())
        .env(PART, part)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout: ChildStdout = child.stdout.take().unwrap();
    (child, BufReader::new(stdout).lines().map_while(Result::ok))
}

#[test]
fn a_process_killed_while_it_appends_loses_nothing_that_was_acknowledged() {
    let disk = FileDisk::new(OPTIONS);
    let mut acknowledged = 0;
    for rounds in [1, 20, 50] {
        let (mut child, lines) = start(&disk, "append");
        let mut indexes = lines.filter_map(|line| line.split_once(ACKNOWLEDGED)?.1.parse::<u64>().ok());
        acknowledged = indexes.by_ref().nth(rounds).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = indexes.last().unwrap_or(0).max(acknowledged);
        let (mut journal, found) = disk.recover().unwrap();
        assert!(found.last.0 >= acknowledged, "{} is behind the acknowledged {acknowledged}", found.last);
        let expected: Vec<Vec<u8>> = (1..=found.last.0).map(entry).collect();
        assert_eq!(found.entries, expected);
        assert_eq!(journal.read(found.last, 9).unwrap(), [(found.last, entry(found.last.0))]);
    }
    assert!(acknowledged > 70 && disk.files(".seg").len() > 1);
}

#[test]
fn a_directory_in_use_by_another_process_is_refused_and_names_it() {
    let disk = FileDisk::new(OPTIONS);
    let (mut child, mut lines) = start(&disk, "hold");
    lines.by_ref().find(|line| line.contains(HOLDING)).unwrap();
    let refusal = FileJournal::open(disk.path(), OPTIONS).unwrap_err();
    assert!(matches!(refusal, JournalError::InUse { pid, .. } if pid == Some(child.id())), "{refusal}");
    let text = refusal.to_string();
    let start = format!("the data directory {} is in use by process {} (suite-", disk.path().display(), child.id());
    assert!(text.starts_with(&start) && text.ends_with("stop it first, or choose another with --data-dir"), "{text}");
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(disk.recover().unwrap().1.last, Index::NONE);
}
