//! Laws that hold for every sequence of commands.

use crate::permission::permission;
use crate::world::{World, actor, apply_class, apply_pool, held, name, spec, worker};
use credence_model::actor::Outcome;
use credence_model::apply::apply;
use credence_model::budget::Taken;
use credence_model::command::{Answer, Command, Report, Take, Use};
use credence_model::delegation::{Grantee, Grantor, Terms};
use credence_model::event::Entry;
use credence_model::hold::{HoldCause, Seen};
use credence_model::id::{ClassRef, Digest};
use credence_model::lineage::Lineage;
use credence_model::refusal::Refusal;
use credence_model::state::State;
use credence_model::user::User;
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
    Spawn(u8, u8),
    Fork(u8, u8),
    Grant(u8, bool, u8),
    Narrow(u8, u8),
    Revoke(u8),
    Use(u8, u8),
    Permit(u8),
    Consent(bool),
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
        // As often as a third of the others, for they come in as many kinds.
        permission_step(),
        permission_step(),
        permission_step(),
        permission_step(),
        permission_step(),
        permission_step(),
        permission_step(),
    ]
}

fn permission_step() -> impl Strategy<Value = Step> {
    let id = 0..6_u8;
    prop_oneof![
        (id.clone(), id.clone()).prop_map(|(n, parent)| Step::Spawn(n, parent)),
        (id.clone(), id.clone()).prop_map(|(n, of)| Step::Fork(n, of)),
        (id.clone(), any::<bool>(), 1..4_u8).prop_map(|(n, class, uses)| Step::Grant(n, class, uses)),
        (any::<u8>(), 0..4_u8).prop_map(|(nth, amount)| Step::Narrow(nth, amount)),
        any::<u8>().prop_map(Step::Revoke),
        (id.clone(), any::<u8>()).prop_map(|(n, nth)| Step::Use(n, nth)),
        (0..4_u8).prop_map(Step::Permit),
        any::<bool>().prop_map(Step::Consent),
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
        Step::Spawn(..)
        | Step::Fork(..)
        | Step::Grant(..)
        | Step::Narrow(..)
        | Step::Revoke(_)
        | Step::Use(..)
        | Step::Permit(_)
        | Step::Consent(_) => permit(world, step),
        Step::Pass(ms) => {
            world.pass_ms(u64::from(ms));
            return;
        }
    };
}

/// What is about permissions.
fn permit(world: &mut World, step: Step) -> Result<Answer, Refusal> {
    let id = |n: u8| format!("actor-{n}");
    let class: ClassRef = "finance/expense-agent".parse().unwrap();
    let ada = User { issuer: "https://idp.example".into(), subject: "ada".into() };
    let nth = |world: &World, nth: u8| {
        let count = world.state.delegations.len().max(1);
        world.state.delegations.all().nth(usize::from(nth) % count).map(|found| (found.id, found.terms.clone()))
    };
    let up_to = |amount: u8| permission(&format!("tool expenses/submit when amount <= {amount} EUR"));
    let spawn = |n: u8, lineage| Command::SpawnActor {
        class: class.clone(),
        id: Some(id(n).parse().unwrap()),
        labels: Default::default(),
        lineage,
    };
    let command = match step {
        Step::Spawn(n, parent) if n != parent => {
            spawn(n, Lineage { parent: Some(actor(&id(parent))), ..Lineage::default() })
        }
        Step::Spawn(n, _) => spawn(n, Lineage { user: Some(ada), ..Lineage::default() }),
        Step::Fork(n, of) => spawn(n, Lineage { forked_from: Some(actor(&id(of))), ..Lineage::default() }),
        Step::Grant(n, to_class, uses) => {
            let to = if to_class { Grantee::Class(class) } else { Grantee::Actor(actor(&id(n))) };
            let (not_before, expires_at) = (world.now, world.now.plus_secs(60));
            let (allow, uses) = (vec![up_to(3)], Some(uses.into()));
            let terms = Terms { allow, session: None, purpose: String::new(), not_before, expires_at, uses };
            Command::GrantDelegation { by: Grantor::User(ada), to, offer: terms.into() }
        }
        Step::Narrow(which, amount) => {
            let Some((delegation, terms)) = nth(world, which) else { return Ok(Answer::Done {}) };
            Command::NarrowDelegation { delegation, of: None, terms: Terms { allow: vec![up_to(amount)], ..terms } }
        }
        Step::Revoke(which) => {
            let Some((delegation, _)) = nth(world, which) else { return Ok(Answer::Done {}) };
            Command::RevokeDelegation { delegation, of: None, reason: None }
        }
        Step::Use(n, which) => {
            let Some((delegation, _)) = nth(world, which) else { return Ok(Answer::Done {}) };
            let taken = Taken { budget: Digest::of(b"budget"), since_secs: 0, amount: 1, of: None };
            let budgets = vec![Take { taken, most: 3 }];
            let delegations = vec![delegation];
            Command::Use { uses: vec![Use { actor: actor(&id(n)), decided: None, delegations, budgets }] }
        }
        Step::Permit(amount) => {
            let mut spec = spec();
            spec.permissions.allow = vec![up_to(amount)];
            apply_class(spec)
        }
        Step::Consent(true) => Command::ConsentRevision { class, revision: None, only: Vec::new() },
        _ => Command::WithdrawConsent { class, revision: None },
    };
    world.run(command)
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
