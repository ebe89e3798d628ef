//! What `explain` says of an actor at every link where its identity can be missing.

use crate::world::{World, actor, apply_class, held, name, spec};
use credence_model::command::{Command, Report};
use credence_model::explain::{Explanation, LINKS, LinkState, explain};
use credence_model::hold::{HoldCause, Seen};
use credence_model::id::Epoch;
use credence_model::node::NodeState;

fn about(world: &World, id: &str) -> Explanation {
    let explained = explain(&world.state, &world.state.actors.get(&actor(id)).unwrap(), world.now);
    let names: Vec<_> = explained.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, LINKS);
    let holds = explained.links.iter().all(|link| link.state == LinkState::Ok);
    assert_eq!(explained.has_identity, holds);
    assert_eq!(explained.what_to_do.is_empty(), holds, "{explained:?}");
    explained
}

/// The first link that does not hold, why, and what to do first.
fn fails(world: &World, id: &str) -> (String, LinkState, String, String) {
    let explained = about(world, id);
    let link = explained.links.iter().find(|link| link.state == LinkState::Failed);
    let link = link.or_else(|| explained.links.iter().find(|link| link.state != LinkState::Ok)).expect("a link");
    (link.name.clone(), link.state, explained.because.clone(), explained.what_to_do[0].clone())
}

#[test]
fn a_running_actor_has_its_identity_and_every_link_holds() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    let explained = about(&world, "a");
    assert!(explained.has_identity);
    assert_eq!(explained.because, "every link of the chain holds");
    assert!(explained.links[2].says.contains(&bind.worker.to_string()), "{explained:?}");
}

#[test]
fn an_actor_that_nobody_resumed_is_told_how() {
    let mut world = World::furnished();
    world.create("a");
    let (link, state, because, todo) = fails(&world, "a");
    assert_eq!((link.as_str(), state), ("queue", LinkState::Failed));
    assert_eq!(because, "it was never resumed");
    assert_eq!(todo, "Resume it: credence actor resume finance/a");
}

#[test]
fn a_disabled_class_stops_the_chain_at_admission() {
    let mut world = World::furnished();
    world.create("a");
    let class: credence_model::id::ClassRef = "finance/expense-agent".parse().unwrap();
    world.ok(Command::EnableClass { class, revision: None, enabled: false });
    let (link, _, because, todo) = fails(&world, "a");
    assert_eq!(link, "admission");
    assert!(because.contains("is disabled"), "{because}");
    assert_eq!(todo, "Enable the class: credence class enable finance/expense-agent");
    assert_eq!(about(&world, "a").links[5].state, LinkState::Unknown);
}

#[test]
fn an_actor_that_waits_is_told_its_place_and_why_no_worker_is_free() {
    let mut world = World::furnished();
    for id in ["a", "b", "c", "d", "e"] {
        world.create(id);
        world.resume(id).unwrap();
    }
    world.pass_ms(4_100);
    world.report("alpha", Report::Heartbeat).unwrap();
    let explained = about(&world, "e");
    assert_eq!(explained.because, "no worker is free");
    assert_eq!(explained.links[1].state, LinkState::Waiting);
    assert_eq!(explained.links[1].says, "2 of 2, for 4.1 s of at most 30.0 s");
    assert_eq!(explained.links[2].says, "finance/standard: 3 workers, 3 in use");
    assert_eq!(explained.links[3].state, LinkState::Unknown);
}

#[test]
fn a_class_that_selects_no_pool_is_told_so() {
    let mut world = World::furnished();
    world.create("a");
    let mut none = spec();
    none.runtime.pool_selector.match_labels.insert("tier".into(), "gold".into());
    world.ok(apply_class(none));
    world.resume("a").unwrap();
    let (link, _, because, _) = fails(&world, "a");
    assert_eq!(link, "worker");
    assert!(because.starts_with("no pool serves namespace finance") && because.contains("gold"), "{because}");
}

#[test]
fn a_silent_node_fails_the_lease_and_says_how_long_it_lasts() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    world.report(bind.node.as_str(), Report::Detached).unwrap();
    world.now = world.now.plus_ms(2_500);
    let (link, _, because, todo) = fails(&world, "a");
    assert_eq!(link, "lease");
    assert_eq!(because, format!("node {} fell silent and the lease is not over yet", bind.node));
    assert!(todo.contains("wait 8.0 s"), "{todo}");
    assert_eq!(about(&world, "a").links[4].state, LinkState::Failed);
    assert!(!about(&world, "a").has_identity);
}

/// Neither can come to be by what is decided; a registry that was damaged or edited is explained all the same.
#[test]
fn a_binding_on_a_node_that_never_connected_or_is_not_there_fails_there() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    let node = world.state.nodes.get_mut(&bind.node).unwrap();
    node.state = NodeState::Attested;
    let (link, state, because, todo) = fails(&world, "a");
    assert_eq!((link.as_str(), state), ("node", LinkState::Failed));
    assert_eq!(because, format!("node {} never connected", bind.node));
    assert_eq!(
        todo,
        format!("Start node {0}, or see in its log why it does not connect: credence node --name {0}", bind.node)
    );
    assert_eq!(about(&world, "a").links[3].state, LinkState::Ok);
    assert_eq!(about(&world, "a").links[5].state, LinkState::Unknown, "a socket behind it is not one to count on");

    world.state.nodes.remove(&bind.node);
    let (link, _, because, todo) = fails(&world, "a");
    assert_eq!((link.as_str(), because), ("lease", format!("node {} does not exist any more", bind.node)));
    assert!(todo.contains("credence doctor"), "{todo}");
}

#[test]
fn a_binding_that_its_node_has_not_confirmed_waits_at_the_socket_and_one_that_failed_says_why() {
    let mut world = World::furnished();
    world.create("a");
    world.resume("a").unwrap();
    let (link, state, ..) = fails(&world, "a");
    assert_eq!((link.as_str(), state), ("socket", LinkState::Waiting));
    let bind = world.bound("a");
    let outcome = credence_model::actor::Outcome::Failed { reason: "no such program".into() };
    world
        .report(name(bind.node.as_str()).as_str(), Report::Ended { held: held(&bind), outcome, archive: None })
        .unwrap();
    let (link, _, because, todo) = fails(&world, "a");
    assert_eq!(link, "queue");
    assert!(because.contains("could not start it") && because.contains("no such program"), "{because}");
    assert_eq!(todo, "See what it wrote: credence actor logs finance/a");
}

#[test]
fn a_terminated_actor_never_returns() {
    let mut world = World::furnished();
    world.create("a");
    world.ok(Command::TerminateActor { actor: actor("a"), reason: None });
    let (link, _, _, todo) = fails(&world, "a");
    assert_eq!((link.as_str(), todo.as_str()), ("admission", "A terminated actor never returns; create a new one"));
}

#[test]
fn while_the_server_is_held_that_is_the_reason_for_everybody() {
    let mut world = World::furnished();
    world.create("a");
    world.running("a");
    let seen = Seen { index: 9, epoch: Epoch(4), bundle_sequence: 0 };
    world.ok(Command::Hold { cause: HoldCause::Behind { by: "node beta".into(), seen } });
    let (link, state, because, todo) = fails(&world, "a");
    assert_eq!((link.as_str(), state), ("admission", LinkState::Failed));
    assert!(because.contains("the server is held") && because.contains("node beta has seen"), "{because}");
    assert!(todo.contains("credence release"), "{todo}");
}
