//! Laws that hold for every sequence of grants, narrowings, spawns, forks, revisions, guards and expiries.

use crate::steps::{ACTORS, Step, allows, guard, guard_name, living, questions, step, take, worlds};
use crate::world::{World, actor, class, permission, permissions};
use credence_model::actor::ActorState;
use credence_model::command::Command;
use credence_model::delegation::{Grantee, Grantor, Terms};
use credence_model::guard::Guard;
use credence_model::id::{ActorRef, ClassRef, GuardRef};
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::permission::condition::Constraint;
use credence_model::permission::question::{Fact, Match, Principal, Question, Unmet, Why};
use credence_model::state::State;
use credence_policy::verdict::{Layer, Verdict};
use proptest::prelude::{any, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// The whole rule once more, as slowly and plainly as it can be said.
fn reference(state: &State, who: &ActorRef, question: &Question) -> bool {
    layers(state, who, question) && state.guards.all().all(|guard| guarded(state, who, question, guard))
}

/// Whether a guard lets it pass: one of its lines allows the caller, and none forbids the caller or an ancestor.
fn guarded(state: &State, who: &ActorRef, question: &Question, guard: &Guard) -> bool {
    if !guard.spec.resource.cover(&question.resource) {
        return true;
    }
    let mut chain = vec![who.clone()];
    while let Some(parent) = state.lineages.get(chain.last().unwrap()).and_then(|lineage| lineage.parent.clone()) {
        chain.push(parent);
    }
    let asks = |actor: &ActorRef, judge: &dyn Fn(&Principal) -> bool| {
        let Some(found) = state.actors.get(actor) else { return false };
        let class = ClassRef { namespace: actor.namespace.clone(), class: found.class.clone() };
        let user = state.lineages.get(actor).and_then(|lineage| lineage.user.as_ref());
        judge(&Principal { actor, class: &class, user, labels: &found.labels })
    };
    asks(who, &|one| guard.spec.allow.iter().any(|line| line.answers(question, one) == Match::Holds))
        && !chain.iter().any(|one| asks(one, &|one| guard.spec.forbid.iter().any(|line| forbids(line, question, one))))
}

/// What a request does not say counts against it.
fn forbids(line: &Permission, question: &Question, who: &Principal) -> bool {
    match line.answers(question, who) {
        Match::Holds => true,
        Match::Beside => false,
        Match::Unmet(unmet) => !unmet.iter().any(is_surely_not),
    }
}

/// Of several words none alone fulfils it; anything else is known to be otherwise.
fn is_surely_not(unmet: &Unmet) -> bool {
    let alone = |word: &SmolStr| match &unmet.condition.is {
        Constraint::OneOf(words) => words.contains(word),
        Constraint::NoneOf(words) => !words.contains(word),
        _ => false,
    };
    match &unmet.why {
        Why::Otherwise(Fact::Words(words)) => !words.iter().any(alone),
        why => matches!(why, Why::Otherwise(_)),
    }
}

/// Everything but the guards.
fn layers(state: &State, who: &ActorRef, question: &Question) -> bool {
    let Some(found) = state.actors.get(who) else { return false };
    if matches!(found.state, ActorState::Terminated | ActorState::Quarantined) {
        return false;
    }
    let class = ClassRef { namespace: who.namespace.clone(), class: found.class.clone() };
    let Some(class) = state.classes.get(&class).filter(|class| class.enabled) else { return false };
    let mut revisions = class.revisions.values().rev();
    let Some(revision) = revisions.find(|revision| revision.allowed && revision.consent.holds()) else { return false };
    let lineage = state.lineages.get(who).cloned().unwrap_or_default();
    let of = class.class.clone();
    let one = Principal { actor: who, class: &of, user: lineage.user.as_ref(), labels: &found.labels };
    let holds = |permission: &Permission| permission.answers(question, &one) == Match::Holds;
    let forbids = |permission: &Permission| forbids(permission, question, &one);
    let permissions = &revision.spec.permissions;
    if !permissions.allow.iter().any(holds) || permissions.forbid.iter().any(forbids) {
        return false;
    }
    if !revision.consent.only.is_empty() && !revision.consent.only.iter().any(holds) {
        return false;
    }
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
        (Some(parent), _) => delegated(Grantor::Actor(parent.clone())) && layers(state, parent, question),
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
    fn taking_something_away_never_allows_anything(mut world in worlds(), which in any::<usize>(), step in 0..6_u8, more in guard()) {
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
            4 => fresh_or_less(&world, which, more),
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
                    (Layer::Guard, ..) => open(&mut world, &verdict, &missing.permission),
                    _ => continue,
                }
                let again = world.ask(id, &Question { at: world.now, ..question.clone() });
                let same = again.layers.iter().find(|found| is_same(found, &verdict));
                prop_assert!(same.is_some_and(|found| found.allowed), "{id} {missing:?} {verdict:?} {again:?}");
            }
        }
    }

    #[test]
    fn what_a_guard_denies_no_class_no_user_and_no_parent_opens(mut world in worlds(), steps in collection::vec(step(), 1..12)) {
        let questions = questions(&world);
        let denied = |world: &World| {
            let mut all = Vec::new();
            for id in living(world) {
                let asked = questions.iter().enumerate();
                let of_guard = |question: &Question| {
                    let decision = world.ask(id, &Question { at: world.now, ..question.clone() });
                    (decision.denials().any(|verdict| verdict.layer == Layer::Guard), decision.allowed)
                };
                all.extend(asked.map(|(nth, question)| ((id, nth), of_guard(question))));
            }
            all
        };
        let before: BTreeMap<_, _> = denied(&world).into_iter().collect();
        let is_others = |step: &Step| {
            let of_guards = matches!(step, Step::Guard(..) | Step::Unguard(_));
            !of_guards && !matches!(step, Step::Create(..) | Step::Spawn(..) | Step::Fork(..) | Step::Delete(_))
        };
        steps.into_iter().filter(is_others).for_each(|step| take(&mut world, step));
        for (asked, (by_guard, allowed)) in denied(&world) {
            prop_assert_eq!(before[&asked].0, by_guard, "{:?}", asked);
            prop_assert!(!(by_guard && allowed), "{asked:?}");
        }
    }

    #[test]
    fn order_and_repetition_of_a_guards_lines_do_not_matter(mut world in worlds(), guard in guard(), turn in any::<bool>()) {
        let Step::Guard(nth, resource, allow, forbid) = guard else { unreachable!() };
        take(&mut world, Step::Guard(nth, resource.clone(), allow.clone(), forbid.clone()));
        let all = questions(&world);
        let decide = |world: &World| {
            let ask = |id| all.iter().map(move |question| world.ask(id, question).allowed);
            living(world).into_iter().flat_map(ask).collect::<Vec<_>>()
        };
        let twice = |lines: Vec<String>| {
            let mut lines: Vec<_> = lines.iter().chain(&lines).cloned().collect();
            if turn {
                lines.reverse();
            }
            lines
        };
        let before = decide(&world);
        take(&mut world, Step::Guard(nth, resource, twice(allow), twice(forbid)));
        prop_assert_eq!(before, decide(&world));
    }
}

/// A guard more, or one of them with one line less: neither lets anything pass that did not before.
fn fresh_or_less(world: &World, which: usize, more: Step) -> Step {
    let Step::Guard(nth, ..) = &more else { return more };
    let Some(found) = world.state.guards.get(&guard_name(*nth)) else { return more };
    let text = |lines: &[Permission]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (mut allow, mut forbid) = (text(&found.spec.allow), text(&found.spec.forbid));
    match which % (allow.len() + 1) {
        0 => forbid.push(format!("* {} when amount <= 1", found.spec.resource)),
        nth => drop(allow.remove(nth - 1)),
    }
    Step::Guard(*nth, found.spec.resource.to_string(), allow, forbid)
}

/// Whether it is of the same layer; each guard is one of its own.
fn is_same(found: &Verdict, verdict: &Verdict) -> bool {
    let guard = |verdict: &Verdict| verdict.why.split(' ').nth(1).map(str::to_owned);
    (&found.actor, found.layer) == (&verdict.actor, verdict.layer)
        && (found.layer != Layer::Guard || guard(found) == guard(verdict))
}

/// The guard allows what was missing.
fn open(world: &mut World, verdict: &Verdict, missing: &Permission) {
    let name: GuardRef = verdict.why.split(' ').nth(1).unwrap().parse().unwrap();
    let found = world.state.guards.get(&name).unwrap().clone();
    let mut spec = found.spec;
    spec.allow.push(missing.clone());
    world.ok(Command::ApplyGuard { guard: name, labels: found.labels, spec, if_version: None });
}

fn give(world: &mut World, by: Grantor, to: &ActorRef, allow: &Permission) {
    let terms = Terms { allow: vec![allow.clone()], ..world.terms(&[]) };
    world.grant(by, Grantee::Actor(to.clone()), terms);
}
