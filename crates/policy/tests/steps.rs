//! What may happen in a small world: grants, narrowings, spawns, forks, revisions, guards and expiries, in any order.

use crate::world::{World, actor, class, permission, permissions, user};
use credence_model::command::Command;
use credence_model::delegation::{Delegation, Grantee, Grantor, Terms};
use credence_model::guard::GuardSpec;
use credence_model::id::GuardRef;
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::permission::question::Question;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{collection, sample};
use serde_json::json;

pub(crate) const ACTORS: [&str; 5] = ["a", "b", "c", "d", "e"];
const USERS: [&str; 2] = ["ada", "bob"];
const GUARDS: usize = 3;

pub(crate) fn guard_name(nth: usize) -> GuardRef {
    format!("finance/g-{nth}").parse().unwrap()
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
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
    Guard(usize, String, Vec<String>, Vec<String>),
    Unguard(usize),
}

pub(crate) fn allows() -> impl Strategy<Value = Vec<String>> {
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

/// A guard over some of what is asked for. Lines that reach beyond it are refused, which is part of the game.
pub(crate) fn guard() -> impl Strategy<Value = Step> {
    let resource = sample::select(vec!["tool/**", "tool/x/*", "tool/x/a", "tool/*/a"]);
    let target = || sample::select(vec!["tool x/a", "* tool/x/a", "tool x/*", "tool **", "tool */a"]);
    let condition = || {
        sample::select(vec![
            "",
            "when amount <= 1",
            "when team = red",
            "when actor.id in (finance/a, finance/b)",
            "when actor.id = finance/b",
            "when actor.class != finance/expenses",
            "when actor.user = ada and actor.issuer = https://idp.example",
            "when actor.user = bob and actor.issuer = https://idp.example",
        ])
    };
    let lines = |most| {
        let one = (target(), condition()).prop_map(|(target, condition)| format!("{target} {condition}"));
        collection::vec(one, 0..most)
    };
    (0..GUARDS, resource, lines(4), lines(2))
        .prop_map(|(nth, resource, allow, forbid)| Step::Guard(nth, resource.to_owned(), allow, forbid))
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
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
        guard(),
        guard(),
        (0..GUARDS).prop_map(Step::Unguard),
    ]
}

pub(crate) fn take(world: &mut World, step: Step) {
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
            world.run(spawn(n, Lineage { user: USERS.get(of).map(|name| user(name)), ..Lineage::default() }))
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
            world.run(Command::GrantDelegation { by, to, offer: terms.into() })
        }
        Step::GrantClass(by, allow) => {
            let (by, to, terms) = (Grantor::User(user(USERS[by])), Grantee::Class(class()), terms(world, &allow));
            world.run(Command::GrantDelegation { by, to, offer: terms.into() })
        }
        Step::GrantChild(parent, n, allow) => {
            let (by, to, terms) = (Grantor::Actor(named(parent)), Grantee::Actor(named(n)), terms(world, &allow));
            world.run(Command::GrantDelegation { by, to, offer: terms.into() })
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
        Step::Guard(nth, resource, allow, forbid) => world.run(apply_guard(nth, &resource, all(&allow), all(&forbid))),
        Step::Unguard(nth) => world.run(Command::DeleteGuard { guard: guard_name(nth) }),
        Step::Pass(secs) => {
            world.now = world.now.plus_secs(secs.into());
            return;
        }
    };
}

fn apply_guard(nth: usize, resource: &str, allow: Vec<Permission>, forbid: Vec<Permission>) -> Command {
    let (owner, resource) = ("expenses@example.org".into(), resource.parse().unwrap());
    let spec = GuardSpec { owner, description: String::new(), resource, allow, forbid };
    Command::ApplyGuard { guard: guard_name(nth), labels: Labels::new(), spec, if_version: None }
}

pub(crate) fn worlds() -> impl Strategy<Value = World> {
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

pub(crate) fn questions(world: &World) -> Vec<Question> {
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

pub(crate) fn living(world: &World) -> Vec<&'static str> {
    ACTORS.into_iter().filter(|id| world.state.actors.contains(&actor(id))).collect()
}
