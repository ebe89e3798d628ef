//! Guards: who an actor is to an owner's conditions, what is no guard, and that all that cover a resource are found.

use crate::permission::{Asker, asker, permission, question};
use crate::world::World;
use credence_model::class::permissions::Permissions;
use credence_model::command::{Answer, Command};
use credence_model::guard::{GUARDS_MAX, GuardSpec, LINES_BYTES_MAX, LINES_MAX, OVERLAPPING_MAX};
use credence_model::guards::Guards;
use credence_model::id::GuardRef;
use credence_model::label::Labels;
use credence_model::permission::question::{Match, Why};
use credence_model::permission::resources::Resources;
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::Kind;
use credence_model::state::State;
use credence_model::user::User;
use proptest::prelude::{Strategy, any, proptest};
use proptest::{collection, prop_assert_eq, sample};
use serde_json::json;

fn spec(resource: &str, allow: &[&str], forbid: &[&str]) -> GuardSpec {
    GuardSpec {
        owner: "expenses@example.org".into(),
        description: String::new(),
        resource: resource.parse().unwrap(),
        allow: allow.iter().map(|line| permission(line)).collect(),
        forbid: forbid.iter().map(|line| permission(line)).collect(),
    }
}

fn name(text: &str) -> GuardRef {
    text.parse().unwrap()
}

fn apply(guard: &str, spec: GuardSpec) -> Command {
    Command::ApplyGuard { guard: name(guard), labels: Labels::new(), spec, if_version: None }
}

fn of_ada() -> Asker {
    let user = User { issuer: "https://idp.example".into(), subject: "ada@example.org".into() };
    Asker { user: Some(user), labels: Labels::from([("env".into(), "prod".into())]), ..asker() }
}

#[test]
fn who_an_actor_is_comes_from_the_registry_and_never_from_what_it_says() {
    let ada = of_ada();
    // What the request says of itself under the same path, in its context and of the resource.
    let lie = json!({ "actor": { "class": "finance/boss", "id": "finance/boss", "namespace": "boss", "user": "root" },
        "label": { "env": "boss" }, "label env": "boss", "actor.class": "finance/boss" });
    let mut asked = question("call tool/expenses/submit", lie);
    asked.properties = asked.context.clone();
    for (condition, holds) in [
        ("actor.class = finance/expense-agent", true),
        ("actor.class = finance/boss", false),
        ("actor.class = finance/Expense-agent", false),
        ("actor.class = expense-agent", false),
        ("actor.class != finance/boss", true),
        ("actor.id in (finance/a-1, finance/a-2)", true),
        ("actor.id = a-1", false),
        ("actor.id = finance/boss", false),
        ("actor.namespace = finance", true),
        ("actor.namespace = \"finance \"", false),
        ("actor.user = ada@example.org and actor.issuer = https://idp.example", true),
        ("actor.user = ada@example.org and actor.issuer = https://idp.example.evil", false),
        ("actor.user = root", false),
        ("label env = prod", true),
        ("label env = boss", false),
        // A member of the context that nothing stops anybody from saying.
        ("actor = boss", false),
    ] {
        let line = permission(&format!("tool expenses/submit when {condition}"));
        assert_eq!(line.answers(&asked, &ada.principal()) == Match::Holds, holds, "{condition}");
    }
}

#[test]
fn of_an_actor_that_acts_for_nobody_no_user_is_known() {
    let (asked, nobody) = (question("call tool/a/b", json!({ "actor": { "user": "ada" } })), asker());
    for condition in ["actor.user = ada", "actor.user != ada", "actor.issuer not in (x)", "actor.clas = x"] {
        let line = permission(&format!("tool a/b when {condition}"));
        let Match::Unmet(unmet) = line.answers(&asked, &nobody.principal()) else { unreachable!("{condition}") };
        assert_eq!(unmet[0].why, Why::Missing, "{condition}");
    }
    let line = permission("tool a/b when actor.id > 5");
    let Match::Unmet(unmet) = line.answers(&asked, &nobody.principal()) else { unreachable!() };
    assert_eq!(unmet[0].why, Why::Type);
}

#[test]
fn what_is_no_guard_is_refused_and_the_field_named() {
    let long: Vec<_> = (0..LINES_MAX).map(|nth| format!("tool a/b when x = {}", "y".repeat(180 + nth))).collect();
    let long: Vec<_> = long.iter().map(String::as_str).cycle().take(LINES_MAX).collect();
    assert!(long.iter().chain(&long).map(|line| line.len()).sum::<usize>() > LINES_BYTES_MAX);
    let many = ["tool a/b"; LINES_MAX + 1];
    let nobody = GuardSpec { owner: " ".into(), ..spec("tool/a/**", &[], &[]) };
    let two_lines = GuardSpec { owner: "a\nb".into(), ..spec("tool/a/**", &[], &[]) };
    for (spec, field, words) in [
        (nobody, "spec.owner", "every guard has an owner"),
        (two_lines, "spec.owner", "it is one line"),
        (spec("tool/a/**", &many, &[]), "spec.allow", "more than 64 lines"),
        (spec("tool/a/**", &[], &many), "spec.forbid", "more than 64 lines"),
        (spec("tool/a/**", &long, &long), "spec.allow", "longer than 16384 bytes"),
        (spec("tool/a/**", &["tool a/b", "tool b/b"], &[]), "spec.allow[1]", "it reaches beyond tool/a/**"),
        (spec("tool/a/**", &[], &["tool **"]), "spec.forbid[0]", "it reaches beyond tool/a/**"),
        (spec("tool/a/*", &["* tool/a/**"], &[]), "spec.allow[0]", "it reaches beyond tool/a/*"),
        (spec("tool/a/**", &["model a/b"], &[]), "spec.allow[0]", "it reaches beyond tool/a/**"),
        (spec("tool/a/**", &[], &["tool a/b with log"]), "spec.forbid[0]", "what is forbidden has no obligations"),
        (
            spec("tool/a/**", &["tool a/b when actor.clas = n/c"], &[]),
            "spec.allow[0]",
            "`actor.clas` is nothing that is known",
        ),
        (spec("tool/a/**", &[], &["tool a/b when actor.Class = n/c"]), "spec.forbid[0]", "`actor.Class` is nothing"),
        (
            spec("tool/a/**", &["tool a/b when actor.user = ada"], &[]),
            "spec.allow[0]",
            "another issuer may have a user of the same",
        ),
    ] {
        let mut world = World::furnished();
        let before = world.state.clone();
        let refusal = world.run(apply("finance/expenses", spec)).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Malformed, Some(field)), "{refusal}");
        assert!(refusal.to_string().contains(words), "{refusal}");
        assert!(world.state == before);
    }
}

#[test]
fn the_same_is_asked_of_what_a_class_allows() {
    for (allow, forbid, field) in [
        ("tool a/b when actor.user = ada", "tool a/c", "spec.permissions.allow[0]"),
        ("tool a/b", "tool a/c when actor.name = x", "spec.permissions.forbid[0]"),
    ] {
        let mut spec = crate::world::spec();
        let (allow, forbid) = (vec![permission(allow)], vec![permission(forbid)]);
        spec.permissions = Permissions { allow, forbid, ..Permissions::default() };
        let refusal = World::furnished().run(crate::world::apply_class(spec)).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some(field));
    }
}

#[test]
fn a_guard_is_created_changed_and_deleted_with_its_version() {
    let mut world = World::furnished();
    let open = spec("tool/expenses/**", &["tool expenses/*"], &[]);
    let created = world.ok(apply("finance/expenses", open.clone()));
    let Answer::Applied { version, revision: 0, changed: true } = created else { unreachable!("{created:?}") };
    assert_eq!(world.state.guards.get(&name("finance/expenses")).unwrap().version, version);
    let again = world.ok(apply("finance/expenses", open.clone()));
    assert_eq!(again, Answer::Applied { version, revision: 0, changed: false });
    let with_version = |if_version| Command::ApplyGuard {
        guard: name("finance/expenses"),
        labels: Labels::new(),
        spec: spec("model/x/**", &[], &[]),
        if_version,
    };
    for wrong in [0, version + 1] {
        assert_eq!(world.run(with_version(Some(wrong))).unwrap_err().kind, Kind::Conflict);
    }
    let created_at = world.state.guards.get(&name("finance/expenses")).unwrap().created_at;
    world.pass_ms(5);
    world.ok(with_version(Some(version)));
    let found = world.state.guards.get(&name("finance/expenses")).unwrap();
    assert_eq!((found.created_at, found.spec.resource.as_str()), (created_at, "model/x/**"));
    assert_eq!(covering(&world.state.guards, "tool/expenses/submit"), [""; 0], "it moved");
    assert_eq!(covering(&world.state.guards, "model/x/y"), ["finance/expenses"]);
    let read = State::decode(&world.state.encode().unwrap()).unwrap();
    assert!(read == world.state, "with what finds it");
    world.ok(Command::DeleteGuard { guard: name("finance/expenses") });
    assert!(world.state.guards == Guards::default(), "nothing is left of it");
    let refusal = world.run(Command::DeleteGuard { guard: name("finance/expenses") }).unwrap_err();
    assert_eq!((refusal.kind, refusal.to_string().as_str()), (Kind::NotFound, "there is no guard finance/expenses"));
}

#[test]
fn so_many_guards_cover_one_resource_and_so_many_there_are() {
    let mut world = World::furnished();
    for nth in 0..OVERLAPPING_MAX {
        let resource = ["tool/**", "tool/a/**", "tool/a/b"][nth % 3];
        world.ok(apply(&format!("finance/g-{nth}"), spec(resource, &[], &[])));
    }
    for resource in ["tool/a/b", "tool/*/b", "tool/**"] {
        let refusal = world.run(apply("finance/more", spec(resource, &[], &[]))).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Limited, Some("spec.resource")), "{refusal}");
    }
    world.ok(apply("finance/g-0", spec("tool/a/**", &[], &[])));
    for nth in OVERLAPPING_MAX..GUARDS_MAX {
        world.ok(apply(&format!("finance/g-{nth}"), spec(&format!("model/p-{nth}/*"), &[], &[])));
    }
    let refusal = world.run(apply("finance/more", spec("model/x/y", &[], &[]))).unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.to_string().as_str()),
        (Kind::Limited, "there are 1000 guards already. Write what several of one owner say into one")
    );
    world.ok(apply("finance/g-999", spec("model/x/y", &[], &[])));
}

fn resource(text: &str) -> Resource {
    let (kind, id) = text.split_once('/').unwrap();
    Resource::new(Name::parse(kind).unwrap(), id).unwrap()
}

fn covering(guards: &Guards, text: &str) -> Vec<String> {
    let mut found: Vec<_> = guards.covering(&resource(text)).map(|guard| guard.guard.to_string()).collect();
    found.sort();
    found
}

fn patterns() -> impl Strategy<Value = String> {
    let (kind, segment) = (sample::select(vec!["tool", "host"]), sample::select(vec!["a", "b", "*"]));
    (kind, collection::vec(segment, 1..4), any::<bool>()).prop_map(|(kind, mut segments, rest)| {
        if rest {
            segments.push("**");
        }
        if kind == "tool" {
            return format!("tool/{}", segments.join("/"));
        }
        segments.reverse();
        format!("host/{}", segments.join("."))
    })
}

proptest! {
    #[test]
    fn whatever_covers_a_resource_is_found_and_overlaps(
        patterns in collection::vec(patterns(), 1..8),
        gone in collection::vec(any::<bool>(), 8),
        asked in collection::vec(sample::select(vec!["a", "b"]), 1..4),
        kind in sample::select(vec!["tool", "host"]),
    ) {
        let mut world = World::new();
        for (nth, pattern) in patterns.iter().enumerate() {
            world.ok(apply(&format!("n/g-{nth}"), spec(pattern, &[], &[])));
        }
        let left: Vec<_> = patterns.iter().enumerate().filter(|(nth, _)| !gone[*nth]).collect();
        for nth in (0..patterns.len()).filter(|nth| gone[*nth]) {
            world.ok(Command::DeleteGuard { guard: name(&format!("n/g-{nth}")) });
        }
        let id = asked.join(if kind == "tool" { "/" } else { "." });
        let asked = resource(&format!("{kind}/{id}"));
        let all = left.into_iter().map(|(nth, pattern)| (nth, pattern.parse::<Resources>().unwrap()));
        let expected: Vec<_> = all.filter(|(_, resources)| resources.cover(&asked)).collect();
        let names: Vec<_> = expected.iter().map(|(nth, _)| format!("n/g-{nth}")).collect();
        prop_assert_eq!(covering(&world.state.guards, &asked.to_string()), names);
        let overlap = expected.iter().all(|(_, one)| expected.iter().all(|(_, other)| one.overlap(other)));
        prop_assert_eq!(overlap, true, "what limits how many cover one resource");
    }
}
