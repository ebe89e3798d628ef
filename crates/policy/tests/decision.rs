//! What each layer says, and that the explanation is true.

use crate::world::{World, actor, child_of, class, of, permission, permissions, user};
use credence_model::class::permissions::AttributeType;
use credence_model::command::{Command, Use};
use credence_model::delegation::{Grantee, Grantor, Terms};
use credence_model::lineage::Lineage;
use credence_policy::decision::Decision;
use credence_policy::verdict::Layer;
use serde_json::json;

const SUBMIT: &str = "tool expenses/submit when amount <= 500 EUR";

/// A class that may submit up to 500; Ada delegates up to 200 to `ada-1`, and Bob's `bob-1` has nothing.
fn world() -> World {
    let mut world = World::new();
    let mut permissions = permissions(&[SUBMIT, "tool expenses/list"]);
    permissions.delegation.required = true;
    permissions.spawn.max_depth = 2;
    world.permit(permissions);
    world.spawn("ada-1", of("ada"));
    world.spawn("bob-1", of("bob"));
    let terms = world.terms(&["tool expenses/submit when amount <= 200 EUR"]);
    world.grant(Grantor::User(user("ada")), Grantee::Actor(actor("ada-1")), terms);
    world
}

fn denied(decision: &Decision) -> Vec<(String, Layer)> {
    decision.denials().map(|verdict| (verdict.actor.actor.to_string(), verdict.layer)).collect()
}

#[test]
fn each_layer_denies_on_its_own_and_says_so() {
    let world = world();
    assert!(world.submit("ada-1", 150).allowed);
    let beyond_the_user = world.submit("ada-1", 300);
    assert_eq!(denied(&beyond_the_user), [("ada-1".into(), Layer::Delegation)]);
    let why = &beyond_the_user.denials().next().unwrap().why;
    assert!(why.contains("ada of https://idp.example delegated allows `tool expenses/submit when amount <= 200 EUR`, and `amount` is 300"), "{why}");
    let beyond_the_class = world.submit("ada-1", 600);
    let layers = denied(&beyond_the_class);
    assert_eq!(layers, [("ada-1".into(), Layer::Class), ("ada-1".into(), Layer::Delegation)]);
    assert_eq!(denied(&world.submit("bob-1", 1)), [("bob-1".into(), Layer::Delegation)], "another user's");
}

#[test]
fn what_is_missing_is_the_smallest_grant_and_who_could_give_it() {
    let world = world();
    let missing = |decision: &Decision| decision.denials().next().unwrap().missing.clone().unwrap();
    let of_user = missing(&world.submit("ada-1", 300));
    assert_eq!(of_user.permission.to_string(), "tool expenses/submit when amount <= 300 EUR");
    assert_eq!(of_user.who, "ada of https://idp.example");
    let of_class = missing(&world.submit("ada-1", 600));
    assert_eq!(of_class.permission.to_string(), "tool expenses/submit when amount <= 600 EUR");
    assert_eq!(of_class.who, "the owner of class finance/expenses (finance@example.org), by a new revision");
    let unknown = world.ask("ada-1", &world.question("read report/2026", &json!({})));
    assert_eq!(missing(&unknown).permission.to_string(), "read report/2026");
    let silent = world.ask("ada-1", &world.question("call tool/expenses/submit", &json!({ "amount": "300" })));
    let verdict = silent.denials().next().unwrap();
    assert!(
        verdict.missing.is_none() && verdict.why.contains("`amount` of the request is not what can be compared"),
        "{verdict:?}"
    );
}

#[test]
fn a_child_may_do_no_more_than_its_parent_at_this_moment() {
    let mut world = world();
    world.spawn("child", child_of("ada-1"));
    assert_eq!(denied(&world.submit("child", 100)), [("child".into(), Layer::Delegation)], "nothing comes by itself");
    let by_parent = Grantor::Actor(actor("ada-1"));
    let terms = world.terms(&[SUBMIT]);
    world.grant(by_parent, Grantee::Actor(actor("child")), terms);
    assert!(world.submit("child", 150).allowed);
    assert_eq!(denied(&world.submit("child", 300)), [("ada-1".into(), Layer::Delegation)]);
    let of_ada = Grantor::User(user("ada"));
    let id = world.state.delegations.granted_by(&of_ada).next().unwrap().id;
    let narrower = Terms {
        allow: vec![permission("tool expenses/submit when amount <= 100 EUR")],
        ..world.state.delegations.get(&id).unwrap().terms
    };
    world.ok(Command::NarrowDelegation { delegation: id, of: None, terms: narrower });
    assert!(!world.submit("child", 150).allowed && world.submit("child", 100).allowed);
    world.spawn("grandchild", child_of("child"));
    let terms = world.terms(&["tool expenses/**"]);
    world.grant(Grantor::Actor(actor("child")), Grantee::Actor(actor("grandchild")), terms);
    assert!(world.submit("grandchild", 100).allowed);
    world.ok(Command::TerminateActor { actor: actor("ada-1"), reason: None });
    assert_eq!(denied(&world.submit("grandchild", 100)), [("ada-1".into(), Layer::Standing)]);
    world.ok(Command::DeleteActor { actor: actor("ada-1") });
    let decision = world.submit("grandchild", 100);
    assert_eq!(decision.denials().next().unwrap().why, "actor finance/ada-1 was deleted");
}

#[test]
fn a_session_and_a_class_wide_grant_reach_only_that_users_actors() {
    let mut world = world();
    let session = |session: &str| Lineage { session: Some(session.into()), ..of("ada") };
    world.spawn("s-1", session("one"));
    world.spawn("s-2", session("two"));
    let terms = Terms { session: Some("one".into()), ..world.terms(&[SUBMIT]) };
    world.grant(Grantor::User(user("ada")), Grantee::Class(class()), terms);
    assert!(world.submit("s-1", 400).allowed);
    for id in ["s-2", "bob-1"] {
        assert_eq!(denied(&world.submit(id, 1)), [(id.to_owned(), Layer::Delegation)]);
    }
    assert!(!world.submit("ada-1", 400).allowed, "it is of no session");
}

#[test]
fn a_copy_of_an_actor_has_nothing_of_its_delegations() {
    let mut world = world();
    world.spawn("copy", Lineage { forked_from: Some(actor("ada-1")), ..of("ada") });
    assert_eq!(denied(&world.submit("copy", 100)), [("copy".into(), Layer::Delegation)]);
    world.spawn("own", Lineage::default());
    let decision = world.submit("own", 100);
    assert!(decision.denials().next().unwrap().why.ends_with("acts for nobody, and its class acts only for users"));
}

#[test]
fn an_actor_of_nobody_acts_for_itself_only_if_its_class_lets_it() {
    let mut world = World::new();
    world.permit(permissions(&[SUBMIT]));
    world.spawn("own", Lineage::default());
    world.spawn("ada-1", of("ada"));
    assert!(world.submit("own", 500).allowed);
    assert!(!world.submit("ada-1", 500).allowed, "whoever acts for somebody does what that one delegated");
}

#[test]
fn a_wider_revision_changes_nothing_before_its_consent_and_a_narrower_one_at_once() {
    let mut world = World::new();
    world.permit(permissions(&[SUBMIT]));
    world.spawn("a", Lineage::default());
    world.revise(permissions(&["tool expenses/submit when amount <= 900 EUR"]));
    assert!(!world.submit("a", 600).allowed && world.submit("a", 500).allowed);
    let only = vec![permission("tool expenses/submit when amount <= 700 EUR")];
    world.ok(Command::ConsentRevision { class: class(), revision: None, only });
    assert!(world.submit("a", 700).allowed);
    assert_eq!(denied(&world.submit("a", 800)), [("a".into(), Layer::Consent)]);
    world.revise(permissions(&["tool expenses/submit when amount <= 10 EUR"]));
    assert!(!world.submit("a", 11).allowed && world.submit("a", 10).allowed);
    world.ok(Command::EnableClass { class: class(), revision: None, enabled: false });
    assert_eq!(denied(&world.submit("a", 1)), [("a".into(), Layer::Standing)]);
}

#[test]
fn what_is_forbidden_is_denied_and_what_cannot_be_told_is_held_against_the_request() {
    let mut world = World::new();
    let mut permissions = permissions(&["tool expenses/*"]);
    permissions.forbid = vec![permission("tool expenses/submit when amount > 500 EUR and draft = false")];
    world.permit(permissions);
    world.spawn("a", Lineage::default());
    for (context, allowed) in [
        (json!({ "amount": 600, "currency": "EUR", "draft": false }), false),
        (json!({ "amount": 500, "currency": "EUR", "draft": false }), true),
        (json!({ "amount": 600, "currency": "EUR", "draft": true }), true),
        (json!({ "amount": 600, "currency": "USD", "draft": false }), false),
        (json!({ "amount": "500", "currency": "EUR", "draft": false }), false),
        (json!({ "amount": 500, "currency": "EUR" }), true),
        (json!({}), false),
    ] {
        let decision = world.ask("a", &world.question("call tool/expenses/submit", &context));
        assert_eq!(decision.allowed, allowed, "{context}: {decision:?}");
    }
}

#[test]
fn duties_come_with_what_allows_and_the_fewest_are_taken() {
    let mut world = World::new();
    world.permit(permissions(&["tool a/* with step-up, log", "tool a/b with log"]));
    world.spawn("x", Lineage::default());
    let duties = |what: &str| world.ask("x", &world.question(what, &json!({}))).obligations;
    assert_eq!(duties("call tool/a/b"), ["log"]);
    assert_eq!(duties("call tool/a/c"), ["log", "step-up"]);
    assert!(duties("call tool/b/c").is_empty());
}

#[test]
fn budgets_and_uses_are_counted_and_then_deny() {
    let mut world = World::new();
    world.permit(permissions(&["tool expenses/submit with budget 500 EUR per day"]));
    world.spawn("a", of("ada"));
    world.spawn("b", of("ada"));
    let terms = Terms { uses: Some(4), ..world.terms(&["tool expenses/**"]) };
    world.grant(Grantor::User(user("ada")), Grantee::Class(class()), terms);
    assert!(world.really_submit("a", 300) && !world.really_submit("a", 201) && world.really_submit("a", 200));
    let decision = world.submit("a", 1);
    assert_eq!(denied(&decision), [("a".into(), Layer::Budget)]);
    assert!(decision.denials().next().unwrap().why.starts_with("500 of 500 are used up of"), "{decision:?}");
    assert!(world.really_submit("b", 500), "each actor has its own");
    world.now = world.now.plus_secs(86_400 - 100);
    let again = world.terms(&["tool expenses/**"]);
    world.grant(Grantor::User(user("ada")), Grantee::Class(class()), again);
    assert!(world.really_submit("a", 500), "a new day");
    let silent =
        world.ask("b", &world.question("call tool/expenses/submit", &json!({ "amount": -5, "currency": "EUR" })));
    assert_eq!(denied(&silent), [("b".into(), Layer::Budget)], "what cannot be counted is not allowed");
}

#[test]
fn uses_are_exact() {
    let mut world = World::new();
    world.permit(permissions(&["tool expenses/**"]));
    world.spawn("a", of("ada"));
    let terms = Terms { uses: Some(2), ..world.terms(&["tool expenses/**"]) };
    world.grant(Grantor::User(user("ada")), Grantee::Actor(actor("a")), terms);
    let first = world.submit("a", 1);
    assert!(world.really_submit("a", 1) && world.really_submit("a", 1) && !world.really_submit("a", 1));
    let late = Use { actor: actor("a"), decided: None, delegations: first.using.delegations, budgets: Vec::new() };
    world.run(Command::Use { uses: vec![late] }).expect_err("a decision counts once what it uses is recorded");
    let decision = world.submit("a", 1);
    assert!(decision.denials().next().unwrap().why.ends_with("it was used as often as it may be"), "{decision:?}");
}

#[test]
fn a_class_that_is_deleted_and_a_delegation_that_is_over_deny() {
    let mut world = world();
    let changes = credence_policy::decision::changes_at(
        &credence_policy::brief::Brief::of(&world.state, &actor("ada-1"), &|_| None).unwrap(),
        world.now,
    );
    assert!(changes.is_some_and(|at| at > world.now && at <= world.now.plus_secs(3600)));
    world.now = world.now.plus_secs(3600);
    let decision = world.submit("ada-1", 1);
    assert!(decision.denials().next().unwrap().why.ends_with(": it is over"), "{decision:?}");
}

/// What the short form cannot say, in Cedar; both count, and whatever cannot be evaluated denies.
#[test]
fn cedar_policies_permit_and_forbid_beside_the_short_form() {
    let mut world = World::new();
    let mut both = permissions(&["tool expenses/list"]);
    both.cedar = r#"
        @id("small or approved") @obligation("log")
        permit (principal, action == Action::"call", resource == Resource::"tool/expenses/submit")
        when { context has amount && (context.amount <= 100 || (context has approved && context.approved)) };

        @id("never at night")
        forbid (principal, action, resource) when { context.time < 360 };
    "#
    .into();
    both.attributes =
        [("amount".to_owned(), AttributeType::Integer), ("approved".to_owned(), AttributeType::Boolean)].into();
    world.permit(both);
    world.spawn("a", Lineage::default());
    let ask = |world: &World, context: serde_json::Value| {
        world.ask("a", &world.question("call tool/expenses/submit", &context))
    };
    let allowed = ask(&world, json!({ "amount": 100 }));
    assert_eq!((allowed.allowed, allowed.obligations.clone()), (true, vec!["log".to_owned()]), "{allowed:?}");
    assert!(allowed.layers.iter().any(|verdict| verdict.why.ends_with("allows `policy small or approved`")));
    assert!(ask(&world, json!({ "amount": 900, "approved": true })).allowed);
    assert!(!ask(&world, json!({ "amount": 900 })).allowed && !ask(&world, json!({})).allowed);
    let confused = ask(&world, json!({ "amount": "100" }));
    let why = &confused.denials().next().unwrap().why;
    assert!(
        why.contains("`amount` is not of the type that the class declares") && why.contains("small or approved"),
        "{why}"
    );
    world.now = world.now.plus_secs(16 * 3600);
    let night = world.ask("a", &world.question("call tool/expenses/list", &json!({})));
    assert!(night.denials().next().unwrap().why.starts_with("it is forbidden by policy `never at night`"), "{night:?}");
    world.now = world.now.plus_secs(8 * 3600);
    assert!(world.ask("a", &world.question("call tool/expenses/list", &json!({}))).allowed);
    world.compiled.clear();
    let brief = credence_policy::brief::Brief::of(&world.state, &actor("a"), &|_| None).unwrap();
    assert_eq!(brief.uncompiled().len(), 1);
    let decision = world.ask("a", &world.question("call tool/expenses/list", &json!({})));
    assert!(decision.denials().next().unwrap().why.starts_with("the Cedar policies are not compiled"), "{decision:?}");
}

#[test]
fn a_class_that_is_made_anew_under_the_same_name_has_nothing_that_was_delegated_to_the_old_one() {
    let mut world = World::new();
    world.permit(permissions(&["tool expenses/submit when amount <= 5"]));
    let terms = world.terms(&["tool **"]);
    world.grant(Grantor::User(user("ada")), Grantee::Class(class()), terms.clone());
    world.ok(Command::DeleteClass { class: class() });
    world.permit(permissions(&["tool **"]));
    world.spawn("a", of("ada"));
    assert_eq!(denied(&world.submit("a", 1)), [("a".into(), Layer::Delegation)]);
    world.grant(Grantor::User(user("ada")), Grantee::Class(class()), terms);
    assert!(world.submit("a", 1).allowed);
}

#[test]
fn narrowing_gives_nothing_anew_that_was_used_up() {
    let mut world = World::new();
    world.permit(permissions(&["tool expenses/*"]));
    world.spawn("a", of("ada"));
    let old = world.terms(&["tool expenses/* with budget 500 EUR per day"]);
    let id = world.grant(Grantor::User(user("ada")), Grantee::Actor(actor("a")), old.clone());
    assert!(world.really_submit("a", 300));
    let narrower = Terms { allow: vec![permission("tool expenses/submit with budget 400 EUR per day")], ..old };
    world.ok(Command::NarrowDelegation { delegation: id, of: None, terms: narrower });
    assert!(!world.submit("a", 101).allowed && world.submit("a", 100).allowed);
}

#[test]
fn of_several_words_one_is_enough_for_what_forbids() {
    let mut world = World::new();
    let mut permissions = permissions(&["tool pay/send"]);
    permissions.forbid =
        ["tool pay/send when account = evil", "tool pay/send when region not in (eu)"].map(permission).into();
    world.permit(permissions);
    world.spawn("a", Lineage::default());
    let may = |said: serde_json::Value| world.ask("a", &world.question("call tool/pay/send", &said)).allowed;
    for (account, region, allowed) in [
        (json!("good"), json!("eu"), true),
        (json!(["good", "better"]), json!(["eu"]), true),
        (json!(["good", "evil"]), json!("eu"), false),
        (json!("good"), json!(["eu", "us"]), false),
        (json!(["evil"]), json!(["us"]), false),
        (json!("good"), json!([]), false),
    ] {
        assert_eq!(may(json!({ "account": account, "region": region })), allowed, "{account} {region}");
    }
}

#[test]
fn nobody_is_said_to_grant_what_no_permission_can_say() {
    let mut world = World::new();
    world.permit(permissions(&["tool pay/send when team = finance"]));
    world.spawn("a", Lineage::default());
    let long = "x".repeat(300);
    let many: Vec<_> = (0..40).map(|nth| format!("team-{nth}")).collect();
    for team in [json!(long), json!(many), json!("two\nlines")] {
        let denied = world.ask("a", &world.question("call tool/pay/send", &json!({ "team": team })));
        let verdict = denied.denials().next().unwrap();
        assert_eq!(verdict.missing, None, "{}", verdict.why);
        let written = serde_json::to_string(verdict).unwrap();
        let read: credence_policy::verdict::Verdict = serde_json::from_str(&written).unwrap();
        assert_eq!(read, *verdict, "what is told can be read");
    }
}
