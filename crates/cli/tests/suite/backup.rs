//! Backups of a running server under load, what is restored from them, and what is refused.

use crate::program::{Ran, run_in};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

const CLASS: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {namespace: finance, name: any}\nspec: {owner: finance@example.org}\n";
/// How many actors are acknowledged before the backup begins.
const BEFORE: usize = 12;
/// How many clients write at the same time.
const CLIENTS: usize = 2;

/// A running `credence server`; it ends when its standard input closes.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(home: &Path, data_dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_credence"))
            .args(["server", "--trust-domain", "drill.internal", "--listen", "127.0.0.1:0", "-o", "json"])
            .args([Path::new("--until-stdin-closes"), Path::new("--data-dir"), data_dir])
            .env_clear()
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("credence starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("it says that it is up");
        let said: Value = serde_json::from_str(&line).expect("one line of JSON");
        let address = format!("unix:{}", said["admin_socket"].as_str().expect("a socket"));
        Self { child, address }
    }

    fn ran(&self, home: &Path, arguments: &[&str], stdin: &str) -> Ran {
        run_in(home, &[&["--server", &self.address], arguments].concat(), stdin)
    }

    fn actors(&self, home: &Path) -> BTreeSet<String> {
        let ran = self.ran(home, &["get", "actors", "-o", "json"], "");
        let listed: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let items = listed.get("items").unwrap_or(&listed).as_array().expect("a list").clone();
        items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn back_up(home: &Path, backup: &Path, more: &[&str]) -> Ran {
    run_in(home, &[&["backup", text(backup), "--data-dir", text(&home.join("data"))], more].concat(), "")
}

fn restore(home: &Path, backup: &Path, data_dir: &Path, more: &[&str]) -> Ran {
    run_in(home, &[&["restore", text(backup), "--data-dir", text(data_dir), "-o", "json"], more].concat(), "")
}

#[test]
fn a_server_restored_from_a_backup_under_load_has_all_that_was_acknowledged_before_it() {
    let home = tempfile::tempdir().expect("a home");
    let home = home.path();
    let (backup, restored) = (home.join("backup"), home.join("restored"));
    let server = Server::start(home, &home.join("data"));
    assert_eq!(server.ran(home, &["apply", "-f", "-"], CLASS).code, 0);
    let bundle = server.ran(home, &["bundle", "show"], "").stdout;

    let enough = AtomicBool::new(false);
    let (acknowledged, written) = mpsc::sync_channel(1000);
    let before: BTreeSet<String> = std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, enough, acknowledged) = (&server, &enough, acknowledged.clone());
            scope.spawn(move || {
                for n in 0.. {
                    let id = format!("actor-{client}-{n}");
                    let ran = server.ran(home, &["actor", "create", &id, "-n", "finance", "--class", "any"], "");
                    // Nobody listens any more once the backup is made; the load goes on until it is told.
                    let _ = (ran.code == 0).then(|| acknowledged.send(id));
                    if enough.load(Ordering::Relaxed) || ran.code != 0 {
                        return;
                    }
                }
            });
        }
        let before = written.iter().take(BEFORE).collect();
        let ran = back_up(home, &backup, &["--with-keys"]);
        enough.store(true, Ordering::Relaxed);
        assert_eq!(ran.code, 0, "{ran:?}");
        before
    });
    assert_eq!(before.len(), BEFORE);
    let all = server.actors(home);
    drop(server);

    let ran = restore(home, &backup, &restored, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said: Value = serde_json::from_str(&ran.stdout).expect("an object");
    assert_eq!(said["trust_domain"], "drill.internal");
    let again = Server::start(home, &restored);
    let actors = again.actors(home);
    assert!(before.is_subset(&actors), "missing: {:?}", before.difference(&actors).collect::<Vec<_>>());
    assert!(actors.is_subset(&all), "nobody created: {:?}", actors.difference(&all).collect::<Vec<_>>());
    assert_eq!(again.ran(home, &["bundle", "show"], "").stdout, bundle, "the authority is the same");
    drop(again);
    let ran = restore(home, &backup, &restored, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("is not empty"), "{ran:?}");
}

/// Nothing with the name, and nothing half.
fn nothing_is_there(home: &Path, target: &Path) {
    let names = std::fs::read_dir(home).expect("a directory").map(|entry| entry.expect("a name").path());
    let left: Vec<_> = names.filter(|path| path == target || text(path).ends_with(".partial")).collect();
    assert!(left.is_empty(), "half of it is left: {left:?}");
}

#[test]
fn private_keys_are_in_a_backup_only_if_asked_for_and_nobody_else_reads_it() {
    let home = tempfile::tempdir().expect("a home");
    let home = home.path();
    drop(Server::start(home, &home.join("data")));
    let key = std::fs::read(home.join("data/authority/root.key.pem")).expect("a key");
    let holds = |backup: &Path| {
        let bytes = std::fs::read(backup).expect("a backup");
        bytes.windows(key.len()).any(|part| part == key)
    };
    let (without, with, target) = (home.join("without"), home.join("with"), home.join("restored"));
    for (backup, more, expected) in [(&without, &[][..], false), (&with, &["--with-keys"][..], true)] {
        let ran = back_up(home, backup, more);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(
            ran.stdout.contains("Not in it, and needed to restore: authority/jwt.key.pem"),
            !expected,
            "{ran:?}"
        );
        assert_eq!(holds(backup), expected, "{more:?}");
        assert_eq!(std::fs::metadata(backup).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    let ran = back_up(home, &with, &[]);
    assert!(ran.code == 1 && ran.stderr.contains("is there already"), "{ran:?}");

    let ran = restore(home, &without, &target, &[]);
    assert!(ran.code == 1 && ran.stderr.contains("authority/jwt.key.pem is not given"), "{ran:?}");
    nothing_is_there(home, &target);
    // Keys of another authority.
    let other = home.join("other");
    drop(Server::start(home, &other));
    let ran = restore(home, &without, &target, &["--keys", text(&other.join("authority"))]);
    assert!(ran.code == 1 && ran.stderr.contains("it is not the key of root.cert.pem"), "{ran:?}");
    nothing_is_there(home, &target);
    // A key that is none, and one that only the server's passphrase opens.
    let jwt = other.join("authority/jwt.key.pem");
    std::fs::write(&jwt, "rubbish").expect("written");
    std::fs::copy(home.join("data/authority/root.key.pem"), other.join("authority/root.key.pem")).expect("copied");
    let ran = restore(home, &without, &target, &["--keys", text(&other.join("authority"))]);
    assert!(ran.code == 1 && ran.stderr.contains("jwt.key.pem"), "{ran:?}");
    nothing_is_there(home, &target);
    std::fs::write(&jwt, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").expect("written");
    assert_eq!(restore(home, &without, &home.join("sealed"), &["--keys", text(&other.join("authority"))]).code, 0);
    let ran = restore(home, &without, &target, &["--keys", text(&home.join("data/authority"))]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let restored = target.join("authority/root.key.pem");
    assert_eq!(std::fs::read(&restored).expect("the key"), key);
    assert_eq!(std::fs::metadata(&restored).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&target).expect("a directory").permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_backup_that_is_not_what_was_made_is_refused_whole_and_says_why() {
    let home = tempfile::tempdir().expect("a home");
    let home = home.path();
    drop(Server::start(home, &home.join("data")));
    let (backup, target) = (home.join("backup"), home.join("never"));
    assert_eq!(back_up(home, &backup, &["--with-keys"]).code, 0);
    let whole = std::fs::read(&backup).expect("read");
    let find = |what: &str| whole.windows(what.len()).position(|part| part == what.as_bytes()).expect(what);
    let segment = find("{\"file\":{\"path\":\"journal/0") + 100;
    let end = find("{\"end\"");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    let cases: [(Vec<u8>, &str); 10] = [
        (changed(&|bytes| bytes[segment] ^= 1), "00000000000000000001.seg: its checksum differs"),
        (changed(&|bytes| bytes.truncate(segment)), "00000000000000000001.seg: the backup is cut off there"),
        (changed(&|bytes| bytes.truncate(end)), "the line before a file: the backup is cut off there"),
        (changed(&|bytes| bytes[end + 30] ^= 1), "is damaged in"),
        (changed(&|bytes| bytes.truncate(bytes.len() - 70)), "is cut off"),
        (changed(&|bytes| bytes.truncate(bytes.len() - 1)), "its checksum: the backup is cut off there"),
        (changed(&|bytes| bytes.push(b'x')), "something follows"),
        (changed(&|bytes| bytes[16] = b'2'), "backup of format 2 and this program reads format 1"),
        (b"#!/bin/sh\n".to_vec(), "it is not a backup of a server"),
        (Vec::new(), "its first line: the backup is cut off there, after 0 bytes"),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&backup, bytes).expect("written");
        let ran = restore(home, &backup, &target, &[]);
        assert_eq!(ran.code, 1, "{expected}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
        nothing_is_there(home, &target);
    }
    // A path that leads out, with every checksum right.
    let bytes = String::from("credence-backup 1\n{\"file\":{\"path\":\"../evil\",\"bytes\":0}}\n");
    std::fs::write(&backup, bytes).expect("written");
    let ran = restore(home, &backup, &target, &[]);
    assert!(ran.stderr.contains("outside of the data directory"), "{ran:?}");
    nothing_is_there(home, &target);
}
