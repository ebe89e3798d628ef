//! `credence doctor` on real installations: healthy, down, exposed, damaged, restored.

use crate::program::{Ran, run_in};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running `credence dev`; it ends when its standard input closes.
struct Dev(Child);

impl Dev {
    fn start(home: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_credence"))
            .args(["dev", "--until-stdin-closes", "-o", "json"])
            .env_clear()
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("credence starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("it says that it is up");
        Self(child)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What the doctor says, by the name of the check, and whether it is healthy.
fn doctor(home: &Path, arguments: &[&str]) -> (bool, Value) {
    let ran = run_in(home, &[&["doctor", "-o", "json"], arguments].concat(), "");
    let said: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(said["healthy"] == true, ran.code == 0, "the exit code says the same: {ran:?}");
    (ran.code == 0, said)
}

#[track_caller]
fn check<'a>(said: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = said["checks"].as_array().expect("checks");
    let found = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {said}"));
    (found["state"].as_str().expect("a state"), found["says"].as_str().expect("words"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_laptop_is_healthy_until_something_is_wrong_and_then_it_is_named() {
    let home = tempfile::tempdir().expect("a home");
    let home = home.path();
    let dev = Dev::start(home);
    let (healthy, said) = doctor(home, &[]);
    assert!(healthy, "{said}");
    for name in ["data", "disk", "journal", "authority", "server", "server svid", "clock", "held", "nodes", "waiting"] {
        assert_eq!(check(&said, name).0, "ok", "{name}: {said}");
    }
    for name in ["node svid", "node socket"] {
        assert_eq!(check(&said, name).0, "ok", "{name}: {said}");
    }
    let data_dir = home.join(".local/state/credence/dev/server");
    let left: Vec<_> = std::fs::read_dir(&data_dir).expect("a directory").flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("check")), "it leaves nothing behind: {left:?}");

    let key = data_dir.join("authority/root.key.pem");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).expect("changed");
    let (healthy, said) = doctor(home, &[]);
    assert!(!healthy && check(&said, "data").1.contains("root.key.pem (mode 0640)"), "{said}");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("changed");
    let config = home.join("server.toml");
    std::fs::write(&config, "trust_domain = 'UPPER'").expect("written");
    let (healthy, said) = doctor(home, &["--config", text(&config)]);
    assert!(!healthy && check(&said, "config").1.contains("trust_domain"), "{said}");

    // The server down: what this machine knows is said all the same.
    drop(dev);
    let (healthy, said) = doctor(home, &["--data-dir", text(&data_dir)]);
    assert!(!healthy);
    assert_eq!(check(&said, "server").0, "fail", "{said}");
    for name in ["data", "disk", "journal", "authority"] {
        assert_eq!(check(&said, name).0, "ok", "{name}: {said}");
    }
    assert_eq!(check(&said, "held").0, "unknown", "{said}");

    // A bit of the journal flips.
    let segments = std::fs::read_dir(data_dir.join("journal")).expect("a journal").flatten().map(|entry| entry.path());
    let segment = segments.filter(|path| text(path).ends_with(".seg")).max().expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let snapshots = std::fs::read_dir(data_dir.join("journal")).expect("a journal").flatten().map(|entry| entry.path());
    snapshots
        .filter(|path| text(path).ends_with(".snap"))
        .for_each(|path| std::fs::remove_file(path).expect("removed"));
    let (_, said) = doctor(home, &["--data-dir", text(&data_dir)]);
    assert!(check(&said, "journal").0 == "fail" && check(&said, "journal").1.contains(".seg"), "{said}");
    let (_, said) = doctor(home, &["--data-dir", text(&home.join("nothing"))]);
    assert_eq!(check(&said, "data").0, "fail", "{said}");
}

#[test]
fn a_restored_server_is_held_and_the_doctor_says_what_to_do() {
    let home = tempfile::tempdir().expect("a home");
    let home = home.path();
    drop(Dev::start(home));
    let data_dir = home.join(".local/state/credence/dev/server");
    let done = |arguments: &[&str]| -> Ran {
        let ran = run_in(home, arguments, "");
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    };
    done(&["backup", "backup", "--data-dir", text(&data_dir), "--with-keys"]);
    std::fs::remove_dir_all(&data_dir).expect("removed");
    done(&["restore", "backup", "--data-dir", text(&data_dir)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args([
            "server",
            "--until-stdin-closes",
            "-o",
            "json",
            "--trust-domain",
            "dev.internal",
            "--listen",
            "127.0.0.1:0",
        ])
        .args([Path::new("--data-dir"), &data_dir])
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("credence starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("it says that it is up");
    let server = Dev(child);
    let ran = run_in(home, &["doctor", "--data-dir", text(&data_dir)], "");
    assert_eq!(ran.code, 1, "{ran:?}");
    for words in
        ["> held", "it was restored from a backup that ends at journal entry", "What to do: make sure that no other"]
    {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    drop(server);
}
