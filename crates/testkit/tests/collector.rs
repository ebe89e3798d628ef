//! Traces and metrics, as a collector that is none of ours is told them: the published Python package and gRPC's own server.

use crate::harness::{Cli, House, Process, STEADY, arg, python, python_script, text, workload};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// The request of the tests, as a pipeline would name it: W3C's own example.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// What a server or a node tells every second.
fn settings(endpoint: &str) -> String {
    format!("[otlp]\nendpoint = '{endpoint}'\nevery_secs = 1")
}

fn traced(cli: &Cli, arguments: &[&str]) -> Command {
    let mut command = cli.command(arguments);
    command.env("TRACEPARENT", format!("00-{TRACE}-{CALLER}-01"));
    command
}

fn succeeds(mut command: Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A collector, and all that it was told.
struct Collector {
    process: Process,
    said: Value,
    told: Vec<Value>,
}

impl Collector {
    fn start(dir: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(python_script("collector.py")).args(options);
        let mut process = Process::start("collector", command, dir);
        let said = process.object();
        Self { process, said, told: Vec::new() }
    }

    fn endpoint(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.said["port"])
    }

    /// Listens until all of these spans of one trace came, each from its service; all of that trace, by name.
    fn trace(&mut self, id: &str, wanted: &[(&str, &str)]) -> BTreeMap<String, Value> {
        let mut found = BTreeMap::new();
        let mut told = self.told.clone().into_iter();
        let missing = |found: &BTreeMap<String, Value>| {
            wanted.iter().map(|(service, name)| format!("{service} {name}")).find(|key| !found.contains_key(key))
        };
        while let Some(missing) = missing(&found) {
            let next = told.next().unwrap_or_else(|| self.find(&missing, |told| told["trace"] == id));
            if next["trace"] == id {
                let name = text(&next, "span");
                // Both the request and what the node reports go through the cell.
                let key = format!("{} {name}", text(&next, "service"));
                found.entry(key).or_insert(next);
            }
        }
        found
    }

    /// The next that is such a one.
    fn find(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let told = &mut self.told;
        self.process.find(what, |next| {
            told.push(next.clone());
            is(next)
        })
    }
}

/// The metrics that the document promises of a server or a node.
fn promised(of: &str) -> BTreeSet<String> {
    let document = include_str!("../../../docs/observing.md");
    let table = document.split_once(&format!("<!-- {of} metrics: begin -->")).expect("a table").1;
    let table = table.split_once("<!--").expect("its end").0;
    let name = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    table.lines().filter_map(name).collect()
}

#[test]
fn one_trace_holds_the_way_of_a_request_through_server_and_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut collector = Collector::start(dir.path(), &[]);
    let endpoint = collector.endpoint("http");
    let house = House::start(&settings(&endpoint));
    let _alpha = house.node_with("alpha", 1, &house.addr, &["--otlp", &endpoint]);
    house.cli.done(&["actor", "create", "desk", "--class", STEADY]);
    succeeds(traced(&house.cli, &["actor", "resume", "desk"]));

    let (server, node) = ("credence-server", "credence-node");
    let resume = "POST /v1/actors/{namespace}/{id}/resume";
    // Each with the part that it is a part of; what the node reports comes last.
    let parts = [
        (server, resume, None),
        (server, "node.bind", Some((server, resume))),
        (server, "sign", Some((server, "node.bind"))),
        (node, "binding.start", Some((server, "node.bind"))),
        (node, "program.prepare", Some((node, "binding.start"))),
        (node, "endpoint.open", Some((node, "binding.start"))),
        (node, "program.start", Some((node, "binding.start"))),
        (server, "report.running", Some((node, "binding.start"))),
    ];
    let wanted: Vec<_> = parts.iter().map(|(service, name, _)| (*service, *name)).collect();
    let trace = collector.trace(
        TRACE,
        &[&wanted[..], &[(server, "cell.queue"), (server, "cell.turn"), (server, "journal.append")]].concat(),
    );
    let id = |(service, name): (&str, &str)| text(&trace[&format!("{service} {name}")], "id").to_owned();
    for (service, name, parent) in parts {
        let part = &trace[&format!("{service} {name}")];
        assert_eq!(text(part, "parent"), parent.map_or(CALLER.to_owned(), id), "{part}");
        assert_eq!(part["failed"], false, "{part}");
    }
    let turn = &trace["credence-server cell.turn"];
    assert_eq!(text(&trace["credence-server journal.append"], "parent"), text(turn, "id"));
    let request = &trace[&format!("{server} {resume}")];
    assert_eq!(request["attributes"]["credence.caller"], json!({"stringValue": "local"}), "{request}");
    assert_eq!(request["attributes"]["http.response.status_code"], json!({"intValue": "200"}), "{request}");
    let start = &trace["credence-node binding.start"];
    assert_eq!(start["attributes"]["credence.actor"], json!({"stringValue": "default/desk"}), "{start}");

    let token = house.cli.beside("desk", &[workload(), "token", "tests"]);
    let mint = collector.find("that a token was minted", |told| told["span"] == "jwt_svid.mint");
    let asked =
        collector.trace(text(&mint, "trace"), &[(node, "jwt_svid"), (server, "jwt_svid.mint"), (server, "sign")]);
    assert_eq!(text(&asked["credence-node jwt_svid"], "parent"), "", "the actor says nothing of a request");
    assert_eq!(text(&mint, "parent"), text(&asked["credence-node jwt_svid"], "id"));
    assert_eq!(text(&asked["credence-server sign"], "parent"), text(&mint, "id"));
    let told = collector.told.iter().map(Value::to_string).collect::<String>();
    assert!(!told.contains(text(&token, "token")) && !told.contains("PRIVATE"), "a secret was told");
}

#[test]
fn a_program_that_becomes_an_actor_is_a_part_of_the_request_of_whoever_starts_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut collector = Collector::start(dir.path(), &[]);
    let endpoint = collector.endpoint("http");
    let house = House::start(&settings(&endpoint));
    let alpha = house.node_with("alpha", 1, &house.addr, &["--otlp", &endpoint]);
    let class = format!("default/{STEADY}");
    succeeds(traced(&house.cli.on(&alpha), &["run", "--class", &class, "--", "true"]));
    let (server, node) = ("credence-server", "credence-node");
    let trace = collector.trace(
        TRACE,
        &[(node, "process.run"), (server, "process.bind"), (server, "node.bind"), (node, "binding.start")],
    );
    let id = |name: &str| text(&trace[name], "id");
    for (name, parent) in [
        ("credence-node process.run", CALLER),
        ("credence-server process.bind", id("credence-node process.run")),
        ("credence-server node.bind", id("credence-server process.bind")),
        ("credence-node binding.start", id("credence-server node.bind")),
    ] {
        assert_eq!(text(&trace[name], "parent"), parent, "{}", trace[name]);
    }
}

#[test]
fn every_metric_that_the_document_promises_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut collector = Collector::start(dir.path(), &[]);
    let endpoint = collector.endpoint("http");
    let house = House::start(&settings(&endpoint));
    let _alpha = house.node_with("alpha", 1, &house.addr, &["--otlp", &endpoint]);
    for (of, instance) in [("server", "test.internal"), ("node", "alpha")] {
        let service = format!("credence-{of}");
        let told = collector.find(of, |told| told["service"] == service && told["metrics"].is_object());
        assert_eq!(text(&told, "instance"), instance);
        let names: BTreeSet<String> = told["metrics"].as_object().expect("names").keys().cloned().collect();
        assert_eq!(names, promised(of), "the {of}'s metrics are those of docs/observing.md");
    }
}

#[test]
fn a_collector_elsewhere_is_known_by_its_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut collector = Collector::start(dir.path(), &["--tls"]);
    let ca = dir.path().join("collector.pem");
    std::fs::write(&ca, text(&collector.said, "certificate")).expect("a file can be written");
    let endpoint = collector.endpoint("https");
    let _house = House::start(&format!("{}\nca = '{}'", settings(&endpoint), arg(&ca)));
    collector.find("the server", |told| told["service"] == "credence-server");
}

#[test]
fn a_collector_that_is_away_or_talks_nonsense_changes_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let nonsense = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let nonsense_at = nonsense.local_addr().expect("an address");
    // Ends with the test.
    std::thread::spawn(move || {
        nonsense.incoming().flatten().for_each(|mut stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n")));
    });
    let mut house = House::start(&settings(&format!("http://{gone}")));
    let mut alpha = house.node_with("alpha", 1, &house.addr, &["--otlp", &format!("http://{nonsense_at}")]);
    house.cli.done(&["actor", "create", "desk", "--class", STEADY, "--resume"]);
    house.cli.done(&["actor", "suspend", "desk"]);
    for process in [&mut alpha.process, &mut house.server] {
        process.terminate();
        assert_eq!(process.ended(), 0);
        let complaints = process.complaints();
        assert_eq!(complaints.matches("the collector cannot be told").count(), 1, "{complaints}");
    }
}

#[test]
fn nobody_elsewhere_is_told_in_plain_text() {
    let house = House::start("");
    for verb in [&["server", "--trust-domain", "a"][..], &["node", "--name", "a", "--connect", "localhost:1"], &["dev"]]
    {
        let ran = house.cli.run(&[verb, &["--otlp", "http://192.0.2.1:4317", "--until-stdin-closes"]].concat());
        let expected = "otlp.endpoint: `192.0.2.1` is not a loopback address";
        assert!(ran.code != 0 && ran.stderr.contains(expected), "{verb:?}: {ran:?}");
    }
}
