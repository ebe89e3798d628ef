//! A registry that has forgotten something is held, and never gives out again what it gave out before.

use crate::laws::{Step, step, take};
use crate::world::{World, actor, apply_class, held, name, settings, spec, worker};
use credence_model::actor::ActorState;
use credence_model::command::{Command, Held, Report};
use credence_model::event::{Entry, Event};
use credence_model::hold::{EPOCH_JUMP_MIN, HoldCause, Seen};
use credence_model::id::{ActorRef, Epoch};
use credence_model::order::Claims;
use credence_model::refusal::Kind;
use credence_model::settings::WAIT_MS_MAX;
use credence_model::verify::verify;
use proptest::prelude::proptest;
use std::collections::BTreeSet;

const LEASES_OVER_MS: u64 = 11_000;

fn restored(world: &World) -> Command {
    let (made_at, last_index, last_at) = (world.state.last_at, world.state.last_index, world.state.last_at);
    Command::Hold { cause: HoldCause::Restored { made_at, last_index, last_at } }
}

fn shown(epoch: u64) -> Command {
    let seen = Seen { index: 900, epoch: Epoch(epoch), bundle_sequence: 4 };
    Command::Hold { cause: HoldCause::Behind { by: "node beta".into(), seen } }
}

fn release() -> Command {
    Command::Release { reason: Some("drill".into()) }
}

/// Which epochs of which actors were given out.
fn given(entries: &[Entry]) -> BTreeSet<(ActorRef, Epoch)> {
    let bound = |entry: &Entry| match &entry.event {
        Event::ActorBound { actor, epoch, .. } => Some((actor.clone(), *epoch)),
        _ => None,
    };
    entries.iter().filter_map(bound).collect()
}

#[test]
fn while_it_is_held_every_command_but_the_release_is_refused_with_the_reason() {
    let mut world = World::furnished();
    world.create("a");
    world.create("b");
    let bind = world.running("a");
    world.ok(restored(&world));
    let held_entry = world.state.last_index - 1;
    let commands = [
        apply_class(spec()),
        Command::CreateActor { class: "finance/expense-agent".parse().unwrap(), id: None, labels: Default::default() },
        Command::ResumeActor { actor: actor("b"), worker: None, wait_ms: None },
        Command::SuspendActor { actor: actor("a") },
        Command::TerminateActor { actor: actor("a"), reason: None },
        Command::QuarantineActor { actor: actor("a"), reason: None },
        Command::DrainWorker { worker: worker("alpha-w1") },
        Command::DeleteNode { node: name("beta") },
        Command::AttachNode { node: name("alpha"), workers: Vec::new(), held: vec![held(&bind)] },
    ];
    let entries = world.entries.len();
    for command in commands {
        let refusal = world.run(command.clone()).expect_err("held");
        assert_eq!(refusal.kind, Kind::Unavailable, "{command:?}");
        let expected = format!("it was restored from a backup that ends at journal entry {held_entry}");
        assert!(refusal.to_string().contains(&expected), "{refusal}");
        assert!(refusal.to_string().contains("credence release"), "{refusal}");
    }
    for report in [
        Report::Heartbeat,
        Report::Leaving,
        Report::Running(held(&bind)),
        Report::RenewX509 { held: held(&bind), key: world.key() },
        Report::MintJwt { held: held(&bind), audience: vec!["tool".into()] },
        Report::BindProcess { class: "finance/expense-agent".parse().unwrap(), actor: None },
    ] {
        assert_eq!(world.report("alpha", report).expect_err("held").kind, Kind::Unavailable);
    }
    assert_eq!(world.entries.len(), entries, "nothing of it is recorded");
}

#[test]
fn a_restart_stays_held_and_what_is_seen_meanwhile_is_kept() {
    let mut world = World::furnished();
    world.ok(restored(&world));
    world.ok(restored(&world));
    world.ok(shown(7));
    world.ok(Command::Start(settings()));
    world.ok(shown(5));
    let hold = world.state.hold.clone().expect("held");
    assert!(matches!(hold.cause, HoldCause::Restored { .. }));
    assert_eq!((hold.seen.epoch, hold.seen_by.as_deref()), (Epoch(7), Some("node beta")));
    assert!(hold.reason().contains("node beta has seen journal entry 900 and epoch 7"), "{}", hold.reason());
    let recorded = world.entries.iter().filter(|entry| matches!(entry.event, Event::CellHeld { .. })).count();
    assert_eq!(recorded, 2, "what is no news is not recorded");
}

#[test]
fn it_is_released_only_when_no_old_lease_can_run_and_epochs_then_go_on_above_everything_seen() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    assert_eq!(world.run(release()).expect_err("not held").kind, Kind::Conflict);
    world.ok(shown(5_000));
    let early = world.run(release()).expect_err("too early");
    assert!(early.to_string().contains("leases from before"), "{early}");
    assert_eq!(early.retry_after_ms, Some(10_500));
    world.pass_ms(10_400);
    assert_eq!(world.run(release()).expect_err("too early").retry_after_ms, Some(100));
    world.pass_ms(100);
    assert!(world.state.actors.get(&actor("a")).unwrap().wait.is_some(), "it waits, and time stands still for it");
    world.pass_ms(100 * 24 * 3_600_000);
    world.ok(release());
    let wait = world.state.actors.get(&actor("a")).unwrap().wait.clone().expect("it waits");
    assert_eq!(wait.until.ms_since(world.state.last_at), WAIT_MS_MAX, "as long as it was told, and no longer");
    assert_eq!(world.state.bundle_floor, 4);
    world.attach("alpha", &["alpha-w1", "alpha-w2"], &[held(&bind)]);
    let again = world.bound("a");
    assert!(again.epoch.0 > 5_000 + EPOCH_JUMP_MIN, "{}", again.epoch);
    world.create("new");
    world.resume("new").unwrap();
    assert!(world.bound("new").epoch > Epoch(5_000 + EPOCH_JUMP_MIN), "its name may have been somebody's");
    let next = again.epoch;
    world.report("alpha", Report::Running(held(&again))).unwrap();
    world.ok(Command::SuspendActor { actor: actor("a") });
    let over = Report::Ended { held: held(&again), outcome: credence_model::actor::Outcome::Stopped, archive: None };
    world.report("alpha", over).unwrap();
    world.resume("a").unwrap();
    assert_eq!(world.bound("a").epoch, next.next(), "from there on they count as ever");
    assert_eq!(world.state.actors.get(&actor("a")).unwrap().state, ActorState::Starting);
}

#[test]
fn the_longest_lease_that_any_node_was_told_counts_whatever_the_settings_say_now() {
    let mut world = World::furnished();
    let mut short = settings();
    (short.lease_ms, short.heartbeat_ms) = (1_000, 200);
    world.ok(Command::Start(short));
    world.ok(shown(3));
    world.pass_ms(2_000);
    assert_eq!(world.run(release()).expect_err("too early").retry_after_ms, Some(8_500));
    world.pass_ms(8_500);
    world.ok(release());
}

#[test]
fn a_credential_of_the_time_that_is_lost_is_over_and_says_so() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    let Claims { binding, .. } = bind.order.claims().cloned().unwrap();
    let asked = |world: &World, epoch| verify(&world.state, &bind.spiffe_id, Epoch(epoch), binding, world.now);
    assert!(asked(&world, 1).live);
    let newer = asked(&world, 9);
    assert!(!newer.live && newer.reason.contains("epoch 9 is newer than 1"), "{}", newer.reason);
    world.ok(shown(9));
    world.pass_ms(LEASES_OVER_MS);
    world.ok(release());
    let lost = asked(&world, 9);
    assert!(!lost.live && lost.reason.contains("from before this server was restored"), "{}", lost.reason);
}

fn release_in_time(world: &mut World) {
    world.pass_ms(LEASES_OVER_MS);
    world.pass_ms(LEASES_OVER_MS);
    world.ok(release());
    world.attach("alpha", &["alpha-w1", "alpha-w2"], &[] as &[Held]);
    world.attach("beta", &["beta-w1"], &[]);
}

fn run(world: &mut World, steps: &[Step]) {
    steps.iter().for_each(|step| take(world, step.clone()));
}

proptest! {
    /// One backup, two restores from it, and a life after each: no epoch of any actor is given out twice.
    #[test]
    fn what_was_given_out_is_never_given_out_again_however_much_is_forgotten(
        before in proptest::collection::vec(step(), 1..40),
        lost in proptest::collection::vec(step(), 1..60),
        held in proptest::collection::vec(step(), 1..20),
        after in proptest::collection::vec(step(), 1..60),
        shows in proptest::bool::ANY,
    ) {
        let mut first = World::furnished();
        run(&mut first, &before);
        let backup = first.clone();
        let kept = backup.entries.len();
        run(&mut first, &lost);
        let mut now = first.now;
        let mut known = given(&first.entries[kept..]);
        for restore in 1..=2_u64 {
            let mut world = backup.restored(now, restore * 10_000);
            world.ok(Command::Start(settings()));
            world.ok(restored(&backup));
            if shows {
                world.ok(shown(first.state.epoch_max.0));
            }
            let at = world.entries.len();
            let safe = |step: &&Step| !matches!(step, Step::Release);
            held.iter().filter(safe).for_each(|step| take(&mut world, step.clone()));
            assert_eq!(given(&world.entries[at..]).len(), 0, "bound while held");
            release_in_time(&mut world);
            run(&mut world, &after);
            let later = given(&world.entries[at..]);
            let twice: Vec<_> = later.intersection(&known).collect();
            assert!(twice.is_empty(), "given out twice: {twice:?}");
            known.extend(later);
            now = world.now;
        }
    }
}
