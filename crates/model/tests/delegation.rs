//! Delegations and where actors come from: who may delegate what to whom, and that nothing ever becomes wider.

use crate::permission::permission;
use crate::world::{World, actor, apply_class, spec};
use credence_model::budget::Taken;
use credence_model::caller::Caller;
use credence_model::class::ClassSpec;
use credence_model::command::{Answer, Command, Request, Take, Use};
use credence_model::delegation::{Delegation, Grantee, Grantor, Lapse, Offer, PER_GRANTOR_MAX, REMEMBERED_SECS, Terms};
use credence_model::id::{ClassRef, DelegationId, Digest};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_model::user::User;

fn class() -> ClassRef {
    "finance/expense-agent".parse().unwrap()
}

fn user(subject: &str) -> User {
    User { issuer: "https://idp.example".into(), subject: subject.into() }
}

fn by(subject: &str) -> Grantor {
    Grantor::User(user(subject))
}

fn of(subject: &str) -> Lineage {
    Lineage { user: Some(user(subject)), ..Lineage::default() }
}

fn child_of(parent: &str) -> Lineage {
    Lineage { parent: Some(actor(parent)), ..Lineage::default() }
}

fn terms(world: &World) -> Terms {
    Terms {
        allow: vec![permission("tool expenses/submit when amount <= 200 EUR")],
        session: None,
        purpose: "the trip to Lisbon".into(),
        not_before: world.now,
        expires_at: world.now.plus_secs(3600),
        uses: None,
    }
}

fn spawn(world: &mut World, id: &str, lineage: Lineage) -> Result<Answer, Refusal> {
    world.run(Command::SpawnActor { class: class(), id: Some(id.parse().unwrap()), labels: Labels::new(), lineage })
}

fn grant(world: &mut World, by: Grantor, to: Grantee, terms: Terms) -> Result<DelegationId, Refusal> {
    match world.run(Command::GrantDelegation { by, to, offer: terms.into() })? {
        Answer::Delegation { delegation, changed: true } => Ok(delegation),
        other => unreachable!("{other:?}"),
    }
}

fn uses(by: &str, delegations: &[DelegationId], budgets: Vec<Take>) -> Use {
    Use { actor: actor(by), decided: None, delegations: delegations.to_vec(), budgets }
}

fn found(world: &World, id: &DelegationId) -> Delegation {
    world.state.delegations.get(id).unwrap()
}

/// Actors `ada-1` of Ada, `bob-1` of Bob and `nobody`.
fn world() -> World {
    let mut world = World::furnished();
    spawn(&mut world, "ada-1", of("ada")).unwrap();
    spawn(&mut world, "bob-1", of("bob")).unwrap();
    world.create("nobody");
    world
}

#[test]
fn a_user_delegates_to_actors_that_act_for_it_and_to_no_other() {
    let mut world = world();
    let terms = terms(&world);
    let to = |id: &str| Grantee::Actor(actor(id));
    grant(&mut world, by("ada"), to("ada-1"), terms.clone()).unwrap();
    grant(&mut world, by("ada"), Grantee::Class(class()), terms.clone()).unwrap();
    // Whether it is there is not this user's business either.
    for id in ["bob-1", "nobody", "absent"] {
        let refusal = grant(&mut world, by("ada"), to(id), terms.clone()).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Denied, Some("to")));
        assert!(!refusal.message.contains("bob of"), "whose it is stays unsaid: {refusal}");
    }
    let other_issuer = Grantor::User(User { issuer: "https://evil.example".into(), subject: "ada".into() });
    assert_eq!(grant(&mut world, other_issuer, to("ada-1"), terms.clone()).unwrap_err().kind, Kind::Denied);
    world.ok(Command::TerminateActor { actor: actor("ada-1"), reason: None });
    assert_eq!(grant(&mut world, by("ada"), to("ada-1"), terms).unwrap_err().kind, Kind::Conflict);
    let by_ada = by("ada");
    assert_eq!(world.state.delegations.granted_by(&by_ada).count(), 2);
    assert_eq!(world.state.delegations.between(&by_ada, &Grantee::Class(class())).count(), 1);
}

#[test]
fn terms_are_checked_member_by_member() {
    let mut world = world();
    let (good, now) = (terms(&world), world.now);
    type Change = fn(&mut Terms, Timestamp);
    let cases: [(Change, &str); 9] = [
        (|terms, _| terms.allow.clear(), "allow"),
        (|terms, _| terms.allow = vec![permission("tool a/b"); 65], "allow"),
        (|terms, _| terms.purpose = "x".repeat(513), "purpose"),
        (|terms, _| terms.purpose = "a\nb".into(), "purpose"),
        (|terms, _| terms.session = Some("a b".into()), "session"),
        (|terms, now| terms.expires_at = now, "expires_at"),
        (|terms, now| terms.not_before = now.plus_secs(7200), "expires_at"),
        (|terms, now| terms.expires_at = now.plus_secs(86_401), "expires_at"),
        (|terms, _| terms.uses = Some(0), "uses"),
    ];
    for (change, field) in cases {
        let mut terms = good.clone();
        change(&mut terms, now);
        let refusal = grant(&mut world, by("ada"), Grantee::Class(class()), terms).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Malformed, Some(field)), "{refusal}");
    }
}

#[test]
fn a_delegation_only_becomes_narrower_and_only_by_its_grantor() {
    let mut world = world();
    let old = Terms { uses: Some(5), session: None, ..terms(&world) };
    let id = grant(&mut world, by("ada"), Grantee::Class(class()), old.clone()).unwrap();
    let narrow = |world: &mut World, of, terms| world.run(Command::NarrowDelegation { delegation: id, of, terms });
    type Change = fn(&mut Terms);
    let wider: [(Change, &str); 5] = [
        (|terms| terms.allow = vec![permission("tool expenses/submit when amount <= 201 EUR")], "allow"),
        (|terms| terms.allow.push(permission("tool a/b")), "allow"),
        (|terms| terms.not_before = Timestamp(terms.not_before.0 - 1), "not_before"),
        (|terms| terms.expires_at = terms.expires_at.plus_ms(1), "expires_at"),
        (|terms| terms.uses = None, "uses"),
    ];
    for (change, field) in wider {
        let mut terms = old.clone();
        change(&mut terms);
        let refusal = narrow(&mut world, None, terms).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Denied, Some(field)), "{refusal}");
    }
    let narrower = Terms {
        allow: vec![permission("tool expenses/submit when amount <= 100 EUR with log")],
        session: Some("s-1".into()),
        expires_at: Timestamp(old.expires_at.0 - 1),
        uses: Some(2),
        ..old
    };
    assert_eq!(narrow(&mut world, Some(by("bob")), narrower.clone()).unwrap_err().kind, Kind::NotFound);
    for changed in [true, false] {
        let answer = narrow(&mut world, Some(by("ada")), narrower.clone()).unwrap();
        assert_eq!(answer, Answer::Delegation { delegation: id, changed });
    }
    assert_eq!(found(&world, &id).terms, narrower);
    let other_session = Terms { session: None, ..narrower.clone() };
    assert_eq!(narrow(&mut world, None, other_session).unwrap_err().field.as_deref(), Some("session"));
    let revoke = Command::RevokeDelegation { delegation: id, of: Some(by("ada")), reason: Some("done".into()) };
    assert_eq!(world.ok(revoke.clone()), Answer::Delegation { delegation: id, changed: true });
    assert_eq!(world.ok(revoke), Answer::Delegation { delegation: id, changed: false });
    assert_eq!(found(&world, &id).lapse(world.now), Some(Lapse::Revoked));
    assert_eq!(narrow(&mut world, None, narrower).unwrap_err().kind, Kind::Conflict, "it does not begin anew");
}

#[test]
fn a_delegation_counts_in_its_time_and_as_often_as_it_says_and_is_forgotten_long_after() {
    let mut world = world();
    let later = Terms { not_before: world.now.plus_secs(10), uses: Some(2), ..terms(&world) };
    let id = grant(&mut world, by("ada"), Grantee::Class(class()), later).unwrap();
    let take = |world: &mut World| world.run(Command::Use { uses: vec![uses("ada-1", &[id], Vec::new())] });
    assert_eq!(found(&world, &id).lapse(world.now), Some(Lapse::Early));
    assert!(take(&mut world).unwrap_err().message.ends_with("it has not begun"));
    world.pass_ms(10_000);
    take(&mut world).unwrap();
    take(&mut world).unwrap();
    assert!(take(&mut world).unwrap_err().message.ends_with("it was used as often as it may be"));
    let long = Terms { expires_at: world.now.plus_secs(86_400), ..terms(&world) };
    for _ in 0..300 {
        grant(&mut world, by("bob"), Grantee::Class(class()), long.clone()).unwrap();
    }
    let other = terms(&world);
    let other = grant(&mut world, by("ada"), Grantee::Class(class()), other).unwrap();
    world.pass_ms(3_600_000);
    assert_eq!(found(&world, &other).lapse(world.now), Some(Lapse::Expired));
    world.pass_ms(REMEMBERED_SECS * 1000);
    world.ok(Command::Expire);
    assert_eq!(world.state.delegations.granted_by(&by("ada")).count(), 0, "though others before them go on");
    assert_eq!(world.state.delegations.len(), 300);
    world.pass_ms(86_400_000);
    world.ok(Command::Expire);
    world.ok(Command::Expire);
    assert!(world.state.delegations.is_empty());
}

#[test]
fn a_budget_is_exact_and_begins_anew_with_its_period() {
    let mut world = world();
    let budget = Digest::of(b"budget");
    let mut take = |amount, since_secs| {
        let taken = Taken { budget, since_secs, amount, of: None };
        let budgets = vec![Take { taken, most: 100 }];
        let used = world.run(Command::Use { uses: vec![uses("ada-1", &[], budgets)] });
        used.map_err(|refusal| refusal.kind)
    };
    take(60, 0).unwrap();
    assert_eq!(take(41, 0), Err(Kind::Denied));
    take(40, 0).unwrap();
    assert_eq!(take(1, 0), Err(Kind::Denied));
    take(90, 3600).unwrap();
    assert_eq!(take(20, 0), Err(Kind::Denied), "what comes late counts in the period that it comes in");
    take(10, 0).unwrap();
    assert_eq!(take(1, 3600), Err(Kind::Denied));
    assert_eq!(take(i64::MAX, 7200), Err(Kind::Denied));
}

#[test]
fn who_ended_since_it_was_decided_uses_nothing_up() {
    for end in [
        Command::QuarantineActor { actor: actor("ada-1"), reason: None },
        Command::TerminateActor { actor: actor("ada-1"), reason: None },
        Command::DeleteActor { actor: actor("ada-1") },
    ] {
        let mut world = world();
        world.create("child");
        let taken = |of| Taken { budget: Digest::of(b"budget"), since_secs: 0, amount: 1, of };
        let take = |by: &str, of| {
            let budgets = vec![Take { taken: taken(of), most: 9 }];
            Command::Use { uses: vec![uses(by, &[], budgets)] }
        };
        world.ok(take("ada-1", None));
        world.ok(take("child", Some(actor("ada-1"))));
        world.ok(end);
        assert_eq!(world.run(take("ada-1", None)).unwrap_err().kind, Kind::Denied);
        assert_eq!(world.run(take("child", Some(actor("ada-1")))).unwrap_err().kind, Kind::Denied);
    }
}

#[test]
fn of_several_things_that_are_counted_all_are_taken_or_none() {
    let mut world = world();
    let (many, one) = (terms(&world), Terms { uses: Some(1), ..terms(&world) });
    let many = grant(&mut world, by("ada"), Grantee::Class(class()), Terms { uses: Some(9), ..many }).unwrap();
    let one = grant(&mut world, by("ada"), Grantee::Class(class()), one).unwrap();
    let both = Command::Use { uses: vec![uses("ada-1", &[many, one], Vec::new())] };
    world.ok(both.clone());
    assert_eq!(world.run(both).unwrap_err().kind, Kind::Denied);
    assert_eq!((found(&world, &many).used, found(&world, &one).used), (1, 1));
}

#[test]
fn of_several_decisions_that_are_recorded_together_all_find_what_they_use_or_none() {
    let mut world = world();
    let terms = Terms { uses: Some(3), ..terms(&world) };
    let id = grant(&mut world, by("ada"), Grantee::Class(class()), terms).unwrap();
    let budget = Digest::of(b"budget");
    let take = |amount| Take { taken: Taken { budget, since_secs: 0, amount, of: None }, most: 100 };
    let of = |amounts: &[i64]| Command::Use {
        uses: amounts.iter().map(|amount| uses("ada-1", &[id], vec![take(*amount)])).collect(),
    };
    let left = |world: &World| {
        let taken = world.state.budgets.taken(&actor("ada-1"), budget, 0).ten_thousandths();
        (found(world, &id).used, taken)
    };
    assert_eq!(world.run(of(&[60, 41])).unwrap_err().kind, Kind::Denied, "together they take too much of the budget");
    assert_eq!(world.run(of(&[1, 1, 1, 1])).unwrap_err().kind, Kind::Denied, "together they use it too often");
    assert_eq!(left(&world), (0, 0));
    world.ok(of(&[60, 40]));
    assert_eq!(left(&world), (2, 100));
    assert_eq!(world.run(of(&[0, 0])).unwrap_err().kind, Kind::Denied, "one use is left");
    world.ok(of(&[0]));
    assert_eq!(left(&world), (3, 100));
}

#[test]
fn a_delegation_that_is_asked_for_again_later_is_granted_once() {
    let mut world = world();
    let offer = Offer { not_before: None, ..terms(&world).into() };
    let command = Command::GrantDelegation { by: by("ada"), to: Grantee::Class(class()), offer };
    let caller = Caller::Local { uid: 0 };
    let request = Request { caller, idempotency_key: Some("key".into()), command: command.clone() };
    let (granted_at, first) = (world.now, world.request(&request).unwrap());
    world.pass_ms(1_500);
    assert_eq!(world.request(&request).unwrap(), first);
    assert_eq!(world.state.delegations.len(), 1);
    let Answer::Delegation { delegation, .. } = first else { panic!("{first:?}") };
    let Terms { not_before, expires_at, .. } = found(&world, &delegation).terms;
    assert_eq!((not_before, expires_at), (granted_at, granted_at.plus_secs(3600)));
    let Answer::Delegation { delegation, .. } = world.ok(command) else { panic!("another one") };
    assert_eq!(found(&world, &delegation).terms.not_before, world.now, "it begins when it is granted");
}

#[test]
fn a_grantor_has_so_many_delegations_and_no_more() {
    let mut world = world();
    let terms = terms(&world);
    let once = Terms { uses: Some(1), ..terms.clone() };
    let soon = Terms { expires_at: world.now.plus_secs(60), ..terms.clone() };
    let first = grant(&mut world, by("ada"), Grantee::Class(class()), terms.clone()).unwrap();
    let used = grant(&mut world, by("ada"), Grantee::Class(class()), once).unwrap();
    grant(&mut world, by("ada"), Grantee::Class(class()), soon).unwrap();
    for _ in 3..PER_GRANTOR_MAX {
        grant(&mut world, by("ada"), Grantee::Class(class()), terms.clone()).unwrap();
    }
    let is_full = |world: &mut World| {
        let refused = grant(world, by("ada"), Grantee::Class(class()), terms.clone()).unwrap_err();
        assert_eq!(refused.kind, Kind::Limited, "{refused}");
    };
    is_full(&mut world);
    grant(&mut world, by("bob"), Grantee::Class(class()), terms.clone()).unwrap();
    let has_room_for_one = |world: &mut World, how: &str| {
        let another = grant(world, by("ada"), Grantee::Class(class()), terms.clone());
        another.unwrap_or_else(|refusal| panic!("one is {how}: {refusal}"));
        is_full(world);
    };
    world.ok(Command::RevokeDelegation { delegation: first, of: None, reason: None });
    has_room_for_one(&mut world, "revoked");
    world.ok(Command::Use { uses: vec![uses("ada-1", &[used], Vec::new())] });
    has_room_for_one(&mut world, "used up");
    world.pass_ms(60_000);
    has_room_for_one(&mut world, "expired");
}

fn with_spawn(max_depth: u32, max_children: u32) -> ClassSpec {
    let mut spec = spec();
    spec.permissions.spawn.max_depth = max_depth;
    spec.permissions.spawn.max_children = max_children;
    spec
}

#[test]
fn a_child_acts_for_whom_its_parent_acts_and_depth_and_number_are_limited() {
    let mut world = world();
    world.ok(apply_class(with_spawn(2, 2)));
    spawn(&mut world, "child", child_of("ada-1")).unwrap();
    spawn(&mut world, "grandchild", child_of("child")).unwrap();
    let lineage = world.state.lineages.get(&actor("grandchild")).unwrap();
    assert_eq!((lineage.user.as_ref(), lineage.depth), (Some(&user("ada")), 2));
    let refusal = spawn(&mut world, "deep", child_of("grandchild")).unwrap_err();
    assert_eq!(refusal.message, "the class of finance/ada-1 allows a chain of 2 below it");
    spawn(&mut world, "second", child_of("ada-1")).unwrap();
    let refusal = spawn(&mut world, "third", child_of("ada-1")).unwrap_err();
    assert_eq!(refusal.kind, Kind::Limited, "{refusal}");
    world.ok(Command::QuarantineActor { actor: actor("second"), reason: None });
    assert_eq!(spawn(&mut world, "third", child_of("ada-1")).unwrap_err().kind, Kind::Limited, "it has not ended");
    world.ok(Command::DeleteActor { actor: actor("grandchild") });
    world.ok(Command::DeleteActor { actor: actor("child") });
    spawn(&mut world, "third", child_of("ada-1")).unwrap();
    world.ok(Command::TerminateActor { actor: actor("ada-1"), reason: None });
    assert_eq!(spawn(&mut world, "fourth", child_of("ada-1")).unwrap_err().kind, Kind::Conflict);
    assert!(world.state.children.get(&actor("child")).is_none() && world.state.lineages.get(&actor("child")).is_none());
}

#[test]
fn a_lineage_that_says_too_much_is_refused() {
    let mut world = world();
    for (lineage, field) in [
        (Lineage { depth: 1, ..of("ada") }, "depth"),
        (Lineage { session: Some("s".into()), ..Lineage::default() }, "session"),
        (Lineage { session: Some("s s".into()), ..of("ada") }, "session"),
        (of(""), "user.subject"),
        (of("a\u{0}"), "user.subject"),
        (Lineage { user: Some(user("bob")), ..child_of("ada-1") }, "user"),
    ] {
        let refusal = spawn(&mut world, "x", lineage).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Malformed, Some(field)), "{refusal}");
    }
    assert_eq!(spawn(&mut world, "x", child_of("absent")).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn a_copy_has_nothing_of_what_its_original_was_delegated() {
    let mut world = world();
    let terms = terms(&world);
    grant(&mut world, by("ada"), Grantee::Actor(actor("ada-1")), terms.clone()).unwrap();
    let copy = Lineage { forked_from: Some(actor("ada-1")), ..Lineage::default() };
    let refusal = spawn(&mut world, "copy", copy.clone()).unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("user"), "it does not become nobody's by being copied: {refusal}");
    spawn(&mut world, "copy", Lineage { user: Some(user("bob")), ..copy.clone() }).unwrap();
    let lineage = world.state.lineages.get(&actor("copy")).unwrap();
    assert_eq!((lineage.forked_from.clone(), lineage.user.clone()), (Some(actor("ada-1")), Some(user("bob"))));
    assert_eq!(world.state.delegations.between(&by("ada"), &Grantee::Actor(actor("copy"))).count(), 0);
    assert_eq!(grant(&mut world, by("ada"), Grantee::Actor(actor("copy")), terms).unwrap_err().kind, Kind::Denied);
    world.ok(Command::QuarantineActor { actor: actor("ada-1"), reason: None });
    let evidence = Lineage { user: Some(user("ada")), ..copy };
    assert_eq!(spawn(&mut world, "again", evidence).unwrap_err().kind, Kind::Revoked);
}

#[test]
fn an_actor_delegates_to_its_children_and_to_nobody_else() {
    let mut world = world();
    spawn(&mut world, "child", child_of("ada-1")).unwrap();
    let (terms, by) = (terms(&world), |id: &str| Grantor::Actor(actor(id)));
    let to = |id: &str| Grantee::Actor(actor(id));
    grant(&mut world, by("ada-1"), to("child"), terms.clone()).unwrap();
    for (from, whom) in
        [("ada-1", to("bob-1")), ("ada-1", Grantee::Class(class())), ("child", to("ada-1")), ("bob-1", to("child"))]
    {
        assert_eq!(grant(&mut world, by(from), whom, terms.clone()).unwrap_err().kind, Kind::Denied, "{from}");
    }
}
