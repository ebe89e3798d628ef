//! One request on its whole way, in the logs of real processes.

use crate::harness::{COUNTER, House, Process, text};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

/// Which request it is.
const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The lines of a process's log, all of them JSON, about a request: by its id on the line itself, or on what it is a part of.
fn about(process: &Process, id: &str) -> Vec<Value> {
    let log = process.complaints();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    let names = |line: &Value| [&line["request"], &line["span"]["id"], &line["span"]["request"]].contains(&&json!(id));
    lines.filter(names).collect()
}

fn says(lines: &[Value], message: &str) -> bool {
    lines.iter().any(|line| line["message"] == message)
}

/// The id of the last request on this path.
fn id_of(server: &Process, path: &str) -> String {
    let log = server.complaints();
    let mut lines = log.lines().rev().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let line = lines.find(|line| line["span"]["path"] == path && line["message"] == "answered");
    text(&line.unwrap_or_else(|| panic!("nobody asked for {path}: {log}"))["span"], "id").to_owned()
}

#[test]
fn the_id_of_a_request_stands_in_the_logs_of_the_server_and_of_the_node_that_it_leads_to() {
    let house = House::start_logging();
    let alpha = house.node("alpha", 1);
    let cli = &house.cli;
    cli.done(&["actor", "create", "counter", "--class", COUNTER]);

    cli.done(&["actor", "resume", "counter"]);
    let id = id_of(&house.server, "/v1/actors/{namespace}/{id}/resume");
    let node = about(&alpha.process, &id);
    for message in ["told to hold a binding", "bound", "a binding runs"] {
        assert!(says(&node, message), "{message}: {node:?}");
    }
    cli.done(&["actor", "suspend", "counter"]);
    let id = id_of(&house.server, "/v1/actors/{namespace}/{id}/suspend");
    let node = about(&alpha.process, &id);
    for message in ["told to end a binding", "a binding is over"] {
        assert!(says(&node, message), "{message}: {node:?}");
    }

    // Whoever names the request finds that name.
    let socket = cli.server.as_deref().and_then(|url| url.strip_prefix("unix:")).expect("a Unix socket");
    let mut stream = UnixStream::connect(socket).expect("the server listens");
    let head = format!(
        "POST /v1/actors/default/counter/resume HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         traceparent: 00-{ID}-00f067aa0ba902b7-01\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 2") && answer.contains(ID), "{answer}");
    let mut changes = cli.start(&["get", "actor/counter", "--watch", "-o", "json"]);
    changes.find("that it runs", |view| view["state"] == "running");
    assert!(says(&about(&house.server, ID), "answered"));
    assert!(says(&about(&alpha.process, ID), "a binding runs"));

    // A stream is a request, too, and what happens on it is a part of that.
    let log = house.server.complaints();
    let opened = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let opened = opened.filter(|line| line["message"] == "a node opened its stream").collect::<Vec<_>>();
    let is_named = |line: &Value| line["span"]["method"] == "gRPC" && text(&line["span"], "id").len() == ID.len();
    assert!(!opened.is_empty() && opened.iter().all(is_named), "{opened:?}");
}
