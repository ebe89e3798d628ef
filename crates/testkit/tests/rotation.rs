//! Authorities are rotated under load, and nobody notices but in the bundle.

use crate::harness::{BRIEF, Cli, Dev, House, Process, STEADY, text, workload};
use serde_json::Value;

/// Rotations of one run; the campaign in `docs/testing.md` makes more.
const ROTATIONS: usize = 2;

fn class(name: &str) -> String {
    format!("/ns/default/agent/{name}/actor/")
}

/// The id of the authority in this state.
fn in_state(cli: &Cli, state: &str) -> Option<String> {
    let list = cli.object(&["authority", "list"]);
    let all = list["authorities"].as_array().expect("a list").clone();
    all.iter().find(|authority| authority["state"] == state).map(|authority| text(authority, "id").to_owned())
}

fn wait_for(log: &mut Process, event: &str, authority: &str) {
    log.find(event, |entry| entry["event"]["type"] == event && entry["event"]["authority"] == authority);
}

/// How many handshakes there were; none failed.
#[track_caller]
fn met(visitor: &mut Process) -> u64 {
    visitor.feed("so far?\n");
    let said: Value = visitor.object();
    assert_eq!(said["failed"], 0, "{said}");
    said["met"].as_u64().expect("a number")
}

#[test]
fn handshakes_never_fail_while_authorities_come_and_go() {
    let dev = Dev::start();
    let mut server = dev.cli.actor(STEADY, Some("server"), &[workload(), "greet", &class(BRIEF)]);
    let addr = text(&server.object(), "listening").to_owned();
    let mut visitor = dev.cli.actor(BRIEF, Some("visitor"), &[workload(), "visit", &addr, &class(STEADY)]);
    let mut stream = dev.cli.actor(STEADY, Some("watcher"), &[workload(), "stream"]);
    let first = stream.object();
    let mut log = dev.cli.log();
    let mut before = met(&mut visitor);
    for _ in 0..ROTATIONS {
        let old = in_state(&dev.cli, "active").expect("an active authority");
        dev.cli.done(&["authority", "rotate", "--overlap", "1"]);
        assert_ne!(in_state(&dev.cli, "active").as_ref(), Some(&old));
        dev.cli.done(&["authority", "taint", &old, "--reason", "a drill"]);
        wait_for(&mut log, "authority_withdrawn", &old);
        dev.cli.done(&["authority", "retire", &old]);
        let now = met(&mut visitor);
        assert!(now > before, "nobody shook hands meanwhile");
        before = now;
    }
    // Whoever listens has heard it all: another authority, another SVID, and the first one is gone.
    let authorities = text(&first, "authorities").to_owned();
    let last = stream
        .find("a bundle without the first authority", |said| !text(said, "authorities").contains(authorities.trim()));
    assert_ne!(text(&last, "certificates"), text(&first, "certificates"));
    assert_eq!(in_state(&dev.cli, "withdrawn"), None);
}

#[test]
fn what_was_prepared_survives_a_crash_and_a_missing_key_is_named() {
    let mut house = House::start("");
    let node = house.node("alpha", 1);
    house.cli.done(&["authority", "prepare"]);
    let prepared = in_state(&house.cli, "prepared").expect("a prepared authority");
    house.kill_server();
    // Keys of a preparation that was never recorded: a crash came between.
    let dir = house.data_dir().join("authority");
    let digits = &prepared["sha256:".len()..][..16];
    std::fs::copy(dir.join(format!("{digits}.jwt.key.pem")), dir.join("0123456789abcdef.jwt.key.pem")).expect("a copy");
    house.restart_server();
    assert_eq!(in_state(&house.cli, "prepared").as_ref(), Some(&prepared));
    let mut log = house.cli.log();
    // The node comes back by itself and says that it has the bundle: twice, once on each stream.
    for _ in 0..2 {
        log.find("bundle_held", |entry| entry["event"]["type"] == "bundle_held" && entry["event"]["node"] == "alpha");
    }
    house.cli.done(&["authority", "rotate", "--overlap", "0"]);
    assert_eq!(in_state(&house.cli, "active").as_ref(), Some(&prepared));
    let refused = house.cli.run(&["authority", "retire", &in_state(&house.cli, "old").expect("an old one")]);
    assert!(refused.code == 1 && refused.stderr.contains("are valid for"), "{}", refused.stderr);
    drop(node);
    house.kill_server();
    std::fs::remove_file(dir.join(format!("{digits}.jwt.key.pem"))).expect("removed");
    let config = house.data_dir().with_file_name("server.toml");
    let ran = house.cli.run(&["server", "--config", config.to_str().expect("UTF-8"), "--listen", "127.0.0.1:0"]);
    assert!(ran.code != 0 && ran.stderr.contains(&format!("{digits}.jwt.key.pem is missing")), "{}", ran.stderr);
}
