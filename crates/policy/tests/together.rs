//! What one request wants together: all of it is done, or nothing.

use crate::world::{World, actor, class, of, permissions, user};
use credence_model::command::Command;
use credence_model::delegation::{Grantee, Grantor, Terms};
use credence_model::id::{DecisionId, ID_ENTROPY_BYTES};
use credence_policy::asked::Asked;
use credence_policy::brief::Brief;
use credence_policy::decision::{decide, standing};
use credence_policy::judged::Judged;
use credence_policy::together::{Ahead, Considered, Outcome, Together};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const LISTED: &str = "tool a/list";
const COUNTED: &str = "tool a/counted with budget 10 EUR per day";
const LOGGED: &str = "tool a/logged with log";
const CONFIRMED: &str = "tool a/confirmed with step-up, budget 10 EUR per day";

/// Ada's `x`, which may use what she delegated five times.
fn world() -> World {
    let mut world = World::new();
    let mut permissions = permissions(&[LISTED, COUNTED, LOGGED, CONFIRMED]);
    permissions.delegation.required = true;
    permissions.record.allowed_one_in = 1_000_000;
    world.permit(permissions);
    world.spawn("x", of("ada"));
    let terms = Terms { uses: Some(5), ..world.terms(&["tool a/counted", "tool a/confirmed"]) };
    world.grant(Grantor::User(user("ada")), Grantee::Class(class()), terms);
    let terms = world.terms(&["tool a/list", "tool a/logged"]);
    world.grant(Grantor::User(user("ada")), Grantee::Actor(actor("x")), terms);
    world
}

/// Decides what `x` wants to do with tools, for so many euro, one after the other.
fn together(world: &World, wanted: &[(&str, i64)], confirms: bool) -> Together {
    let mut ahead = Ahead::default();
    let one = |(tool, amount): &(&str, i64)| {
        let mut brief = Brief::of(&world.state, &actor("x"), &|_| None).expect("an actor");
        ahead.count(&mut brief);
        let context = json!({ "amount": amount, "currency": "EUR" });
        let asked = Asked::read(actor("x"), "call", ("tool", &format!("a/{tool}")), (&Value::Null, &context)).unwrap();
        let spent = |actor: &_, budget, since| {
            world.state.budgets.taken(actor, budget, since).plus(ahead.spent(actor, budget)).unwrap()
        };
        let decision = decide(&brief, &asked.question(world.now), &world.state.guards, &spent);
        ahead.add(&asked.actor, &decision.using);
        // No multiple of how often an allowed decision is recorded.
        let id = DecisionId::generate(world.now, [1; ID_ENTROPY_BYTES]);
        let judged = Judged { id, brief: Arc::new(brief), decision };
        Considered { outcome: Outcome::Judged(Box::new(judged), Arc::new(asked)), confirms }
    };
    Together(wanted.iter().map(one).collect())
}

/// What is recorded of it, whether it was allowed, and how much is used up.
fn uses(together: &Together) -> (Vec<(String, bool)>, usize, usize) {
    let uses = together.uses();
    let recorded = uses.iter().filter_map(|used| used.decided.as_ref());
    (
        recorded.map(|decided| (decided.resource.clone(), decided.allowed)).collect(),
        uses.iter().map(|used| used.delegations.len()).sum(),
        uses.iter().map(|used| used.budgets.len()).sum(),
    )
}

fn recorded(tool: &str, allowed: bool) -> (String, bool) {
    (format!("tool/a/{tool}"), allowed)
}

#[test]
fn what_is_done_is_used_up_and_recorded_as_the_class_says() {
    let all = together(&world(), &[("list", 0), ("counted", 4), ("logged", 0), ("counted", 6)], false);
    assert!(all.is_done() && all.waits_for_record());
    assert_eq!(uses(&all), (vec![recorded("logged", true)], 2, 2));
    let nothing = together(&world(), &[("list", 0)], false);
    assert!(nothing.is_done() && !nothing.waits_for_record() && nothing.uses().is_empty());
}

#[test]
fn beside_what_is_denied_nothing_is_used_up_and_only_that_is_recorded() {
    let all = together(&world(), &[("counted", 4), ("logged", 0), ("counted", 7), ("absent", 0)], true);
    assert!(!all.is_done() && !all.waits_for_record());
    assert_eq!(uses(&all), (vec![recorded("counted", false), recorded("absent", false)], 0, 0));
    let why = all.answers(0).into_iter().map(|answer| answer.allowed).collect::<Vec<_>>();
    assert_eq!(why, [true, true, false, false], "what was taken ahead is not there");
}

#[test]
fn what_a_person_has_to_confirm_is_done_only_where_one_does() {
    let wanted = [("confirmed", 4), ("counted", 4)];
    let nobody = together(&world(), &wanted, false);
    assert!(!nobody.is_done() && !nobody.waits_for_record());
    assert_eq!(uses(&nobody), (vec![recorded("confirmed", true)], 0, 0), "what was stopped is on record");
    let somebody = together(&world(), &wanted, true);
    assert!(somebody.is_done() && somebody.waits_for_record());
    assert_eq!(uses(&somebody), (Vec::new(), 2, 2));
}

#[test]
fn whether_somebody_may_act_at_all_uses_nothing_and_stops_the_rest() {
    let mut world = world();
    let outcome = |world: &World| {
        let brief = Brief::of(&world.state, &actor("x"), &|_| None).expect("an actor");
        let decision = Box::new(standing(&brief));
        Considered { outcome: Outcome::Standing(Arc::new(brief), decision), confirms: false }
    };
    let Together(mut all) = together(&world, &[("counted", 1)], false);
    all.push(outcome(&world));
    assert_eq!(uses(&Together(all)), (Vec::new(), 1, 1));
    let Together(mut all) = together(&world, &[("counted", 1)], false);
    world.ok(Command::QuarantineActor { actor: actor("x"), reason: None });
    all.push(outcome(&world));
    assert_eq!(uses(&Together(all)), (Vec::new(), 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is done together is there, all of it; and each is allowed exactly if it is after those before it were done.
    #[test]
    fn what_is_decided_together_is_what_is_decided_one_after_the_other(
        wanted in prop::collection::vec((prop::sample::select(vec!["list", "counted", "logged", "confirmed"]), 0i64..7), 1..8),
    ) {
        let mut world = world();
        let all = together(&world, &wanted, true);
        if all.is_done() {
            let mut world = self::world();
            let used = world.run(Command::Use { uses: all.uses() });
            prop_assert!(used.is_ok(), "{:?}", used);
        }
        let allowed: Vec<_> = all.answers(0).into_iter().map(|answer| answer.allowed).collect();
        for (wanted, allowed) in wanted.iter().zip(allowed) {
            let one = together(&world, std::slice::from_ref(wanted), true);
            prop_assert_eq!(one.is_done(), allowed, "{:?}", wanted);
            if allowed {
                let used = world.run(Command::Use { uses: one.uses() });
                prop_assert!(used.is_ok(), "{:?}", used);
            }
        }
    }
}
