//! An actor's life over several workers: what stays and what changes.

use crate::harness::{COUNTER, Dev, House, STEADY, text, workload};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn a_move_to_another_node_keeps_identity_state_and_log_and_shuts_the_old_holder_out() {
    let house = House::start("");
    let (_alpha, _beta) = (house.node("alpha", 1), house.node("beta", 1));
    let cli = &house.cli;
    cli.done(&["actor", "create", "roamer", "--class", COUNTER]);
    let here = cli.object(&["actor", "resume", "roamer", "--worker", "default/default/alpha-1"]);
    assert_eq!((&here["state"], &here["node"], &here["epoch"]), (&json!("running"), &json!("alpha"), &json!(1)));
    let mut log = cli.start(&["actor", "logs", "roamer", "--follow"]);
    assert!(log.line().ends_with(" out run 1"));
    let before = cli.beside("roamer", &[workload(), "stream", "--count", "1"]);
    assert_eq!(cli.verdict(text(&before, "certificates"))["live"], true);

    let away = cli.object(&["actor", "suspend", "roamer"]);
    assert_eq!((&away["state"], away.get("worker")), (&json!("suspended"), None));
    let refused = cli.verdict(text(&before, "certificates"));
    assert_eq!((&refused["live"], refused.get("live_epoch")), (&json!(false), None), "{refused}");

    let there = cli.object(&["actor", "resume", "roamer", "--worker", "default/default/beta-1"]);
    assert_eq!((&there["state"], &there["node"], &there["epoch"]), (&json!("running"), &json!("beta"), &json!(2)));
    assert_eq!(there["spiffe_id"], here["spiffe_id"]);
    assert_ne!(there["binding"], here["binding"]);
    let next = log.line();
    assert!(next.ends_with(" out run 2"), "its home directory came with it, and its log goes on: {next}");
    let lines = cli.done(&["actor", "logs", "roamer"]);
    assert_eq!(lines.lines().filter(|line| line.contains(" out run ")).count(), 2, "{lines}");

    let after = cli.beside("roamer", &[workload(), "stream", "--count", "1"]);
    assert_eq!(after["spiffe_id"], before["spiffe_id"]);
    assert_eq!(cli.verdict(text(&after, "certificates"))["live"], true);
    let refused = cli.verdict(text(&before, "certificates"));
    assert_eq!((&refused["epoch"], &refused["live_epoch"], &refused["live"]), (&json!(1), &json!(2), &json!(false)));
}

#[test]
fn a_drained_worker_gives_its_actor_to_another_node() {
    let house = House::start("");
    let (_alpha, _beta) = (house.node("alpha", 1), house.node("beta", 1));
    let cli = &house.cli;
    cli.done(&["actor", "create", "guest", "--class", COUNTER]);
    cli.done(&["actor", "resume", "guest", "--worker", "default/default/alpha-1"]);
    let mut changes = cli.start(&["get", "actor/guest", "--watch", "-o", "json"]);
    cli.done(&["worker", "drain", "default/default/alpha-1"]);
    let moved = changes.find("that it runs on beta", |view| view["node"] == "beta" && view["state"] == "running");
    assert_eq!(moved["epoch"], 2);
    let mut log = cli.start(&["actor", "logs", "guest", "--follow"]);
    assert!(log.line().ends_with(" out run 1"));
    assert!(log.line().ends_with(" out run 2"));
}

#[test]
fn a_command_beside_an_actor_has_its_environment_and_nothing_of_the_nodes() {
    let dev = Dev::start();
    dev.cli.done(&["actor", "create", "host", "--class", STEADY, "--resume"]);
    let exec = |command: &[&str]| dev.cli.run(&[&["actor", "exec", "host", "--"], command].concat());
    let variables = exec(&["/usr/bin/env"]).stdout;
    let names: BTreeSet<&str> = variables.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let promised = ["CREDENCE_METADATA", "HOME", "LANG", "PATH", "SPIFFE_ENDPOINT_SOCKET"];
    assert_eq!(names, promised.into(), "{variables}");
    let ran = exec(&["/bin/sh", "-c", "pwd; echo \"$HOME\"; echo complaint >&2; exit 3"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, "complaint\n"));
    let (dir, home) = ran.stdout.split_once('\n').expect("two lines");
    assert_eq!(dir, home.trim_end(), "it is in its private directory");
    let missing = exec(&["/no/such/program"]);
    assert!(missing.code == 1 && missing.stderr.contains("/no/such/program"), "{}", missing.stderr);
}

#[test]
fn an_actor_whose_program_cannot_be_started_says_why() {
    let dev = Dev::start();
    let class = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {name: broken}\n\
                 spec: {owner: tests@example.org, runtime: {command: [/no/such/program]}}\n";
    dev.cli.fed(&["apply", "-f", "-"], class);
    let ran = dev.cli.run(&["actor", "create", "stillborn", "--class", "broken", "--resume"]);
    assert!(ran.code == 1 && ran.stderr.contains("/no/such/program"), "{}", ran.stderr);
    assert_eq!(dev.cli.object(&["get", "actor", "stillborn"])["state"], "suspended");
}
