//! What the owners of a resource say.
//!
//! An owner's `allow` is about who touches the resource, and that is the caller alone: it is bounded by its ancestors' classes and
//! delegations already. What an owner forbids an actor it forbids also through others, or a child would be the way round it.

use super::{Said, allow, allowing, deny, is_forbidden, short_of};
use crate::brief::Brief;
use crate::layer::By;
use crate::verdict::{Layer, sentence};
use credence_model::guard::Guard;
use credence_model::guards::Guards;
use credence_model::permission::question::Question;

/// What each guard says that covers the resource; of an ancestor of the caller only the first that forbids it something.
pub(super) fn all<'a>(brief: &'a Brief, question: &Question, guards: &'a Guards, is_caller: bool) -> Vec<Said<'a>> {
    let covering = guards.covering(&question.resource);
    match is_caller {
        true => covering
            .map(|guard| forbid(brief, question, guard).unwrap_or_else(|| one(brief, question, guard)))
            .collect(),
        false => covering.filter_map(|guard| forbid(brief, question, guard)).take(1).collect(),
    }
}

fn forbid<'a>(brief: &'a Brief, question: &Question, guard: &Guard) -> Option<Said<'a>> {
    let who = brief.principal();
    let forbidding = guard.spec.forbid.iter().find(|line| is_forbidden(line, question, &who))?;
    Some(deny(brief, Layer::Guard, format!("{} forbids `{forbidding}`", named(guard)), None))
}

fn one<'a>(brief: &'a Brief, question: &Question, guard: &'a Guard) -> Said<'a> {
    let allowing = allowing(&guard.spec.allow, question, &brief.principal(), By::Guard(&guard.guard));
    match allowing.first() {
        Some(found) => {
            let why = sentence(format_args!("{} allows `{}`", named(guard), found.line));
            allow(brief, Layer::Guard, why, allowing)
        }
        None => {
            let who = format!("the owner of guard {} ({})", guard.guard, guard.spec.owner);
            let (why, missing) = short_of(&guard.spec.allow, question, brief, &who);
            deny(brief, Layer::Guard, sentence(format_args!("{} {why}", named(guard))), missing)
        }
    }
}

fn named(guard: &Guard) -> String {
    format!("guard {} of {}", guard.guard, guard.spec.owner)
}
