//! `credence explain` over the real command line: at each link where an identity can be missing, by really breaking it.

use crate::harness::{BRIEF, COUNTER, Cli, House, STEADY};
use rustix::process::Signal;
use serde_json::Value;

/// A class that no pool can serve.
const CHOOSY: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {namespace: default, name: choosy}\n\
    spec:\n  owner: tests@example.org\n  purpose: is tested\n  runtime:\n    command: [/bin/true]\n    \
    poolSelector: {matchLabels: {tier: gold}}\n";

/// Checks the first link that does not hold, as a program and as a person reads it, and why.
#[track_caller]
fn check(cli: &Cli, actor: &str, link: &str, state: &str, because: &str) {
    let name = format!("actor/default/{actor}");
    let ran = cli.run(&["explain", &name, "-o", "json"]);
    assert_eq!(ran.code, 1, "{actor}: {ran:?}");
    let explained: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let links = explained["links"].as_array().expect("a chain");
    let first = links.iter().find(|link| link["state"] == "failed");
    let first = first.or_else(|| links.iter().find(|link| link["state"] != "ok")).expect("a link that does not hold");
    assert_eq!((&first["name"], &first["state"]), (&Value::from(link), &Value::from(state)), "{actor}: {explained}");
    let why = explained["because"].as_str().expect("a reason");
    assert!(why.contains(because), "{actor}: {why}");
    assert!(explained["what_to_do"].as_array().is_some_and(|todo| !todo.is_empty()), "{actor}: {explained}");

    let words = cli.run(&["explain", &name]).stdout;
    assert!(words.starts_with(&format!("default/{actor} has no identity right now: ")), "{words}");
    let is_marked = words.lines().any(|line| line.starts_with(&format!("> {link}")));
    assert_eq!(is_marked, state == "failed", "{words}");
    assert!(words.contains("What to do: "), "{words}");
}

#[test]
fn each_link_that_is_broken_is_named_with_its_reason_and_what_to_do() {
    let house = House::start("lease_ms = 120000\nheartbeat_ms = 1000");
    let mut alpha = house.node("alpha", 3);
    let cli = &house.cli;
    cli.fed(&["apply", "-f", "-"], CHOOSY);
    for (actor, class) in [
        ("shut", BRIEF),
        ("never", COUNTER),
        ("choosy", "choosy"),
        ("held", COUNTER),
        ("leaving", COUNTER),
        ("starting", STEADY),
    ] {
        cli.done(&["actor", "create", actor, "--class", class]);
    }
    cli.done(&["actor", "resume", "held", "leaving"]);
    let ran = cli.run(&["explain", "actor/default/held"]);
    assert!(ran.code == 0 && ran.stdout.contains("has its identity"), "{ran:?}");

    cli.done(&["class", "disable", BRIEF]);
    check(cli, "shut", "admission", "failed", "is disabled");
    check(cli, "never", "queue", "failed", "it was never resumed");
    cli.done(&["actor", "resume", "choosy", "--no-wait"]);
    check(cli, "choosy", "worker", "failed", "no pool serves namespace default");

    // A node that stands still is told and does not answer.
    alpha.process.signal(Signal::STOP);
    cli.done(&["actor", "resume", "starting", "--no-wait"]);
    check(cli, "starting", "socket", "waiting", "");
    cli.done(&["actor", "suspend", "leaving", "--no-wait"]);
    check(cli, "leaving", "socket", "failed", "it is being suspended");

    let mut changes = cli.start(&["get", "actor/held", "--watch", "-o", "json"]);
    alpha.process.kill();
    changes.find("that it is lost", |view| view["state"] == "lost");
    check(cli, "held", "lease", "failed", "node alpha fell silent and the lease is not over yet");
    let words = cli.run(&["explain", "actor/default/held"]).stdout;
    assert!(
        words.lines().any(|line| line.starts_with("> node ") && line.contains("alpha, last heard from")),
        "{words}"
    );
}
