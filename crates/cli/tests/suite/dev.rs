//! `credence dev` and `credence run`, as a person with a laptop uses them: nothing is configured, one finds the other.

use crate::program::{Ran, run_in};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A class that says nothing about how it runs.
const CLASS: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {namespace: finance, name: any}\nspec: {owner: finance@example.org}\n";

/// A running `credence dev`; it ends when its standard input closes.
pub(crate) struct Dev {
    home: tempfile::TempDir,
    child: Child,
}

impl Dev {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a home"))
    }

    /// Ends it and starts it once more.
    fn again(mut self) -> Self {
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().expect("a home"));
        drop(self);
        Self::start_in(home)
    }

    fn start_in(home: tempfile::TempDir) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_credence"))
            .args(["dev", "-o", "json", "--until-stdin-closes"])
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("credence starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("it says that it is up");
        let said: Value = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!(said["pid"], child.id());
        let dev = Self { home, child };
        assert_eq!(dev.ran(&["apply", "-f", "-"], CLASS).code, 0);
        dev
    }

    pub(crate) fn ran(&self, arguments: &[&str], stdin: &str) -> Ran {
        run_in(self.home.path(), arguments, stdin)
    }

    /// Runs a shell script as an actor.
    fn script(&self, actor: &str, script: &str, stdin: &str) -> Ran {
        self.ran(&["run", "--class", "finance/any", "--actor", actor, "--", "/bin/sh", "-c", script], stdin)
    }

    fn actor(&self, actor: &str) -> Value {
        let ran = self.ran(&["get", &format!("actor/finance/{actor}"), "-o", "json"], "");
        let object: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        object.pointer("/items/0").cloned().unwrap_or(object)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn a_node_that_was_deleted_is_let_in_anew_at_the_next_start() {
    let dev = Dev::start();
    let deleted = dev.ran(&["delete", "node/dev"], "");
    assert_eq!(deleted.code, 0, "{deleted:?}");
    let dev = dev.again();
    assert_eq!(dev.script("desk", "exit 7", "").code, 7);
}

#[test]
fn a_program_has_its_terminal_its_exit_code_and_an_identity_that_ends_with_it() {
    let dev = Dev::start();
    let script =
        "echo $SPIFFE_ENDPOINT_SOCKET; test -S ${SPIFFE_ENDPOINT_SOCKET#unix://} || exit 9; cat; echo oops >&2; exit 7";
    let first = dev.script("desk", script, "typed\n");
    let (socket, rest) = first.stdout.split_once('\n').expect("the socket first");
    assert_eq!((rest, first.stderr.as_str(), first.code), ("typed\n", "oops\n", 7));
    assert!(!Path::new(socket.trim_start_matches("unix://")).exists(), "the socket is still there");
    let actor = dev.actor("desk");
    assert_eq!((&actor["state"], &actor["epoch"]), (&"suspended".into(), &1.into()), "{actor}");
    let second = dev.script("desk", "true", "");
    assert_eq!(second.code, 0, "{second:?}");
    let again = dev.actor("desk");
    assert_eq!((&again["spiffe_id"], &again["epoch"]), (&actor["spiffe_id"], &2.into()));
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let dev = Dev::start();
    // The second sleep has forked twice and has a session of its own.
    let ran = dev.script("messy", "sleep 1000 & (setsid sleep 2000 &); echo $!", "");
    let pid = ran.stdout.trim();
    assert!(!Path::new("/proc").join(pid).exists(), "process {pid} is still there");
    let left = std::fs::read_dir("/proc").expect("/proc").flatten().any(|entry| {
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let home = dev.home.path().as_os_str().as_encoded_bytes();
        cmdline.starts_with(b"sleep\0") && environ.windows(home.len()).any(|window| window == home)
    });
    assert!(!left, "a process that forked twice is still there");
}

#[test]
fn a_program_killed_by_a_signal_ends_with_128_and_its_number() {
    let dev = Dev::start();
    assert_eq!(dev.script("struck", "kill -TERM $$", "").code, 128 + 15);
}

#[test]
fn an_actor_runs_once_at_a_time() {
    let dev = Dev::start();
    let inner = format!(
        "{} run --class finance/any --actor busy -- /bin/true",
        PathBuf::from(env!("CARGO_BIN_EXE_credence")).display()
    );
    let ran = dev.script("busy", &inner, "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("finance/busy") && ran.stderr.starts_with("error: "), "{ran:?}");
}

#[test]
fn who_is_an_actor_cannot_become_another_one() {
    let dev = Dev::start();
    let inner = format!("{} run --class finance/any --actor other -- /bin/true", env!("CARGO_BIN_EXE_credence"));
    let ran = dev.script("one", &inner, "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("is part of actor finance/one already"), "{ran:?}");
    assert_eq!(dev.ran(&["get", "actor/finance/other"], "").code, 1, "it was created");
}

#[test]
fn what_cannot_be_run_says_why() {
    let dev = Dev::start();
    for (arguments, code, message) in [
        (&["run", "--class", "finance/none", "--", "true"][..], 1, "error: there is no class finance/none"),
        (&["run", "--class", "finance/any", "--", "/no/such"], 1, "error: runtime: cannot start /no/such: "),
        (&["run", "--class", "finance", "--", "true"], 2, "error: "),
        (&["run", "--class", "finance/any", "--actor", "a/b", "--", "true"], 2, "error: "),
        (
            &["run", "--class", "finance/any", "--node-socket", "/no/such", "--", "true"],
            3,
            "error: no node answers at /no/such",
        ),
    ] {
        let ran = dev.ran(arguments, "");
        assert!(ran.code == code && ran.stderr.starts_with(message), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_second_one_on_the_same_directory_is_refused_and_the_first_goes_on() {
    let dev = Dev::start();
    let ran = dev.ran(&["dev"], "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("is in use by process"), "{ran:?}");
    assert_eq!(dev.script("still", "true", "").code, 0);
}
