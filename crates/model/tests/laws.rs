//! Laws that hold for every sequence of commands.

use crate::world::{World, actor, apply_class, apply_pool, held, name, spec, worker};
use credence_model::actor::Outcome;
use credence_model::apply::apply;
use credence_model::command::{Command, Report};
use credence_model::event::Entry;
use credence_model::hold::{HoldCause, Seen};
use credence_model::state::State;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Create(u8),
    Resume(u8),
    Pick(u8, u8),
    Suspend(u8),
    Terminate(u8),
    Quarantine(u8),
    Delete(u8),
    Running(u8),
    Ended(u8, bool),
    Detach(bool),
    Attach(bool, bool),
    Heartbeat(bool),
    Drain(u8),
    Revise(u8),
    Enable(bool),
    Restart,
    Hold(u8),
    Release,
    Pass(u16),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let id = 0..6_u8;
    prop_oneof![
        id.clone().prop_map(Step::Create),
        id.clone().prop_map(Step::Resume),
        (id.clone(), 0..3_u8).prop_map(|(a, w)| Step::Pick(a, w)),
        id.clone().prop_map(Step::Suspend),
        id.clone().prop_map(Step::Terminate),
        id.clone().prop_map(Step::Quarantine),
        id.clone().prop_map(Step::Delete),
        id.clone().prop_map(Step::Running),
        (id.clone(), any::<bool>()).prop_map(|(a, b)| Step::Ended(a, b)),
        any::<bool>().prop_map(Step::Detach),
        (any::<bool>(), any::<bool>()).prop_map(|(n, h)| Step::Attach(n, h)),
        any::<bool>().prop_map(Step::Heartbeat),
        (0..3_u8).prop_map(Step::Drain),
        id.prop_map(Step::Revise),
        any::<bool>().prop_map(Step::Enable),
        Just(Step::Restart),
        any::<u8>().prop_map(Step::Hold),
        Just(Step::Release),
        Just(Step::Release),
        (1..4_000_u16).prop_map(Step::Pass),
    ]
}

const WORKERS: [&str; 3] = ["alpha-w1", "alpha-w2", "beta-w1"];

pub(crate) fn take(world: &mut World, step: Step) {
    let id = |n: u8| format!("actor-{n}");
    let node = |alpha: bool| if alpha { "alpha" } else { "beta" };
    let class = || "finance/expense-agent".parse().unwrap();
    // Refusals are part of the game; `World` audits after each accepted step.
    let _ = match step {
        Step::Create(n) => {
            let id = Some(id(n).parse().unwrap());
            world.run(Command::CreateActor { class: class(), id, labels: Default::default() })
        }
        Step::Resume(n) => world.resume(&id(n)),
        Step::Pick(n, w) => {
            let worker = Some(worker(WORKERS[usize::from(w)]));
            world.run(Command::ResumeActor { actor: actor(&id(n)), worker, wait_ms: Some(0) })
        }
        Step::Suspend(n) => world.run(Command::SuspendActor { actor: actor(&id(n)) }),
        Step::Terminate(n) => world.run(Command::TerminateActor { actor: actor(&id(n)), reason: None }),
        Step::Quarantine(n) => world.run(Command::QuarantineActor { actor: actor(&id(n)), reason: None }),
        Step::Delete(n) => world.run(Command::DeleteActor { actor: actor(&id(n)) }),
        Step::Running(n) | Step::Ended(n, _) => {
            let found = world.state.actors.get(&actor(&id(n))).and_then(|actor| actor.binding.clone());
            let Some(binding) = found else { return };
            let held = credence_model::command::Held { binding: binding.id, epoch: binding.epoch };
            let outcome = Outcome::Stopped;
            let report = match step {
                Step::Ended(_, true) => Report::Ended { held, outcome, archive: None },
                Step::Ended(_, false) => Report::Ended { held, outcome: Outcome::Dropped, archive: None },
                _ => Report::Running(held),
            };
            world.report(binding.node.as_str(), report)
        }
        Step::Detach(alpha) => world.report(node(alpha), Report::Detached),
        Step::Attach(alpha, holds) => {
            let held: Vec<_> = world
                .state
                .actors
                .all_active()
                .filter_map(|actor| actor.binding.as_ref())
                .filter(|binding| holds && binding.node == name(node(alpha)))
                .map(|binding| credence_model::command::Held { binding: binding.id, epoch: binding.epoch })
                .collect();
            let workers: &[&str] = if alpha { &WORKERS[..2] } else { &WORKERS[2..] };
            if world.state.hold.is_some() {
                let workers = workers.iter().map(|id| worker(id)).collect();
                return assert!(world.run(Command::AttachNode { node: name(node(alpha)), workers, held }).is_err());
            }
            Ok(world.attach(node(alpha), workers, &held))
        }
        Step::Heartbeat(alpha) => world.report(node(alpha), Report::Heartbeat),
        Step::Drain(w) => world.run(Command::DrainWorker { worker: worker(WORKERS[usize::from(w)]) }),
        Step::Revise(n) => {
            let mut spec = spec();
            spec.purpose = format!("purpose {n}");
            world.run(apply_class(spec))
        }
        Step::Enable(enabled) => world.run(Command::EnableClass { class: class(), revision: None, enabled }),
        Step::Restart => world.run(Command::Start(crate::world::settings())),
        Step::Hold(n) => {
            let epoch = credence_model::id::Epoch(world.state.epoch_max.0 + u64::from(n));
            let seen = Seen { index: 0, epoch, bundle_sequence: 0 };
            world.run(Command::Hold { cause: HoldCause::Behind { by: "node alpha".into(), seen } })
        }
        Step::Release => world.run(Command::Release { reason: None }),
        Step::Pass(ms) => {
            world.pass_ms(u64::from(ms));
            return;
        }
    };
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold_and_the_journal_replays_to_the_same_bytes(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut world = World::furnished();
        steps.into_iter().for_each(|step| take(&mut world, step));
        let mut replayed = State::default();
        for entry in &world.entries {
            let bytes = entry.encode();
            let read = Entry::decode(&bytes).unwrap();
            assert_eq!(read.encode(), bytes, "an entry has one encoding");
            apply(&mut replayed, &read);
        }
        assert_eq!(replayed.encode().unwrap(), world.state.encode().unwrap());
        assert!(State::decode(&replayed.encode().unwrap()).unwrap() == world.state);
    }

    #[test]
    fn bytes_from_strangers_are_an_entry_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Entry::decode(&bytes);
        let _ = State::decode(&bytes);
    }
}

#[test]
fn equal_specs_have_equal_digests_whatever_their_order_in_the_file() {
    let one: credence_model::class::ClassSpec = serde_json::from_str(r#"{"owner":"a","purpose":"b"}"#).unwrap();
    let two: credence_model::class::ClassSpec = serde_json::from_str(r#"{"purpose":"b","owner":"a"}"#).unwrap();
    assert_eq!(one.digest(), two.digest());
    let mut world = World::furnished();
    world.ok(apply_pool());
    let entries = world.entries.len();
    world.ok(apply_class(spec()));
    assert_eq!(world.entries.len(), entries, "applying the same again records nothing");
    let bound = {
        world.create("a");
        world.running("a")
    };
    assert_eq!(held(&bound).epoch.0, 1);
}
