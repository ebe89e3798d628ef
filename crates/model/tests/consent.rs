//! Consent: a wider revision is not in force before it, and the last one that has it stays.

use crate::permission::permission;
use crate::world::{World, apply_class, spec};
use credence_model::class::consent::ConsentState;
use credence_model::class::diff::{Direction, differences};
use credence_model::class::permissions::Permissions;
use credence_model::class::{Class, ClassSpec};
use credence_model::command::{Answer, Command};
use credence_model::id::ClassRef;
use credence_model::permission::Permission;
use credence_model::refusal::Kind;

fn class() -> ClassRef {
    "finance/expense-agent".parse().unwrap()
}

fn permissions(allow: &[&str]) -> Permissions {
    Permissions { allow: allow.iter().map(|text| permission(text)).collect(), ..Permissions::default() }
}

fn apply(permissions: Permissions) -> Command {
    apply_class(ClassSpec { permissions, ..spec() })
}

fn consent(revision: Option<u32>, only: &[&str]) -> Command {
    Command::ConsentRevision { class: class(), revision, only: only.iter().map(|text| permission(text)).collect() }
}

fn found(world: &World) -> &Class {
    &world.state.classes[&class()]
}

fn in_force(world: &World) -> Option<u32> {
    found(world).in_force().map(|(number, _)| number)
}

#[test]
fn a_wider_revision_waits_and_a_narrower_one_does_not() {
    let mut world = World::furnished();
    assert_eq!(in_force(&world), Some(1), "nothing is permitted, so nobody has to consent");
    world.ok(apply(permissions(&["tool expenses/submit when amount <= 500 EUR"])));
    assert_eq!(in_force(&world), Some(1));
    world.ok(consent(None, &[]));
    assert_eq!(in_force(&world), Some(2));
    world.ok(apply(permissions(&["tool expenses/submit when amount <= 200 EUR"])));
    assert_eq!(in_force(&world), Some(3), "it is narrower");
    world.ok(apply(permissions(&["tool expenses/submit when amount <= 300 EUR"])));
    assert_eq!(in_force(&world), Some(3), "what was consented to last is narrower");
    world.pass_ms(1);
    world.ok(consent(Some(4), &[]));
    assert_eq!(in_force(&world), Some(4));
    world.ok(Command::WithdrawConsent { class: class(), revision: None });
    assert_eq!(in_force(&world), Some(3), "the one before stays");
    assert_eq!(found(&world).revisions[&4].consent.state, ConsentState::Withdrawn);
}

#[test]
fn whoever_takes_a_consent_back_does_not_put_a_wider_revision_in_force() {
    let mut world = World::furnished();
    let up_to = |amount: u32| permissions(&[&format!("tool expenses/submit when amount <= {amount}")]);
    world.ok(apply(up_to(5)));
    world.ok(consent(None, &[]));
    world.ok(apply(up_to(9)));
    world.ok(apply(up_to(2)));
    world.pass_ms(1);
    world.ok(consent(Some(3), &[]));
    assert_eq!(in_force(&world), Some(4), "the narrower one that came after it");
    let refusal = world.run(Command::WithdrawConsent { class: class(), revision: Some(4) }).unwrap_err();
    assert_eq!(refusal.kind, Kind::Conflict);
    assert!(refusal.to_string().contains("revision 3 of class finance/expense-agent would be in force"), "{refusal}");
    world.ok(Command::WithdrawConsent { class: class(), revision: None });
    assert_eq!(found(&world).revisions[&3].consent.state, ConsentState::Withdrawn, "the one that was given last");
    assert_eq!(in_force(&world), Some(4));
}

#[test]
fn without_any_revision_in_force_nobody_is_admitted() {
    let mut world = World::new();
    world.ok(apply(permissions(&["tool expenses/submit"])));
    world.create("a");
    let refusal = world.resume("a").unwrap_err();
    assert_eq!(refusal.kind, Kind::Denied);
    let said = refusal.to_string();
    assert!(said.starts_with("revision 1 of class finance/expense-agent has no consent"), "{said}");
    assert!(said.ends_with("credence class consent finance/expense-agent"), "{said}");
}

#[test]
fn a_consent_is_to_what_the_revision_permits_and_repeated_it_changes_nothing() {
    let mut world = World::furnished();
    world.ok(apply(permissions(&["tool expenses/*", "model any/*"])));
    let refusal = world.run(consent(None, &["tool expenses/submit", "tool payments/submit"])).unwrap_err();
    assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Malformed, Some("only[1]")), "{refusal}");
    assert_eq!(world.run(consent(Some(9), &[])).unwrap_err().kind, Kind::NotFound);
    let only = ["tool expenses/submit"];
    for changed in [true, false] {
        let answer = world.ok(consent(None, &only));
        assert!(matches!(answer, Answer::Applied { revision: 2, changed: is, .. } if is == changed), "{answer:?}");
    }
    world.ok(apply(permissions(&["tool expenses/*"])));
    let consent_to_3 = &found(&world).revisions[&3].consent;
    assert_eq!((consent_to_3.state, consent_to_3.only.clone()), (ConsentState::NotNeeded, vec![permission(only[0])]));
    let too_many = vec![permission("tool expenses/submit"); 257];
    let command = Command::ConsentRevision { class: class(), revision: None, only: too_many };
    assert_eq!(world.run(command).unwrap_err().field.as_deref(), Some("only"));
}

fn with(change: impl FnOnce(&mut Permissions)) -> Permissions {
    let mut permissions = permissions(&["tool expenses/submit when amount <= 500 EUR", "model any/*"]);
    permissions.forbid = vec![permission("tool expenses/delete")];
    permissions.delegation.required = true;
    change(&mut permissions);
    permissions
}

fn set(list: &mut Vec<Permission>, texts: &[&str]) {
    *list = texts.iter().map(|text| permission(text)).collect();
}

#[test]
fn every_difference_has_a_direction_and_words_and_wider_means_that_consent_is_wanted() {
    use Direction::{Narrower, Wider};
    let old = with(|_| {});
    type Change = fn(&mut Permissions);
    let cases: [(Change, Direction, &str); 14] = [
        (
            |new| set(&mut new.allow, &["tool expenses/submit when amount <= 600 EUR", "model any/*"]),
            Wider,
            "allows `tool expenses/submit when amount <= 600 EUR`, where it allowed `tool expenses/submit when amount <= 500 EUR`",
        ),
        (
            |new| set(&mut new.allow, &["tool expenses/submit when amount <= 400 EUR", "model any/*"]),
            Narrower,
            "allows only `tool expenses/submit when amount <= 400 EUR`, where it allowed `tool expenses/submit when amount <= 500 EUR`",
        ),
        (|new| new.allow.push(permission("egress example.org")), Wider, "allows `egress example.org`"),
        (|new| new.allow.truncate(1), Narrower, "allows `model any/*` no more"),
        (|new| new.forbid.clear(), Wider, "does not forbid all of `tool expenses/delete` any more"),
        (
            |new| set(&mut new.forbid, &["tool expenses/delete when amount > 5"]),
            Wider,
            "does not forbid all of `tool expenses/delete` any more",
        ),
        (|new| new.forbid.push(permission("tool a/b")), Narrower, "forbids `tool a/b`"),
        (
            |new| new.cedar = "permit (principal, action, resource);".into(),
            Wider,
            "has other Cedar policies, which are not compared",
        ),
        (|new| new.delegation.required = false, Wider, "needs no user's delegation any more"),
        (|new| new.delegation.max_secs += 1, Wider, "a delegation may last 86401 s, where it was 86400"),
        (|new| new.delegation.max_secs -= 1, Narrower, "a delegation may last 86399 s, where it was 86400"),
        (|new| new.spawn.max_depth = 2, Wider, "the chain of actors below it may be 2 long, where it was 1"),
        (|new| new.spawn.max_children = 9, Wider, "it may have 9 children, where it was 8"),
        (|new| new.spawn.max_children = 0, Narrower, "it may have 0 children, where it was 8"),
    ];
    for (change, direction, words) in cases {
        let new = with(change);
        let all = differences(&old, &new);
        assert!(all.iter().any(|found| found.direction == direction && found.what == words), "{words}: {all:?}");
        assert_eq!(new.is_wider_than(&old), all.iter().any(|found| found.direction == Wider), "{words}: {all:?}");
    }
    assert!(differences(&old, &old).is_empty() && !old.is_wider_than(&old));
}

#[test]
fn what_the_types_cannot_say_is_checked() {
    let mut world = World::furnished();
    type Change = fn(&mut Permissions);
    let cases: [(Change, &str); 7] = [
        (|new| new.allow = vec![permission("tool a/b"); 257], "spec.permissions.allow"),
        (
            |new| new.forbid = vec![permission("tool a/b"), permission("tool a/b with log")],
            "spec.permissions.forbid[1]",
        ),
        (|new| new.cedar = " ".repeat(64 * 1024 + 1), "spec.permissions.cedar"),
        (
            |new| {
                new.attributes.insert("a.b".into(), credence_model::class::permissions::AttributeType::String);
            },
            "spec.permissions.attributes.a.b",
        ),
        (|new| new.delegation.max_secs = 59, "spec.permissions.delegation.maxSecs"),
        (|new| new.spawn.max_depth = 17, "spec.permissions.spawn.maxDepth"),
        (|new| new.record.allowed_one_in = 0, "spec.permissions.record.allowedOneIn"),
    ];
    for (change, field) in cases {
        let mut wrong = permissions(&["tool a/b"]);
        change(&mut wrong);
        let refusal = world.run(apply(wrong)).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Malformed, Some(field)), "{refusal}");
    }
}
