//! Laws that hold for every sequence of grants, narrowings, spawns, forks, revisions and expiries.

use crate::world::{World, actor, class, permission, permissions, user};
use credence_model::actor::ActorState;
use credence_model::command::Command;
use credence_model::delegation::{Delegation, Grantee, Grantor, Terms};
use credence_model::id::{ActorRef, ClassRef};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::permission::question::{Match, Question, Why};
use credence_model::state::State;
use credence_policy::verdict::Layer;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::{collection, prop_assert, prop_assert_eq, sample};
use serde_json::json;

const ACTORS: [&str; 5] = ["a", "b", "c", "d", "e"];
const USERS: [&str; 2] = ["ada", "bob"];

#[derive(Debug, Clone)]
enum Step {
    Create(usize, usize),
    Spawn(usize, usize),
    Fork(usize, usize),
    Revise(Vec<String>, Vec<String>, bool),
    Consent(Option<usize>),
    Withdraw,
    GrantActor(usize, usize, Vec<String>),
    GrantClass(usize, Vec<String>),
    GrantChild(usize, usize, Vec<String>),
    Narrow(usize, Vec<String>),
    Revoke(usize),
    Terminate(usize),
    Quarantine(usize),
    Delete(usize),
    Enable(bool),
    Pass(u16),
}

fn allows() -> impl Strategy<Value = Vec<String>> {
    let target = sample::select(vec!["tool x/a", "tool x/b", "tool x/*", "tool **", "* tool/x/a"]);
    let condition = sample::select(vec![
        "",
        "when amount <= 1",
        "when amount <= 2",
        "when amount > 1",
        "when team = red",
        "when team in (red, blue)",
    ]);
    let one = (target, condition).prop_map(|(target, condition)| format!("{target} {condition}"));
    collection::vec(one, 1..3)
}

fn step() -> impl Strategy<Value = Step> {
    let (a, u) = (0..ACTORS.len(), 0..USERS.len());
    prop_oneof![
        (a.clone(), 0..=USERS.len()).prop_map(|(n, user)| Step::Create(n, user)),
        (a.clone(), a.clone()).prop_map(|(n, parent)| Step::Spawn(n, parent)),
        (a.clone(), a.clone()).prop_map(|(n, of)| Step::Fork(n, of)),
        (allows(), collection::vec(sample::select(vec!["tool x/b", "tool x/a when team = blue"]), 0..2), any::<bool>())
            .prop_map(|(allow, forbid, required)| Step::Revise(
                allow,
                forbid.into_iter().map(str::to_owned).collect(),
                required
            )),
        proptest::option::of(0..2_usize).prop_map(Step::Consent),
        proptest::strategy::Just(Step::Withdraw),
        (u.clone(), a.clone(), allows()).prop_map(|(user, n, allow)| Step::GrantActor(user, n, allow)),
        (u, allows()).prop_map(|(user, allow)| Step::GrantClass(user, allow)),
        (a.clone(), a.clone(), allows()).prop_map(|(parent, n, allow)| Step::GrantChild(parent, n, allow)),
        (any::<usize>(), allows()).prop_map(|(nth, allow)| Step::Narrow(nth, allow)),
        any::<usize>().prop_map(Step::Revoke),
        a.clone().prop_map(Step::Terminate),
        a.clone().prop_map(Step::Quarantine),
        a.prop_map(Step::Delete),
        any::<bool>().prop_map(Step::Enable),
        (1..120_u16).prop_map(Step::Pass),
    ]
}

fn take(world: &mut World, step: Step) {
    let all = |allow: &[String]| allow.iter().map(|text| permission(text)).collect::<Vec<_>>();
    let spawn = |n: usize, lineage| Command::SpawnActor {
        class: class(),
        id: Some(ACTORS[n].parse().unwrap()),
        labels: Labels::new(),
        lineage,
    };
    let terms = |world: &World, allow: &[String]| Terms {
        expires_at: world.now.plus_secs(100),
        allow: all(allow),
        ..world.terms(&[])
    };
    let nth = |world: &World, nth: usize| {
        let count = world.state.delegations.len().max(1);
        world.state.delegations.all().nth(nth % count)
    };
    let named = |n: usize| actor(ACTORS[n]);
    // Refusals are part of the game.
    let _ = match step {
        Step::Create(n, of) => {
            let user = USERS.get(of).map(|subject| user(subject));
            world.run(spawn(n, Lineage { user, ..Lineage::default() }))
        }
        Step::Spawn(n, parent) => world.run(spawn(n, Lineage { parent: Some(named(parent)), ..Lineage::default() })),
        Step::Fork(n, of) => world.run(spawn(n, Lineage { forked_from: Some(named(of)), ..Lineage::default() })),
        Step::Revise(allow, forbid, required) => {
            let mut new = permissions(&[]);
            (new.allow, new.forbid) = (all(&allow), all(&forbid));
            new.delegation.required = required;
            new.spawn.max_depth = 3;
            world.revise(new);
            return;
        }
        Step::Consent(only) => {
            let newest =
                world.state.classes[&class()].newest().map(|(_, revision)| revision.spec.permissions.allow.clone());
            let only = only.and_then(|nth| newest.unwrap_or_default().get(nth).cloned()).into_iter().collect();
            world.run(Command::ConsentRevision { class: class(), revision: None, only })
        }
        Step::Withdraw => world.run(Command::WithdrawConsent { class: class(), revision: None }),
        Step::GrantActor(by, n, allow) => {
            let (by, to, terms) = (Grantor::User(user(USERS[by])), Grantee::Actor(named(n)), terms(world, &allow));
            world.run(Command::GrantDelegation { by, to, terms })
        }
        Step::GrantClass(by, allow) => {
            let (by, to, terms) = (Grantor::User(user(USERS[by])), Grantee::Class(class()), terms(world, &allow));
            world.run(Command::GrantDelegation { by, to, terms })
        }
        Step::GrantChild(parent, n, allow) => {
            let (by, to, terms) = (Grantor::Actor(named(parent)), Grantee::Actor(named(n)), terms(world, &allow));
            world.run(Command::GrantDelegation { by, to, terms })
        }
        Step::Narrow(which, allow) => {
            let Some(Delegation { id, terms, .. }) = nth(world, which) else { return };
            let terms = Terms { allow: all(&allow), ..terms };
            world.run(Command::NarrowDelegation { delegation: id, of: None, terms })
        }
        Step::Revoke(which) => {
            let Some(Delegation { id, .. }) = nth(world, which) else { return };
            world.run(Command::RevokeDelegation { delegation: id, of: None, reason: None })
        }
        Step::Terminate(n) => world.run(Command::TerminateActor { actor: named(n), reason: None }),
        Step::Quarantine(n) => world.run(Command::QuarantineActor { actor: named(n), reason: None }),
        Step::Delete(n) => world.run(Command::DeleteActor { actor: named(n) }),
        Step::Enable(enabled) => world.run(Command::EnableClass { class: class(), revision: None, enabled }),
        Step::Pass(secs) => {
            world.now = world.now.plus_secs(secs.into());
            return;
        }
    };
}

fn worlds() -> impl Strategy<Value = World> {
    collection::vec(step(), 0..20).prop_map(|steps| {
        let mut world = World::new();
        let mut all = permissions(&["tool **"]);
        all.spawn.max_depth = 3;
        world.permit(all);
        // A chain in which everything is allowed, so that what is taken away from it is seen.
        let chain = [Step::Create(0, 0), Step::Spawn(1, 0), Step::Spawn(2, 1)];
        let everything = || vec!["tool **".to_owned()];
        let grants = [
            Step::GrantActor(0, 0, everything()),
            Step::GrantChild(0, 1, everything()),
            Step::GrantChild(1, 2, everything()),
        ];
        chain.into_iter().chain(grants).for_each(|step| take(&mut world, step));
        steps.into_iter().for_each(|step| take(&mut world, step));
        world
    })
}

fn questions(world: &World) -> Vec<Question> {
    let mut all = Vec::new();
    for tool in ["x/a", "x/b", "y/a"] {
        for context in [
            json!({}),
            json!({ "amount": 1, "team": "red" }),
            json!({ "amount": 2, "team": "blue" }),
            json!({ "amount": "1", "team": ["red", "blue"] }),
        ] {
            all.push(world.question(&format!("call tool/{tool}"), &context));
        }
    }
    all
}

fn living(world: &World) -> Vec<&'static str> {
    ACTORS.into_iter().filter(|id| world.state.actors.contains(&actor(id))).collect()
}

/// The whole rule once more, as slowly and plainly as it can be said.
fn reference(state: &State, who: &ActorRef, question: &Question) -> bool {
    let Some(found) = state.actors.get(who) else { return false };
    if matches!(found.state, ActorState::Terminated | ActorState::Quarantined) {
        return false;
    }
    let class = ClassRef { namespace: who.namespace.clone(), class: found.class.clone() };
    let Some(class) = state.classes.get(&class).filter(|class| class.enabled) else { return false };
    let mut revisions = class.revisions.values().rev();
    let Some(revision) = revisions.find(|revision| revision.allowed && revision.consent.holds()) else { return false };
    let holds = |permission: &Permission| permission.answers(question) == Match::Holds;
    let forbids = |permission: &Permission| match permission.answers(question) {
        Match::Holds => true,
        Match::Beside => false,
        Match::Unmet(unmet) => unmet.iter().all(|unmet| !matches!(unmet.why, Why::Otherwise(_))),
    };
    let permissions = &revision.spec.permissions;
    if !permissions.allow.iter().any(holds) || permissions.forbid.iter().any(forbids) {
        return false;
    }
    if !revision.consent.only.is_empty() && !revision.consent.only.iter().any(holds) {
        return false;
    }
    let lineage = state.lineages.get(who).cloned().unwrap_or_default();
    let delegated = |by: Grantor| {
        state.delegations.all().any(|delegation| {
            let to_it =
                delegation.to == Grantee::Actor(who.clone()) || delegation.to == Grantee::Class(class.class.clone());
            let session = delegation.terms.session.is_none() || delegation.terms.session == lineage.session;
            delegation.by == by
                && to_it
                && session
                && delegation.lapse(question.at).is_none()
                && delegation.terms.allow.iter().any(holds)
        })
    };
    match (&lineage.parent, &lineage.user) {
        (Some(parent), _) => delegated(Grantor::Actor(parent.clone())) && reference(state, parent, question),
        (None, Some(user)) => delegated(Grantor::User(user.clone())),
        (None, None) => !permissions.delegation.required,
    }
}

proptest! {
    #[test]
    fn a_decision_is_what_the_plain_rule_says_and_every_layer_alone_can_deny(world in worlds()) {
        for id in living(&world) {
            for question in questions(&world) {
                let decision = world.ask(id, &question);
                prop_assert_eq!(decision.allowed, reference(&world.state, &actor(id), &question), "{} {:?}", id, decision);
                prop_assert_eq!(decision.allowed, decision.layers.iter().all(|verdict| verdict.allowed));
            }
        }
    }

    #[test]
    fn taking_something_away_never_allows_anything(mut world in worlds(), which in any::<usize>(), step in 0..5_u8) {
        let questions = questions(&world);
        let allowed = |world: &World| {
            let mut all = Vec::new();
            for id in living(world) {
                all.extend(questions.iter().map(|question| (id, world.ask(id, question).allowed)));
            }
            all
        };
        let before = allowed(&world);
        let step = match step {
            0 => Step::Revoke(which),
            1 => Step::Narrow(which, vec!["tool x/a when amount <= 1".into()]),
            2 => Step::Terminate(which % ACTORS.len()),
            3 => Step::Quarantine(which % ACTORS.len()),
            _ => Step::Enable(false),
        };
        take(&mut world, step);
        for ((id, was), (_, is)) in before.into_iter().zip(allowed(&world)) {
            prop_assert!(was || !is, "{id}");
        }
    }

    #[test]
    fn order_and_repetition_of_permissions_do_not_matter(allow in allows(), turn in any::<bool>()) {
        let decide = |allow: Vec<String>| {
            let mut world = World::new();
            let mut new = permissions(&[]);
            new.allow = allow.iter().map(|text| permission(text)).collect();
            world.permit(new);
            world.spawn("a", Lineage::default());
            questions(&world).iter().map(|question| world.ask("a", question).allowed).collect::<Vec<_>>()
        };
        let mut other: Vec<_> = allow.iter().chain(&allow).cloned().collect();
        if turn {
            other.reverse();
        }
        prop_assert_eq!(decide(allow), decide(other));
    }

    #[test]
    fn what_is_said_to_be_missing_makes_the_layer_allow_when_it_is_granted(mut world in worlds()) {
        for id in living(&world) {
            for question in questions(&world) {
                let decision = world.ask(id, &question);
                let Some(verdict) = decision.denials().next().cloned() else { continue };
                let Some(missing) = verdict.missing.clone() else { continue };
                let lineage = world.state.lineages.get(&verdict.actor).cloned().unwrap_or_default();
                let layer = verdict.layer;
                match (layer, lineage.parent, lineage.user) {
                    (Layer::Class, ..) => {
                        let (_, revision) = world.state.classes[&class()].in_force().unwrap();
                        let mut new = revision.spec.permissions.clone();
                        new.allow.push(missing.permission.clone());
                        world.permit(new);
                    }
                    (Layer::Delegation, Some(parent), _) => give(&mut world, Grantor::Actor(parent), &verdict.actor, &missing.permission),
                    (Layer::Delegation, None, Some(user)) => give(&mut world, Grantor::User(user), &verdict.actor, &missing.permission),
                    _ => continue,
                }
                let again = world.ask(id, &Question { at: world.now, ..question.clone() });
                let same = again.layers.iter().find(|found| (&found.actor, found.layer) == (&verdict.actor, layer));
                prop_assert!(same.is_some_and(|found| found.allowed), "{id} {missing:?} {verdict:?} {again:?}");
            }
        }
    }
}

fn give(world: &mut World, by: Grantor, to: &ActorRef, allow: &Permission) {
    let terms = Terms { allow: vec![allow.clone()], ..world.terms(&[]) };
    world.grant(by, Grantee::Actor(to.clone()), terms);
}
