//! What the owners of a resource say, and whose budget is used up.

use crate::world::{World, actor, child_of, class, of, permission, permissions, user};
use credence_model::command::Command;
use credence_model::delegation::{Grantee, Grantor};
use credence_model::guard::GuardSpec;
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_policy::verdict::{Layer, Verdict};
use serde_json::json;

impl World {
    fn guard(&mut self, name: &str, resource: &str, allow: &[&str], forbid: &[&str]) {
        let spec = GuardSpec {
            owner: "tools@example.org".into(),
            description: String::new(),
            resource: resource.parse().unwrap(),
            allow: allow.iter().map(|line| permission(line)).collect(),
            forbid: forbid.iter().map(|line| permission(line)).collect(),
        };
        let guard = name.parse().unwrap();
        self.ok(Command::ApplyGuard { guard, labels: Labels::new(), spec, if_version: None });
    }

    /// The verdicts of guards about an expense.
    fn guards(&self, id: &str) -> Vec<Verdict> {
        self.submit(id, 10).layers.into_iter().filter(|verdict| verdict.layer == Layer::Guard).collect()
    }
}

/// Ada's actor `a` with a child `b`, which may submit whatever they like, as far as their class, Ada and `a` are concerned.
fn world() -> World {
    let mut world = World::new();
    world.permit(permissions(&["tool **"]));
    world.spawn("a", of("ada"));
    world.spawn("b", child_of("a"));
    let terms = world.terms(&["tool **"]);
    world.grant(Grantor::User(user("ada")), Grantee::Actor(actor("a")), terms.clone());
    world.grant(Grantor::Actor(actor("a")), Grantee::Actor(actor("b")), terms);
    world
}

#[test]
fn a_guard_denies_on_its_own_and_says_which_line_and_who_could_change_it() {
    let mut world = world();
    assert!(world.submit("a", 10).allowed && world.guards("a").is_empty(), "nobody guards it");
    world.guard("tools/expenses", "tool/expenses/**", &["tool expenses/* when amount <= 5 EUR"], &[]);
    let denied = &world.guards("a")[0];
    assert!(!denied.allowed);
    assert_eq!(
        denied.why,
        "guard tools/expenses of tools@example.org allows `tool expenses/* when amount <= 5 EUR`, and `amount` is 10"
    );
    let missing = denied.missing.clone().unwrap();
    assert_eq!(missing.permission.to_string(), "tool expenses/submit when amount <= 10 EUR");
    assert_eq!(missing.who, "the owner of guard tools/expenses (tools@example.org)");
    world.guard("tools/expenses", "tool/expenses/**", &["tool expenses/submit when actor.class = finance/other"], &[]);
    let missing = world.guards("a")[0].missing.clone().unwrap();
    assert_eq!(missing.permission.to_string(), "tool expenses/submit when actor.class = finance/expenses");
    world.guard(
        "tools/expenses",
        "tool/expenses/**",
        &["tool expenses/*"],
        &["tool expenses/submit when actor.class = finance/expenses"],
    );
    let denied = &world.guards("a")[0];
    assert!(
        denied.why.contains("forbids `tool expenses/submit when actor.class = finance/expenses`"),
        "{}",
        denied.why
    );
    assert_eq!(denied.missing, None, "what is forbidden nobody grants");
    world.guard("tools/expenses", "tool/expenses/**", &[], &[]);
    assert!(world.guards("a")[0].why.contains("does not allow `tool expenses/submit`"));
    assert!(world.ask("a", &world.question("call tool/other/submit", &json!({}))).allowed, "it covers nothing else");
    world.ok(Command::DeleteGuard { guard: "tools/expenses".parse().unwrap() });
    assert!(world.submit("a", 10).allowed);
}

#[test]
fn of_several_guards_each_counts() {
    let mut world = world();
    world.guard("tools/all", "tool/**", &["* tool/**"], &[]);
    world.guard("tools/one", "tool/expenses/submit", &["tool expenses/submit when actor.id = finance/b"], &[]);
    assert_eq!(world.guards("a").iter().map(|verdict| verdict.allowed).collect::<Vec<_>>(), [true, false]);
    assert!(world.submit("b", 10).allowed);
    world.guard("evil/all", "tool/expenses/*", &["tool expenses/*"], &[]);
    assert!(!world.submit("a", 10).allowed, "another guard lifts nothing");
}

#[test]
fn an_owner_looks_at_who_calls_and_what_it_forbids_it_forbids_through_others_too() {
    let mut world = world();
    world.guard("tools/expenses", "tool/expenses/**", &["tool expenses/* when actor.id = finance/b"], &[]);
    assert!(!world.submit("a", 10).allowed);
    assert!(world.submit("b", 10).allowed, "its parent does not touch the resource");
    let forbid = ["tool expenses/* when actor.id = finance/a"];
    world.guard("tools/expenses", "tool/expenses/**", &["tool expenses/*"], &forbid);
    let verdicts = world.guards("b");
    let of: Vec<_> = verdicts.iter().map(|verdict| (verdict.actor.actor.to_string(), verdict.allowed)).collect();
    assert_eq!(of, [("b".into(), true), ("a".into(), false)]);
    assert!(!world.submit("b", 10).allowed);
}

#[test]
fn what_is_not_known_of_an_actor_is_held_against_it() {
    let mut world = world();
    world.spawn("nobody", Lineage::default());
    let ada = "actor.user = ada and actor.issuer = https://idp.example";
    world.guard("tools/expenses", "tool/expenses/**", &[&format!("tool expenses/* when {ada}")], &[]);
    assert!(world.submit("a", 10).allowed && world.submit("b", 10).allowed, "a child acts for whom its parent acts");
    let denied = &world.guards("nobody")[0];
    assert!(denied.why.contains("nothing is known of `actor.user`") && denied.missing.is_none(), "{denied:?}");
    world.guard("tools/expenses", "tool/expenses/**", &["tool expenses/*"], &["tool expenses/* when actor.user = eve"]);
    assert!(world.submit("a", 10).allowed);
    assert!(!world.submit("nobody", 10).allowed, "it may be eve's");
}

#[test]
fn a_request_does_not_say_who_it_is() {
    let mut world = world();
    world.guard("tools/expenses", "tool/expenses/**", &["tool expenses/* when actor.class = finance/boss"], &[]);
    for lie in [
        json!({ "actor": { "class": "finance/boss" } }),
        json!({ "actor.class": "finance/boss" }),
        json!({ "actor": "finance/boss", "class": "finance/boss", "principal": { "class": "finance/boss" } }),
    ] {
        let mut question = world.question("call tool/expenses/submit", &lie);
        question.properties = question.context.clone();
        assert!(!world.ask("a", &question).allowed, "{lie}");
    }
}

#[test]
fn an_owners_duties_and_budgets_come_with_what_it_allows() {
    let mut world = world();
    let line = "tool expenses/submit with budget 15 EUR per day, log, step-up";
    world.guard("tools/expenses", "tool/expenses/**", &[line], &[]);
    assert_eq!(world.submit("a", 10).obligations, ["budget 15 EUR per day", "log", "step-up"]);
    assert!(world.really_submit("a", 10));
    let short = world.submit("a", 10);
    let denials: Vec<_> = short.denials().map(|verdict| verdict.layer).collect();
    assert_eq!(denials, [Layer::Budget]);
    assert!(world.really_submit("b", 10), "each actor has its own");
    // Narrower, or made anew under the same name: what was used up stays so.
    world.ok(Command::DeleteGuard { guard: "tools/expenses".parse().unwrap() });
    world.guard("tools/expenses", "tool/**", &["tool expenses/* with budget 15 EUR per day"], &[]);
    assert!(!world.really_submit("a", 10) && world.really_submit("a", 5));
    // Another guard, and a class of the same name as the guard, count for themselves.
    world.guard("tools/more", "tool/**", &["tool expenses/* with budget 5 EUR per day"], &[]);
    assert!(world.really_submit("b", 5) && !world.really_submit("b", 5));
}

#[test]
fn what_a_child_uses_up_is_used_up_of_its_parents_budget() {
    let mut world = World::new();
    world.permit(permissions(&["tool ** with budget 30 EUR per day"]));
    world.spawn("a", Lineage::default());
    for child in ["b", "c"] {
        world.spawn(child, child_of("a"));
        let terms = world.terms(&["tool **"]);
        world.grant(Grantor::Actor(actor("a")), Grantee::Actor(actor(child)), terms);
    }
    assert!(world.really_submit("b", 10) && world.really_submit("c", 10));
    let beyond = world.submit("c", 20);
    let denials: Vec<_> = beyond.denials().map(|verdict| (verdict.actor.actor.to_string(), verdict.layer)).collect();
    assert_eq!(denials, [("a".into(), Layer::Budget)], "its own has 20 left");
    assert!(world.really_submit("a", 10) && !world.submit("b", 1).allowed);
}

#[test]
fn what_a_class_and_the_consent_to_it_count_is_counted_once() {
    let mut world = World::new();
    let line = "tool ** with budget 2 calls per day";
    world.revise(permissions(&[line]));
    world.ok(Command::ConsentRevision { class: class(), revision: None, only: vec![permission(line)] });
    world.spawn("a", Lineage::default());
    assert!(world.really_submit("a", 1) && world.really_submit("a", 1) && !world.really_submit("a", 1));
}
