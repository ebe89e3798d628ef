//! Two actors, each with nothing but what its own socket gave it, meet over mTLS.

use crate::harness::{BRIEF, Dev, STEADY, text, workload};

/// What the path of every actor of a class begins with.
fn class(name: &str) -> String {
    format!("/ns/default/agent/{name}/actor/")
}

#[test]
fn two_actors_shake_hands_and_each_knows_who_the_other_is() {
    let dev = Dev::start();
    let mut server = dev.cli.actor(STEADY, Some("server"), &[workload(), "serve", &class(BRIEF)]);
    let addr = text(&server.object(), "listening").to_owned();
    let mut client = dev.cli.actor(BRIEF, Some("client"), &[workload(), "call", &addr, &class(STEADY)]);
    let (called, heard) = (server.object(), client.object());
    assert_eq!(text(&called, "client"), format!("spiffe://dev.internal{}client", class(BRIEF)));
    assert_eq!(text(&heard, "server"), format!("spiffe://dev.internal{}server", class(STEADY)));
    assert_eq!(text(&heard, "heard"), "welcome");
    assert_eq!([server.ended(), client.ended()], [0, 0]);
}

#[test]
fn an_actor_of_another_class_is_not_let_in_and_does_not_trust_another_server() {
    let dev = Dev::start();
    let mut server = dev.cli.actor(STEADY, Some("server"), &[workload(), "serve", &class(BRIEF)]);
    let addr = text(&server.object(), "listening").to_owned();
    let mut intruder = dev.cli.actor(STEADY, Some("intruder"), &[workload(), "call", &addr, &class(STEADY)]);
    text(&server.object(), "not trusted");
    text(&intruder.object(), "refused");
    let mut careful = dev.cli.actor(BRIEF, Some("careful"), &[workload(), "call", &addr, &class(BRIEF)]);
    text(&careful.object(), "not trusted");
    text(&server.object(), "not trusted");
}
