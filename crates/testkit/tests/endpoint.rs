//! An actor's socket: whom it serves, what it insists on, and how it ends.

use crate::harness::{Dev, Process, STEADY, text, workload};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The status by which clients know that there is no identity for them.
const NO_IDENTITY: &str = "no identity issued";

/// An actor that keeps one stream open, and what it saw first.
fn streaming(dev: &Dev, actor: &str) -> (Process, Value) {
    let mut actor = dev.cli.actor(STEADY, Some(actor), &[workload(), "stream", "--until-stdin-closes"]);
    let first = actor.object();
    (actor, first)
}

fn socket_of(seen: &Value) -> &Path {
    Path::new(text(seen, "endpoint").strip_prefix("unix://").expect("a Unix socket"))
}

#[test]
fn neither_another_actor_nor_a_stranger_on_the_same_host_is_served() {
    let dev = Dev::start();
    let (_victim, seen) = streaming(&dev, "victim");
    let endpoint = text(&seen, "endpoint");
    let mut thief = dev.cli.actor(STEADY, Some("thief"), &[workload(), "stream", "--endpoint", endpoint]);
    assert_eq!(text(&thief.object(), "ended"), NO_IDENTITY);
    let mut command = Command::new(workload());
    command.args(["stream", "--endpoint", endpoint]);
    let mut stranger = Process::start("a stranger", command, socket_of(&seen).parent().expect("a directory"));
    assert_eq!(text(&stranger.object(), "ended"), NO_IDENTITY);
}

#[test]
fn a_slot_actors_socket_serves_what_is_started_in_its_tree_and_not_what_is_beside_it() {
    let dev = Dev::start();
    for actor in ["one", "two"] {
        dev.cli.done(&["actor", "create", actor, "--class", STEADY, "--resume"]);
    }
    let seen = dev.cli.beside("one", &[workload(), "stream", "--count", "1"]);
    assert!(text(&seen, "spiffe_id").ends_with("/actor/one"));
    let refused = dev.cli.beside("two", &[workload(), "stream", "--endpoint", text(&seen, "endpoint")]);
    assert_eq!(text(&refused, "ended"), NO_IDENTITY);
}

#[test]
fn a_missing_or_wrong_security_header_is_an_invalid_argument() {
    let dev = Dev::start();
    dev.cli.done(&["actor", "create", "knocker", "--class", STEADY, "--resume"]);
    let knock = |values: &[&str]| dev.cli.beside("knocker", &[&[workload(), "knock"], values].concat())["code"].clone();
    assert_eq!(knock(&["true"]), "Ok");
    for wrong in [&[][..], &["false"], &["True"], &["1"], &["true", "true"], &["true", "false"]] {
        assert_eq!(knock(wrong), "InvalidArgument", "{wrong:?}");
    }
}

#[test]
fn the_metadata_service_tells_the_same_identity_to_requests_with_its_header_only() {
    let dev = Dev::start();
    dev.cli.done(&["actor", "create", "plain", "--class", STEADY, "--resume"]);
    let view = dev.cli.object(&["get", "actor", "plain"]);
    let ask = |path: &str, rest: &[&str]| dev.cli.beside("plain", &[&[workload(), "metadata", path], rest].concat());
    let guarded = ["--header", "Metadata: true"];

    let identity = ask("/identity", &guarded);
    assert_eq!(identity["status"], 200, "{identity}");
    for member in ["spiffe_id", "epoch", "binding"] {
        assert_eq!(identity["body"][member], view[member], "{member}");
    }
    assert_eq!(identity["body"]["trust_domain"], "dev.internal");

    let token = ask("/token?audience=tests", &guarded);
    assert_eq!((&token["status"], &token["body"]["token_type"]), (&json!(200), &json!("JWT")), "{token}");
    let file = dev.cli.file("token", text(&token["body"], "token"));
    let file = file.to_str().expect("UTF-8");
    let verdict = dev.cli.object(&["verify", file, "--audience", "tests"]);
    assert_eq!((&verdict["live"], &verdict["spiffe_id"]), (&json!(true), &view["spiffe_id"]));

    for (path, rest, status) in [
        ("/identity", &[][..], 400),
        ("/token?audience=tests", &[], 400),
        ("/identity", &["--header", "Metadata: false"], 400),
        ("/identity", &["--header", "Metadata: true", "--header", "X-Forwarded-For: 10.0.0.1"], 403),
        ("/identity", &["--header", "Metadata: true", "--method", "POST"], 405),
        ("/token", &guarded, 400),
        ("/other", &guarded, 404),
    ] {
        let answer = ask(path, rest);
        assert_eq!(answer["status"], status, "{path} {rest:?}: {answer}");
        assert!(!text(&answer["body"]["error"], "message").is_empty() && answer["body"].get("token").is_none());
    }
}

#[test]
fn suspend_ends_open_streams_and_takes_the_socket_away() {
    let dev = Dev::start();
    let (mut actor, seen) = streaming(&dev, "sleeper");
    assert!(socket_of(&seen).exists());
    let view = dev.cli.object(&["actor", "suspend", "sleeper"]);
    assert_eq!(view["state"], "suspended", "{view}");
    assert!(!socket_of(&seen).exists(), "the socket is gone before the actor is suspended");
    assert_eq!(text(&actor.object(), "ended"), NO_IDENTITY);
    assert_eq!(dev.cli.verdict(text(&seen, "certificates"))["live"], false);
    actor.ended();
}

#[test]
fn a_terminated_actor_loses_its_streams_and_never_gets_another_identity() {
    let dev = Dev::start();
    let (mut actor, seen) = streaming(&dev, "rogue");
    dev.cli.done(&["actor", "terminate", "rogue", "--reason", "it misbehaved"]);
    assert_eq!(text(&actor.object(), "ended"), NO_IDENTITY);
    actor.ended();
    assert!(!socket_of(&seen).exists());
    assert_eq!(dev.cli.verdict(text(&seen, "certificates"))["live"], false);
    assert_eq!(dev.cli.run(&["actor", "resume", "rogue"]).code, 1);
    assert_eq!(dev.cli.actor(STEADY, Some("rogue"), &["/bin/true"]).ended(), 1);
}

#[test]
fn the_identity_of_a_program_ends_with_the_process_that_it_was_given_to() {
    let dev = Dev::start();
    let (mut actor, seen) = streaming(&dev, "orphan");
    // The program itself lives on, as an orphan that nobody vouches for.
    actor.kill();
    assert_eq!(text(&actor.object(), "ended"), NO_IDENTITY);
    let mut changes = dev.cli.start(&["get", "actor/orphan", "--watch", "-o", "json"]);
    changes.find("that it is suspended", |view| view["state"] == "suspended");
    assert!(!socket_of(&seen).exists());
    assert_eq!(dev.cli.verdict(text(&seen, "certificates"))["live"], false);
}

#[test]
fn a_program_in_the_foreground_has_the_callers_input_exit_code_and_signals() {
    let dev = Dev::start();
    let mut quits = dev.cli.actor(STEADY, Some("quits"), &["/bin/sh", "-c", "read word; echo \"heard $word\"; exit 7"]);
    quits.feed("hello\n");
    assert_eq!((quits.line().as_str(), quits.ended()), ("heard hello", 7));
    let mut waits = dev.cli.actor(STEADY, Some("waits"), &["/bin/sh", "-c", "echo ready; exec sleep 1000"]);
    assert_eq!(waits.line(), "ready");
    waits.terminate();
    assert_eq!(waits.ended(), 128 + 15);
    for (actor, code) in [("quits", 7), ("waits", 143)] {
        let view = dev.cli.object(&["get", "actor", actor]);
        assert_eq!((&view["state"], &view["outcome"]), (&json!("suspended"), &json!({ "exited": { "code": code } })));
    }
}
