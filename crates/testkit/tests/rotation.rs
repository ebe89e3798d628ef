//! Authorities are rotated under load, and nobody notices but in the bundle.

use crate::harness::{Cli, House, Node, Process, text, workload};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Instant;

/// Rotations of the ordinary test; `cargo xtask rotate` makes more.
const ROTATIONS: usize = 2;
/// How long workloads get to take a new bundle, in seconds.
const OVERLAP_SECS: &str = "1";
/// After each rotation the former authority is tainted. After every so many it is left to age until nothing that it signed
/// is valid, which takes a minute.
const AGES_EVERY: usize = 16;
/// Authorities beside which another one is prepared: the limit is eight.
const AUTHORITIES_KEPT: usize = 5;
/// Pairs of a client and a server that shake hands all the time, and the time between two handshakes, in milliseconds.
const PAIRS: usize = 3;
const EVERY_MS: &str = "40";
/// After how many rotations a campaign says how far it is.
const SAY_EVERY: usize = 50;

/// Leases are so long that a busy machine ends none.
const SETTINGS: &str = "node_ttl_secs = 60\nlease_ms = 60000\nheartbeat_ms = 2000";
/// Servers' identities live longer than their clients' and no longer than the nodes': that is how long an authority ages.
const LASTING: (&str, u32) = ("lasting", 60);
const PASSING: (&str, u32) = ("passing", 30);

fn class((name, _): (&str, u32)) -> String {
    format!("/ns/default/agent/{name}/actor/")
}

/// A class whose identities live for so many seconds.
fn declare((name, ttl_secs): (&str, u32)) -> String {
    format!(
        "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {{namespace: default, name: {name}}}\nspec:\n  \
         owner: tests@example.org\n  runtime: {{command: [/bin/sh, -c, 'exec sleep 1000']}}\n  \
         credentials: {{x509TtlSecs: {ttl_secs}, jwtTtlSecs: {ttl_secs}}}\n---\n"
    )
}

fn authorities(cli: &Cli) -> Vec<Value> {
    cli.object(&["authority", "list"])["authorities"].as_array().expect("a list").clone()
}

/// The id of the authority in this state.
fn in_state(cli: &Cli, state: &str) -> Option<String> {
    let all = authorities(cli);
    all.iter().find(|authority| authority["state"] == state).map(|authority| text(authority, "id").to_owned())
}

/// Who uses identities all the time, on two nodes.
struct Crowd {
    visitors: Vec<Process>,
    /// Of bundles, one on each node, who mint and validate tokens.
    followers: Vec<Process>,
    /// Of SVIDs.
    watcher: Process,
    _greeters: Vec<Process>,
    nodes: [Node; 2],
}

/// What a crowd has done so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Done {
    handshakes: u64,
    tokens: u64,
    bundles: u64,
}

impl Crowd {
    fn gather(house: &House) -> Self {
        house.cli.fed(&["apply", "-f", "-"], &[declare(LASTING), declare(PASSING)].concat());
        let nodes = [house.node("alpha", 1), house.node("beta", 1)];
        let [here, there] = nodes.each_ref().map(|node| house.cli.on(node));
        let (mut greeters, mut visitors) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            let name = format!("server-{pair}");
            let mut greeter = there.actor(LASTING.0, Some(&name), &[workload(), "greet", &class(PASSING)]);
            let addr = text(&greeter.object(), "listening").to_owned();
            let visit = [workload(), "visit", &addr, &class(LASTING), "--every-ms", EVERY_MS];
            visitors.push(here.actor(PASSING.0, Some(&format!("client-{pair}")), &visit));
            greeters.push(greeter);
        }
        let follow = [workload(), "follow", "somebody"];
        let followers = vec![
            here.actor(LASTING.0, Some("follower-here"), &follow),
            there.actor(LASTING.0, Some("follower-there"), &follow),
        ];
        let watcher = here.actor(LASTING.0, Some("watcher"), &[workload(), "stream"]);
        Self { visitors, followers, watcher, _greeters: greeters, nodes }
    }

    /// What was done so far; nothing failed.
    #[track_caller]
    fn done(&mut self) -> Done {
        let mut done = Done::default();
        for (place, process) in self.visitors.iter_mut().chain(&mut self.followers).enumerate() {
            process.feed("so far?\n");
            let said: Value = process.object();
            assert_eq!(said["failed"], 0, "{said}");
            let number = |name: &str| said[name].as_u64().unwrap_or_default();
            match place < PAIRS {
                true => done.handshakes += number("met"),
                false => (done.tokens, done.bundles) = (done.tokens + number("met"), done.bundles + number("bundles")),
            }
        }
        done
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.nodes.iter().for_each(|node| println!("a node said: {}", node.process.complaints()));
        }
    }
}

/// Who signed, and is to go.
struct Former {
    log: Process,
    /// Until they are withdrawn.
    tainted: VecDeque<String>,
    /// Until nothing that they signed is valid.
    aging: Vec<String>,
    aged: usize,
}

impl Former {
    /// Retires whoever can go, and waits until there is room for another one.
    fn make_room(&mut self, cli: &Cli, kept: usize) {
        self.aging.retain(|id| {
            let ran = cli.run(&["authority", "retire", id]);
            assert!(ran.code == 0 || ran.stderr.contains("are valid for"), "{}", ran.stderr);
            self.aged += usize::from(ran.code == 0);
            ran.code != 0
        });
        while authorities(cli).len() > kept
            && let Some(id) = self.tainted.pop_front()
        {
            let withdrawn = self.log.find("authority_withdrawn", |entry| {
                entry["event"]["type"] == "authority_withdrawn" && entry["event"]["authority"] == id.as_str()
            });
            assert_eq!(withdrawn["event"]["reissued"], true, "somebody did not replace what it signed: {withdrawn}");
            cli.done(&["authority", "retire", &id]);
        }
    }
}

#[test]
fn handshakes_never_fail_while_authorities_come_and_go() {
    let setting = std::env::var_os("CREDENCE_ROTATE_COUNT");
    let rotations = setting.and_then(|value| value.to_str()?.parse().ok()).unwrap_or(ROTATIONS);
    let (begun, house) = (Instant::now(), House::start(SETTINGS));
    let mut crowd = Crowd::gather(&house);
    let first = crowd.watcher.object();
    let mut former = Former { log: house.cli.log(), tainted: VecDeque::new(), aging: Vec::new(), aged: 0 };
    let mut before = crowd.done();
    for nth in 1..=rotations {
        let old = in_state(&house.cli, "active").expect("an active authority");
        house.cli.done(&["authority", "rotate", "--overlap", OVERLAP_SECS]);
        assert_ne!(in_state(&house.cli, "active").as_ref(), Some(&old));
        if nth % AGES_EVERY == 0 {
            former.aging.push(old);
        } else {
            house.cli.done(&["authority", "taint", &old, "--reason", "a drill"]);
            former.tainted.push_back(old);
        }
        former.make_room(&house.cli, AUTHORITIES_KEPT);
        let now = crowd.done();
        assert!(now.handshakes > before.handshakes && now.tokens > before.tokens, "{before:?} {now:?}");
        before = now;
        if nth % SAY_EVERY == 0 {
            let _ = writeln!(std::io::stderr(), "rotate: {nth} rotations, {now:?} in {} s", begun.elapsed().as_secs());
        }
    }
    former.make_room(&house.cli, 1 + former.aging.len());
    // Whoever listens has heard it all: another authority, another SVID, and the first one is gone.
    let authorities = text(&first, "authorities").to_owned();
    let last = crowd
        .watcher
        .find("a bundle without the first authority", |said| !text(said, "authorities").contains(authorities.trim()));
    assert_ne!(text(&last, "certificates"), text(&first, "certificates"));
    let Done { handshakes, tokens, bundles } = crowd.done();
    println!(
        "rotation campaign: {rotations} rotations in {} s, {} of them with a taint; {} authorities retired after their last \
         signature expired; {handshakes} handshakes, {tokens} tokens, {bundles} bundles on streams; none failed",
        begun.elapsed().as_secs(),
        rotations - rotations / AGES_EVERY,
        former.aged,
    );
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
