//! What an operator does with a running server: its configuration is read again, and a newer program takes its place.

use crate::harness::{COUNTER, Cli, House, STEADY, arg, text, workload};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How often a server makes way while it is asked all the time.
const UPGRADES: usize = 3;

impl House {
    /// The settings that are in force.
    fn settings(&self) -> Value {
        let socket = self.cli.server_socket();
        let mut stream = UnixStream::connect(socket).expect("the server listens");
        stream.write_all(b"GET /v1/trust-domain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        serde_json::from_str::<Value>(body).expect("JSON")["settings"].clone()
    }

    /// The names in the certificate that the server shows.
    fn names(&self) -> String {
        let shown = Command::new("openssl").args(["s_client", "-connect", &self.addr]).stdin(Stdio::null()).output();
        let mut read = Command::new("openssl")
            .args(["x509", "-noout", "-ext", "subjectAltName"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openssl runs");
        read.stdin.take().expect("a pipe").write_all(&shown.expect("openssl runs").stdout).expect("it reads");
        String::from_utf8(read.wait_with_output().expect("it ends").stdout).expect("text")
    }

    fn reload(&mut self) -> Value {
        self.server.signal(Signal::HUP);
        self.server.object()
    }

    fn upgrade(&mut self) -> Value {
        self.server.signal(Signal::USR2);
        self.server.object()
    }
}

#[test]
fn a_configuration_that_is_read_again_is_in_force_as_a_whole_or_not_at_all() {
    let mut house = House::start("waiting_max = 6");
    assert!(!house.names().contains("credence.example"));
    house.configure("names = ['credence.example']", "waiting_max = 7");
    assert_eq!(house.reload(), json!({"order": "reload", "changed": ["settings", "names"]}));
    assert_eq!(house.settings()["waitingMax"], 7);
    assert!(house.names().contains("credence.example"), "{}", house.names());
    assert_eq!(house.reload(), json!({"order": "reload"}), "nothing changed");

    for (fields, settings, expected) in [
        ("observe = '127.0.0.1:0'", "waiting_max = 8", "observe cannot change while the server runs"),
        ("templates = {server = '/other'}", "waiting_max = 8", "templates"),
        ("names = ['no good']", "waiting_max = 8", "names[0]"),
        ("", "waiting_max = 8\nlease_ms = 1", "leaseMs"),
        ("names = [", "", "TOML parse error"),
    ] {
        house.configure(fields, settings);
        let said = house.reload();
        assert!(text(&said, "error").contains(expected), "{fields} {settings}: {said}");
        assert_eq!(house.settings()["waitingMax"], 7, "half of it is in force");
        assert!(house.names().contains("credence.example"));
    }
}

#[test]
fn a_program_that_takes_over_refuses_no_connection_and_loses_no_lease() {
    let mut house = House::start("");
    let alpha = house.node("alpha", 1);
    let cli = house.cli.clone();
    let mut program = cli.on(&alpha).actor(STEADY, Some("program"), &[workload(), "stream", "--until-stdin-closes"]);
    let seen = program.object();
    let over = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let (addr, over, asking) = (house.addr.clone(), &over, cli.clone());
        let asker = scope.spawn(move || {
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                TcpStream::connect(&addr).expect("no connection is refused");
                UnixStream::connect(asking.server_socket()).expect("no connection is refused");
                asked += 1;
            }
            asked
        });
        for _ in 0..UPGRADES {
            let again = house.upgrade();
            assert_eq!(text(&again, "addr"), house.addr);
            let object = cli.object(&["get", "actor/default/program"]);
            let view = object.pointer("/items/0").unwrap_or(&object);
            assert_eq!(view["epoch"], 1);
        }
        over.store(true, Ordering::Relaxed);
        asker.join().expect("every connection was taken")
    });
    assert!(asked > 0);
    let mut changes = cli.start(&["get", "actors", "--watch", "-o", "json"]);
    changes.find("that it runs again", |view| view["id"] == "program" && view["state"] == "running");
    assert_eq!(cli.verdict(text(&seen, "certificates"))["live"], true, "it is the same binding");
}

#[test]
fn a_program_that_cannot_run_takes_nothing_over() {
    let mut house = House::start("");
    house.configure("names = [", "");
    let said = house.upgrade();
    assert_eq!(said["order"], "upgrade");
    assert!(text(&said, "error").contains("cannot take over"), "{said}");
    assert_eq!(house.cli.run(&["get", "actors"]).code, 0, "the server goes on");
}

/// The process id of the root of an actor's tree, which is the parent of a command beside its program.
fn root(cli: &Cli, actor: &str) -> String {
    cli.done(&["actor", "exec", actor, "--", "/bin/sh", "-c", "echo $PPID"])
}

fn view(cli: &Cli, actor: &str) -> Value {
    let object = cli.object(&["get", &format!("actor/default/{actor}")]);
    object.pointer("/items/0").cloned().unwrap_or(object)
}

#[test]
fn a_node_that_makes_way_keeps_its_actors_their_programs_and_their_identities() {
    let house = House::start("");
    let mut alpha = house.node("alpha", 2);
    let cli = house.cli.clone();
    cli.done(&["actor", "create", "counter", "--class", COUNTER]);
    cli.done(&["actor", "resume", "counter"]);
    let mut program = cli.on(&alpha).actor(STEADY, Some("program"), &[workload(), "stream", "--until-stdin-closes"]);
    let seen = program.object();
    let before = cli.beside("counter", &[workload(), "stream", "--count", "1"]);
    let (tree, held) = (root(&cli, "counter"), ["counter", "program"].map(|actor| view(&cli, actor)));
    for _ in 0..UPGRADES {
        alpha.process.signal(Signal::USR2);
        let again = alpha.process.object();
        assert_eq!(again["node"], "alpha", "{again}");
        let after = cli.beside("counter", &[workload(), "stream", "--count", "1"]);
        assert_eq!(after["certificates"], before["certificates"], "it is the same SVID on the same socket");
        assert_eq!(root(&cli, "counter"), tree, "its program goes on");
        for (held, actor) in held.iter().zip(["counter", "program"]) {
            let now = view(&cli, actor);
            let same = ["state", "epoch", "binding", "worker"].map(|member| (&now[member], &held[member]));
            assert!(same.iter().all(|(now, before)| now == before), "{now} was {held}");
        }
    }
    assert_eq!(cli.verdict(text(&seen, "certificates"))["live"], true);
    assert!(cli.done(&["actor", "logs", "counter"]).contains("run 1"), "its log goes on");

    // What comes after is as ever: it is suspended with its state, and a program that ends is noticed.
    cli.done(&["actor", "suspend", "counter"]);
    assert_eq!(view(&cli, "counter")["state"], "suspended");
    cli.done(&["actor", "resume", "counter"]);
    assert!(cli.done(&["actor", "logs", "counter"]).contains("run 2"), "its state was kept");
    program.close();
    assert_eq!(program.ended(), 0);
    let mut changes = cli.start(&["get", "actor/program", "--watch", "-o", "json"]);
    changes.find("that it is suspended", |view| view["state"] == "suspended");
}

#[test]
fn a_node_takes_no_configuration_that_would_make_it_another_one() {
    let house = House::start("");
    let mut alpha = house.node("alpha", 1);
    alpha.process.signal(Signal::HUP);
    assert_eq!(alpha.process.object()["node"], "alpha", "nothing changed, and it goes on");
    house.cli.done(&["actor", "create", "counter", "--class", COUNTER]);
    house.cli.done(&["actor", "resume", "counter"]);
}

/// Another way to the server; each connection that takes it is told.
fn relay(to: &str) -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (addr, to) = (listener.local_addr().expect("an address").to_string(), to.to_owned());
    let (told, taken) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(&to).expect("the server listens");
            let both = [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())];
            for (from, to) in both {
                let (mut from, mut to) = (from.expect("a descriptor"), to.expect("a descriptor"));
                // Ends with either end.
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
            // Told once is enough.
            let _ = told.try_send(());
        }
    });
    (addr, taken)
}

/// What a page of a process's own listener says, status line and all.
fn page(addr: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn configure_node(config: &Path, fields: &[(&str, &str)]) {
    let text: String = fields.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    std::fs::write(config, text).expect("a file can be written");
}

#[test]
fn a_configuration_that_a_node_reads_again_changes_where_it_connects_and_is_observed_and_nothing_else() {
    let house = House::start("");
    let cli = &house.cli;
    let config = cli.file("alpha.toml", "");
    let data_dir = format!("'{}'", arg(&config.with_file_name("alpha")));
    let (way, taken) = relay(&house.addr);
    let (near, far) = (format!("'{}'", house.addr), format!("'{way}'"));
    let begin =
        [("name", "'alpha'"), ("data_dir", &data_dir), ("connect", &near), ("workers", "['default/default=1']")];
    configure_node(&config, &begin);
    let mut alpha = house.node_configured("alpha", 2, &config);
    cli.done(&["actor", "create", "counter", "--class", COUNTER]);
    cli.done(&["actor", "resume", "counter"]);
    let (tree, before) = (root(cli, "counter"), view(cli, "counter"));

    let [name, data_dir, _, workers] = begin;
    let good = [name, data_dir, ("connect", &far), workers, ("observe", "'127.0.0.1:0'")];
    configure_node(&config, &good);
    alpha.process.signal(Signal::HUP);
    let again = alpha.process.object();
    let observed_at = text(&again, "observed_at").to_owned();
    taken.recv_timeout(Duration::from_secs(30)).expect("it takes the other way");
    let goes_on = || {
        assert!(page(&observed_at, "/readyz").starts_with("HTTP/1.1 200"), "{}", page(&observed_at, "/readyz"));
        assert_eq!(root(cli, "counter"), tree, "its program goes on");
        let now = view(cli, "counter");
        assert_eq!((&now["epoch"], &now["binding"]), (&before["epoch"], &before["binding"]));
    };
    goes_on();

    for (field, value, said) in [
        ("name", "'beta'", "name cannot change while the node runs"),
        ("workers", "['default/default=2']", "workers cannot change while the node runs"),
        ("data_dir", "'/elsewhere'", "data_dir cannot change while the node runs"),
        ("server_path", "'/elsewhere'", "server_path cannot change while the node runs"),
        ("connect", "'nowhere'", "connect: \"nowhere\" is not HOST:PORT"),
        ("observe", "'0.0.0.0'", "observe: "),
        ("colour", "'red'", "unknown field `colour`"),
    ] {
        let others = good.into_iter().filter(|(name, _)| *name != field);
        configure_node(&config, &others.chain([(field, value)]).collect::<Vec<_>>());
        alpha.process.signal(Signal::HUP);
        let noted = alpha.process.object();
        assert_eq!(noted["order"], "reload");
        assert!(text(&noted, "error").contains(said), "{field}: {noted}");
        let log = alpha.process.complaints();
        assert!(log.contains("the node goes on as it is") && log.contains(said), "{field}: {log}");
        goes_on();
    }
    cli.done(&["actor", "suspend", "counter"]);
    cli.done(&["actor", "resume", "counter"]);
    assert!(cli.done(&["actor", "logs", "counter"]).contains("run 2"), "its state was kept");
}

#[test]
fn a_node_that_is_told_to_end_gives_its_actors_to_another_one_long_before_its_lease_is_over() {
    // Nobody waits for so long here: an actor that waited for the lease would not come.
    let house = House::start("lease_ms = 120000\nheartbeat_ms = 1000");
    let (mut alpha, _beta) = (house.node("alpha", 1), house.node("beta", 1));
    let cli = &house.cli;
    cli.done(&["actor", "create", "counter", "--class", COUNTER]);
    cli.done(&["actor", "resume", "counter", "--worker", "default/default/alpha-1"]);
    let mut changes = cli.start(&["get", "actor/counter", "--watch", "-o", "json"]);
    alpha.process.terminate();
    let moved = changes.find("that it runs on beta", |view| view["node"] == "beta" && view["state"] == "running");
    assert_eq!(moved["epoch"], 2);
    assert_eq!(alpha.process.ended(), 0);
    assert!(cli.done(&["actor", "logs", "counter"]).contains("run 2"), "its state came with it");
}

impl Cli {
    fn server_socket(&self) -> String {
        self.server.as_deref().and_then(|url| url.strip_prefix("unix:")).expect("a Unix socket").to_owned()
    }
}
