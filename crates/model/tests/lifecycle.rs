//! The ways an actor goes: bound, suspended, moved, lost, ended.

use crate::world::{World, actor, held, name, worker};
use credence_model::actor::{ActorState, Outcome, Phase, UnbindMode};
use credence_model::command::{Answer, Command, Held, Report, Unbind};
use credence_model::directive::Directive;
use credence_model::id::Epoch;
use credence_model::refusal::Kind;
use credence_model::verify::verify;

fn stopped(bind: &credence_model::directive::Bind) -> Report {
    Report::Ended { held: held(bind), outcome: Outcome::Stopped, archive: None }
}

#[test]
fn an_actor_keeps_its_identity_on_another_worker_under_a_higher_epoch() {
    let mut world = World::furnished();
    world.create("actor-01");
    let first = world.running("actor-01");
    assert_eq!(world.state.actors.get(&actor("actor-01")).unwrap().state, ActorState::Running);
    world.ok(Command::SuspendActor { actor: actor("actor-01") });
    world.report(first.node.as_str(), stopped(&first)).unwrap();
    let picked = Some(worker("beta-w1"));
    world.ok(Command::ResumeActor { actor: actor("actor-01"), worker: picked, wait_ms: None });
    let second = world.bound("actor-01");
    assert_eq!((first.epoch, second.epoch), (Epoch(1), Epoch(2)));
    assert_eq!(first.spiffe_id, second.spiffe_id);
    assert_eq!(second.spiffe_id.as_str(), "spiffe://demo.internal/ns/finance/agent/expense-agent/actor/actor-01");
    assert_ne!(first.worker, second.worker);
    let claims = second.order.claims().unwrap();
    assert_eq!((claims.epoch, claims.binding), (Epoch(2), second.binding));
    assert_eq!(claims.worker.as_str(), "spiffe://demo.internal/ns/finance/pool/standard/worker/beta-w1");
}

#[test]
fn the_last_worker_comes_first_and_else_the_one_longest_idle() {
    let mut world = World::furnished();
    for id in ["a", "b", "c"] {
        world.create(id);
        world.now = world.now.plus_ms(10);
        world.running(id);
    }
    assert_eq!(world.bound("a").worker, worker("alpha-w1"));
    for id in ["b", "a", "c"] {
        let bind = world.bound(id);
        world.now = world.now.plus_ms(10);
        world.ok(Command::SuspendActor { actor: actor(id) });
        world.report(bind.node.as_str(), stopped(&bind)).unwrap();
    }
    world.create("d");
    let (b, c) = (world.bound("b").worker, world.bound("c").worker);
    assert_eq!(world.running("c").worker, c, "the worker it held last");
    assert_eq!(world.running("d").worker, b, "the worker longest idle");
}

#[test]
fn waiting_actors_are_served_first_come_first_served_and_not_for_ever() {
    let mut world = World::furnished();
    for id in ["a", "b", "c", "d", "e", "f"] {
        world.create(id);
        world.resume(id).unwrap();
    }
    let waiting = |world: &World, id: &str| world.state.actors.get(&actor(id)).unwrap().wait.is_some();
    assert!(waiting(&world, "d") && waiting(&world, "e") && waiting(&world, "f"));
    assert_eq!(world.state.place_in_queue(&world.state.actors.get(&actor("e")).unwrap()), Some(2));
    let bind = world.bound("b");
    world.ok(Command::SuspendActor { actor: actor("e") });
    world
        .report(
            bind.node.as_str(),
            Report::Ended { held: held(&bind), outcome: Outcome::Exited { code: 0 }, archive: None },
        )
        .unwrap();
    assert_eq!(world.bound("d").worker, bind.worker);
    assert!(!waiting(&world, "e"), "suspending it takes it out of the queue");
    for _ in 0..4 {
        world.pass_ms(8_000);
        for node in ["alpha", "beta"] {
            world.report(node, Report::Heartbeat).unwrap();
        }
    }
    assert!(!waiting(&world, "f"), "its deadline has passed");
    assert_eq!(world.state.actors.get(&actor("f")).unwrap().epoch, Epoch(0));
}

#[test]
fn a_lost_actor_comes_back_elsewhere_only_after_its_lease() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    assert_eq!(bind.node, name("alpha"));
    world.report("alpha", Report::Detached).unwrap();
    assert_eq!(world.state.actors.get(&actor("a")).unwrap().state, ActorState::Lost);
    let refused = world.resume("a").unwrap_err();
    assert!(refused.to_string().contains("lost its node"), "{refused}");
    world.pass_ms(8_000);
    world.report("beta", Report::Heartbeat).unwrap();
    world.pass_ms(2_499);
    assert_eq!(world.bound("a").epoch, Epoch(1), "lease and margin are not over");
    world.pass_ms(1);
    assert_eq!((world.bound("a").epoch, world.bound("a").node), (Epoch(2), name("beta")));
}

#[test]
fn a_node_that_returns_within_its_lease_keeps_what_it_holds() {
    let mut world = World::furnished();
    world.create("a");
    world.create("b");
    let (a, b) = (world.running("a"), world.running("b"));
    world.report("alpha", Report::Detached).unwrap();
    world.ok(Command::SuspendActor { actor: actor("a") });
    let unknown = Held { binding: crate::world::binding(9), epoch: Epoch(1) };
    let answer = world.attach("alpha", &["alpha-w1", "alpha-w2"], &[held(&a), held(&b), unknown]);
    let Answer::Attached { session: 2, unbind } = answer else { panic!("{answer:?}") };
    let told = |binding, mode| Unbind { binding, mode };
    assert_eq!(unbind, [told(a.binding, UnbindMode::Suspend), told(unknown.binding, UnbindMode::Drop)]);
    assert_eq!(world.state.actors.get(&actor("a")).unwrap().state, ActorState::Suspending);
    assert_eq!(world.state.actors.get(&actor("b")).unwrap().state, ActorState::Running);
    let stale = world.run(Command::Report { node: name("alpha"), session: 1, report: Report::Heartbeat });
    assert!(stale.unwrap_err().to_string().contains("stream 1 of node alpha is over"));
}

#[test]
fn a_node_that_returns_empty_frees_its_actors_at_once() {
    let mut world = World::furnished();
    world.create("a");
    world.running("a");
    world.attach("alpha", &["alpha-w1", "alpha-w2"], &[]);
    assert_eq!(world.bound("a").epoch, Epoch(2));
}

#[test]
fn a_server_that_restarts_gives_every_node_a_whole_lease() {
    let mut world = World::furnished();
    world.create("a");
    world.running("a");
    world.now = world.now.plus_ms(3_600_000);
    world.ok(Command::Start(crate::world::settings()));
    assert_eq!(world.state.actors.get(&actor("a")).unwrap().state, ActorState::Lost);
    world.pass_ms(10_499);
    assert_eq!(world.bound("a").epoch, Epoch(1));
    world.attach("beta", &["beta-w1"], &[]);
    world.pass_ms(1);
    assert_eq!(world.bound("a").node, name("beta"));
}

/// The node counts by the lease that it was told, however short the present one is.
#[test]
fn a_lease_that_became_shorter_takes_no_actor_from_a_node_that_was_told_the_longer_one() {
    for command in [Command::Start, Command::Configure] {
        let mut world = World::furnished();
        world.create("a");
        world.running("a");
        let mut shorter = crate::world::settings();
        shorter.lease_ms /= 2;
        shorter.heartbeat_ms = shorter.heartbeat_ms.min(shorter.lease_ms / 4);
        world.ok(command(shorter.clone()));
        world.pass_ms(10_499);
        world.attach("beta", &["beta-w1"], &[]);
        assert_eq!(world.bound("a").epoch, Epoch(1), "alpha believes in its lease until now");
        world.pass_ms(1);
        assert_eq!(world.bound("a").node, name("beta"));
        assert_eq!(world.state.nodes.get(&name("beta")).unwrap().lease_ms, shorter.lease_ms);
    }
}

#[test]
fn a_terminated_or_quarantined_actor_has_no_credential_and_never_returns() {
    for quarantined in [false, true] {
        let mut world = World::furnished();
        world.create("a");
        let bind = world.running("a");
        let reason = Some("leaked".to_owned());
        world.ok(match quarantined {
            true => Command::QuarantineActor { actor: actor("a"), reason },
            false => Command::TerminateActor { actor: actor("a"), reason },
        });
        let verdict = verify(&world.state, &bind.spiffe_id, bind.epoch, bind.binding, world.now);
        assert!(!verdict.live, "{}", verdict.reason);
        let key = world.key();
        assert!(world.report("alpha", Report::RenewX509 { held: held(&bind), key }).is_err());
        let audience = vec!["tool".to_owned()];
        assert!(world.report("alpha", Report::MintJwt { held: held(&bind), audience }).is_err());
        assert!(world.state.workers[&bind.worker].holds.is_some(), "the slot is free only when the node says so");
        world.report("alpha", stopped(&bind)).unwrap();
        assert!(world.state.workers[&bind.worker].is_idle());
        let refusal = world.resume("a").unwrap_err().to_string();
        assert!(refusal.contains("by the local administrator"), "{refusal}");
    }
}

#[test]
fn an_old_epoch_is_not_live_once_a_new_one_is() {
    let mut world = World::furnished();
    world.create("a");
    let first = world.running("a");
    assert!(verify(&world.state, &first.spiffe_id, first.epoch, first.binding, world.now).live);
    world.ok(Command::SuspendActor { actor: actor("a") });
    world.report("alpha", stopped(&first)).unwrap();
    let between = verify(&world.state, &first.spiffe_id, first.epoch, first.binding, world.now);
    assert!(!between.live && between.reason.contains("is not bound"), "{}", between.reason);
    let second = world.running("a");
    let old = verify(&world.state, &first.spiffe_id, first.epoch, first.binding, world.now);
    assert_eq!((old.live, old.reason.as_str(), old.live_epoch), (false, "epoch 1 is over, 2 is live", Some(Epoch(2))));
    assert!(verify(&world.state, &second.spiffe_id, second.epoch, second.binding, world.now).live);
}

#[test]
fn draining_a_worker_moves_its_actor_away() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    world.ok(Command::DrainWorker { worker: bind.worker.clone() });
    assert!(matches!(world.directives.last(), Some(Directive::Unbind { .. })));
    world.report("alpha", stopped(&bind)).unwrap();
    assert!(!world.state.workers.contains_key(&bind.worker));
    assert_eq!((world.bound("a").epoch, world.bound("a").worker.clone() == bind.worker), (Epoch(2), false));
}

#[test]
fn a_process_tree_is_bound_straight_to_an_actor_and_its_worker_goes_with_it() {
    let mut world = World::furnished();
    let class = "finance/expense-agent".parse().unwrap();
    let report = Report::BindProcess { class, actor: Some("tool".parse().unwrap()) };
    world.report("alpha", report.clone()).unwrap();
    let bind = world.bound("tool");
    assert!(bind.worker.worker.as_str().starts_with("run-"));
    assert!(world.report("alpha", report.clone()).unwrap_err().to_string().contains("starting already"));
    world
        .report("alpha", Report::Ended { held: held(&bind), outcome: Outcome::Exited { code: 0 }, archive: None })
        .unwrap();
    assert!(!world.state.workers.contains_key(&bind.worker));
    world.report("alpha", report).unwrap();
    assert_eq!(world.bound("tool").epoch, Epoch(2));
}

#[test]
fn a_process_tree_is_not_bound_once_the_lease_of_its_node_is_over() {
    let mut world = World::furnished();
    let report = Report::BindProcess { class: "finance/expense-agent".parse().unwrap(), actor: None };
    // Nobody has looked at leases since: the stream still counts as open.
    world.now = world.now.plus_ms(world.state.settings.lease_ms);
    let refusal = world.report("alpha", report.clone()).unwrap_err();
    assert_eq!(refusal.kind, Kind::Stale);
    assert!(refusal.message.contains("lease of node alpha is over"), "{refusal}");
    world.report("alpha", Report::Heartbeat).unwrap();
    world.report("alpha", report).unwrap();
}

#[test]
fn a_binding_that_is_ending_is_told_so_again_when_the_node_returns() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    world.ok(Command::SuspendActor { actor: actor("a") });
    let phase = world.state.actors.get(&actor("a")).unwrap().binding.as_ref().unwrap().phase;
    assert_eq!(phase, Phase::Ending(UnbindMode::Suspend));
    let answer = world.attach("alpha", &["alpha-w1", "alpha-w2"], &[held(&bind)]);
    let Answer::Attached { unbind, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(unbind, [Unbind { binding: bind.binding, mode: UnbindMode::Suspend }]);
}

#[test]
fn a_node_is_known_by_its_earlier_keys_until_it_proves_its_origin_anew() {
    let mut world = World::furnished();
    let known = |world: &World, key: &_| world.state.nodes[&name("alpha")].is_known_by(key);
    let first = world.state.nodes[&name("alpha")].key;
    // Twice without the node ever hearing of it: the first key must still open the door.
    for _ in 0..2 {
        let key = world.key();
        world.ok(Command::RenewNode { node: name("alpha"), key });
        assert!(known(&world, &key) && known(&world, &first));
    }
    let (token, key) = (world.key(), world.key());
    let grants = world.state.nodes[&name("alpha")].grants.clone();
    world.ok(Command::CreateJoinToken { token, node: None, grants, ttl_secs: 60 });
    world.ok(Command::AttestNode { node: name("alpha"), token, key });
    assert!(!known(&world, &first));
}

#[test]
fn a_node_that_leaves_is_bound_nothing_more_and_its_actors_go_elsewhere() {
    let mut world = World::furnished();
    for id in ["a", "b", "c"] {
        world.create(id);
        world.running(id);
    }
    let moved = world.bound("a");
    assert_eq!(moved.node, name("alpha"));
    world.report("alpha", Report::Leaving).unwrap();
    for id in ["a", "b", "c"] {
        let bind = world.bound(id);
        if bind.node == name("alpha") {
            world.report("alpha", stopped(&bind)).unwrap();
        }
    }
    let workers = |world: &World| world.state.workers.values().filter(|worker| worker.node == name("alpha")).count();
    assert_eq!(workers(&world), 0, "its workers are still there");
    assert!(
        world
            .state
            .actors
            .get(&actor("a"))
            .unwrap()
            .binding
            .as_ref()
            .is_none_or(|binding| binding.node != name("alpha"))
    );
    world.attach("alpha", &["alpha-w1", "alpha-w2"], &[]);
    assert_eq!(workers(&world), 2, "it cannot come back");
}
