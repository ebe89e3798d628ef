//! `kill -9` of a node and of the server: who goes on, who waits, and that nothing which was acknowledged is lost.

use crate::harness::{BRIEF, COUNTER, House, STEADY, ends_within, text, workload};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};
use std::time::Duration;

/// A short lease, in milliseconds, and what the server waits beyond it.
const LEASE_MS: u64 = 1_500;
const MARGIN_MS: u64 = 200;

fn is(entry: &Value, kind: &str) -> bool {
    entry["event"]["type"] == kind
}

fn at(entry: &Value) -> u64 {
    entry["at"].as_u64().expect("a time")
}

#[test]
fn the_actors_of_a_killed_node_come_back_elsewhere_and_only_after_their_lease() {
    let settings = format!("lease_ms = {LEASE_MS}\nheartbeat_ms = 300\nclock_margin_ms = {MARGIN_MS}");
    let house = House::start(&settings);
    let (mut alpha, _beta) = (house.node("alpha", 1), house.node("beta", 1));
    let cli = &house.cli;
    cli.done(&["actor", "create", "drifter", "--class", COUNTER]);
    let before = cli.object(&["actor", "resume", "drifter", "--worker", "default/default/alpha-1"]);
    let seen = cli.beside("drifter", &[workload(), "stream", "--count", "1"]);
    // The parent of a command beside the program is the root of the actor's tree.
    let root: i32 =
        cli.done(&["actor", "exec", "drifter", "--", "/bin/sh", "-c", "echo $PPID"]).trim().parse().expect("a pid");
    let root = pidfd_open(Pid::from_raw(root).expect("a pid"), PidfdFlags::empty()).expect("the root is alive");
    let mut changes = cli.start(&["get", "actor/drifter", "--watch", "-o", "json"]);
    changes.find("that it runs", |view| view["state"] == "running");

    alpha.process.kill();
    assert!(ends_within(&root, Duration::from_secs(30)), "no program outlives its node");
    let lost = changes.find("that it is lost", |view| view["state"] == "lost");
    assert_eq!((&lost["epoch"], &lost["node"]), (&json!(1), &json!("alpha")), "nobody else has it yet");
    let back = changes.find("that it is back", |view| view["state"] == "running");
    assert_eq!((&back["epoch"], &back["node"]), (&json!(2), &json!("beta")));
    assert_eq!(back["spiffe_id"], before["spiffe_id"]);
    let refused = cli.verdict(text(&seen, "certificates"));
    assert_eq!((&refused["live"], &refused["live_epoch"]), (&json!(false), &json!(2)));

    let (mut log, mut heard) = (cli.log(), 0);
    let bound = log.find("that it was bound again", |entry| {
        if is(entry, "node_heard") && entry["event"]["node"] == "alpha" {
            heard = at(entry);
        }
        is(entry, "actor_bound") && entry["event"]["epoch"] == 2
    });
    assert!(heard > 0 && at(&bound) >= heard + LEASE_MS + MARGIN_MS, "bound at {} after {heard}", at(&bound));
}

/// What the server waits beyond a lease, in milliseconds, where the node and the program must have seen its end by then:
/// the longest that they may be kept from running.
const WIDE_MARGIN_MS: u64 = 5_000;

#[test]
fn a_node_that_cannot_reach_the_server_ends_what_it_holds_before_anybody_else_may_have_it() {
    let settings = format!("lease_ms = {LEASE_MS}\nheartbeat_ms = 300\nclock_margin_ms = {WIDE_MARGIN_MS}");
    let mut house = House::start(&settings);
    let alpha = house.node("alpha", 1);
    let mut actor = house.cli.on(&alpha).actor(STEADY, None, &[workload(), "stream", "--until-stdin-closes"]);
    let seen = actor.object();
    house.kill_server();
    let ending = actor.object();
    assert_eq!(text(&ending, "ended"), "no identity issued");
    let socket = text(&seen, "endpoint").strip_prefix("unix://").expect("a Unix socket").to_owned();
    actor.ended();
    assert!(!std::path::Path::new(&socket).exists());

    // The program wrote down when it ended, the server when it had heard the node last.
    house.restart_server();
    let log = house.cli.done(&["log", "tail", "--from", "1", "-o", "json"]);
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
    let restart = entries.iter().rposition(|entry| is(entry, "cell_started")).expect("it started again");
    let of_alpha = |entry: &&Value| is(entry, "node_heard") || is(entry, "node_attached");
    let heard = entries[..restart].iter().filter(of_alpha).map(at).max();
    let (heard, ended) = (heard.expect("it was heard"), ending["at_ms"].as_u64().expect("a time"));
    assert!(ended < heard + LEASE_MS + WIDE_MARGIN_MS, "ended at {ended}, heard at {heard}");
}

/// What must not be lost of an actor.
fn kept(view: &Value) -> Vec<&Value> {
    ["id", "class", "spiffe_id", "epoch", "binding", "created_at", "labels"]
        .iter()
        .map(|member| &view[*member])
        .collect()
}

#[test]
fn a_killed_server_comes_back_with_everything_that_it_acknowledged_while_identities_go_on() {
    let mut house = House::start("");
    let alpha = house.node("alpha", 2);
    let cli = house.cli.clone();
    for actor in ["one", "two", "three"] {
        cli.done(&["actor", "create", actor, "--class", COUNTER]);
    }
    cli.done(&["actor", "resume", "one", "two"]);
    cli.done(&["actor", "suspend", "two"]);
    let mut program = cli.on(&alpha).actor(BRIEF, Some("program"), &[workload(), "stream", "--until-stdin-closes"]);
    let first = program.object();
    let before = cli.object(&["get", "actors"]);
    let entries = cli.done(&["log", "tail", "--from", "1", "-o", "json"]);

    house.kill_server();
    assert_eq!(cli.run(&["get", "actors"]).code, 3, "a server that is not there is unavailable");
    house.restart_server();

    let after = cli.object(&["get", "actors"]);
    let kept = |list: &Value| -> Vec<Value> {
        list["items"].as_array().expect("a list").iter().map(|view| json!(kept(view))).collect()
    };
    assert_eq!(kept(&after), kept(&before));
    let replayed = cli.done(&["log", "tail", "--from", "1", "-o", "json"]);
    assert!(replayed.starts_with(&entries), "every entry that was told is still there");
    let mut changes = cli.start(&["get", "actors", "--watch", "-o", "json"]);
    for actor in ["one", "program"] {
        changes.find("that it runs again", |view| view["id"] == actor && view["state"] == "running");
    }

    let second = program.object();
    assert_eq!(second["spiffe_id"], first["spiffe_id"], "its identity was renewed on the stream that stayed open");
    let verdicts = [&first, &second].map(|seen| cli.verdict(text(seen, "certificates")));
    assert_eq!(verdicts[0]["binding"], verdicts[1]["binding"]);
    assert_eq!((&verdicts[1]["live"], &verdicts[1]["epoch"]), (&json!(true), &json!(1)));
    let resumed = cli.object(&["actor", "resume", "two"]);
    assert_eq!((&resumed["state"], &resumed["epoch"]), (&json!("running"), &json!(2)));
}
