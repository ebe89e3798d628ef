//! The restore drill, with real processes: a backup under load, a disaster, and the way back.

use crate::harness::{COUNTER, House, arg, text, workload};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many actors are acknowledged while the backup is not yet begun.
const BEFORE: usize = 10;

fn ids(cli: &crate::harness::Cli) -> BTreeSet<String> {
    let listed = cli.object(&["get", "actors"]);
    listed["items"].as_array().expect("a list").iter().map(|view| text(view, "id").to_owned()).collect()
}

/// Clients write while the backup is made; what was acknowledged before it began must be in it. Answers how many were.
fn backed_up_under_load(house: &House, backup: &Path) -> usize {
    let (cli, made, acknowledged) = (&house.cli, AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0.. {
                cli.done(&["actor", "create", &format!("load-{n}"), "--class", COUNTER]);
                acknowledged.store(n + 1, Ordering::SeqCst);
                if made.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        while acknowledged.load(Ordering::SeqCst) < BEFORE && !writer.is_finished() {
            std::thread::yield_now();
        }
        let before = acknowledged.load(Ordering::SeqCst);
        cli.done(&["backup", arg(backup), "--data-dir", arg(&house.data_dir()), "--with-keys"]);
        made.store(true, Ordering::SeqCst);
        assert!(before >= BEFORE);
        before
    })
}

#[test]
fn from_a_backup_under_load_everything_comes_back_and_no_epoch_is_used_twice() {
    let mut house = House::start("lease_ms = 1500\nheartbeat_ms = 300\nclock_margin_ms = 200");
    let (alpha, _beta) = (house.node("alpha", 2), house.node("beta", 1));
    let cli = house.cli.clone();
    for actor in ["one", "two", "three"] {
        cli.done(&["actor", "create", actor, "--class", COUNTER]);
    }
    let first = cli.object(&["actor", "resume", "one"]);
    let backup = cli.file("nothing", "").with_file_name("backup");

    let before = backed_up_under_load(&house, &backup);

    // What the backup does not know: a second epoch, another actor, its identity.
    cli.done(&["actor", "suspend", "one"]);
    assert_eq!(cli.object(&["actor", "resume", "one"])["epoch"], 2);
    cli.done(&["actor", "create", "late", "--class", COUNTER]);
    cli.done(&["actor", "resume", "two"]);
    let seen = cli.beside("one", &[workload(), "stream", "--count", "1"]);
    assert_eq!(cli.verdict(text(&seen, "certificates"))["live"], true);

    house.kill_server();
    std::fs::remove_dir_all(house.data_dir()).expect("the disk is gone");
    cli.done(&["restore", arg(&backup), "--data-dir", arg(&house.data_dir())]);
    house.restart_server();

    // Held: everything is refused, with the words, and what the nodes have seen is recorded.
    let refused = cli.run(&["actor", "resume", "three"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    for words in ["this server is held", "restored from a backup that ends at journal entry", "credence release"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:?}");
    }
    let mut log = cli.log();
    let is_shown = |entry: &Value| {
        entry["event"]["type"] == "cell_held" && entry["event"]["cause"]["behind"]["seen"]["epoch"] == json!(2)
    };
    let shown = log.find("that a node showed epoch 2", is_shown);
    assert!(text(&shown["event"]["cause"]["behind"], "by").starts_with("node "), "{shown}");
    let verdict = cli.verdict(text(&seen, "certificates"));
    assert!(text(&verdict, "reason").contains("held"), "{verdict}");

    // The decision is refused until the old leases are over; the command waits for that.
    let released = cli.object(&["release", "--reason", "drill"]);
    let floor = released["epoch_floor"].as_u64().expect("a number");
    assert!(floor > 1_000_000, "{released}");
    let mut changes = cli.start(&["get", "actors", "--watch", "-o", "json"]);
    let back = changes.find("that it is back", |view| view["id"] == "one" && view["state"] == "running");
    assert_eq!(back["epoch"], floor + 1, "above everything that was ever given out");
    assert_eq!(back["spiffe_id"], first["spiffe_id"]);
    let complaints = alpha.process.complaints();
    assert!(complaints.contains("this server is held"), "the node was told: {complaints}");
    let verdict = cli.verdict(text(&seen, "certificates"));
    assert!(text(&verdict, "reason").contains("epoch 2 is over"), "{verdict}");
    for actor in ["two", "three"] {
        assert_eq!(cli.object(&["actor", "resume", actor])["epoch"], floor + 1, "{actor}");
    }
    let certificates = cli.beside("one", &[workload(), "stream", "--count", "1"]);
    assert_eq!(cli.verdict(text(&certificates, "certificates"))["live"], true);

    let after = ids(&cli);
    let kept: BTreeSet<_> = (0..before).map(|n| format!("load-{n}")).collect();
    assert!(kept.is_subset(&after), "acknowledged and lost: {:?}", kept.difference(&after).collect::<Vec<_>>());
    assert!(!after.contains("late"), "it was created after the backup");
}
