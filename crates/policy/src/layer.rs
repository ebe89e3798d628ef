//! What each layer says.

mod guard;

use crate::brief::{Brief, none_in_force};
use crate::grant;
use crate::verdict::{Layer, Missing, Verdict, sentence};
use credence_model::delegation::Delegation;
use credence_model::guards::Guards;
use credence_model::id::GuardRef;
use credence_model::permission::Permission;
use credence_model::permission::condition::Constraint;
use credence_model::permission::obligation::Obligation;
use credence_model::permission::question::{Fact, Match, Principal, Question, Unmet, Why};
use std::fmt;

/// What allows, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowing<'a> {
    pub(crate) line: Line<'a>,
    /// The duties that come with it.
    pub(crate) with: &'a [Obligation],
    pub(crate) by: By<'a>,
}

/// A permission, or a policy by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Line<'a> {
    Permission(&'a Permission),
    Policy(&'a str),
}

/// Whose it is: what it uses up is counted for that.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    Class,
    Delegation(&'a Delegation),
    Guard(&'a GuardRef),
}

/// What a layer says, and what it is that allows.
pub(crate) struct Said<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) allowing: Vec<Allowing<'a>>,
}

impl<'a> Allowing<'a> {
    fn of(permission: &'a Permission, by: By<'a>) -> Self {
        Self { line: Line::Permission(permission), with: &permission.with, by }
    }

    pub(crate) fn delegation(&self) -> Option<&'a Delegation> {
        match self.by {
            By::Delegation(found) => Some(found),
            By::Class | By::Guard(_) => None,
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission(permission) => permission.fmt(f),
            Self::Policy(name) => write!(f, "policy {name}"),
        }
    }
}

/// What the layers of one actor say, in their order; its ancestors' are not among them. `is_caller` if it asks itself, and not a
/// child of it.
pub(crate) fn all<'a>(brief: &'a Brief, question: &Question, guards: &'a Guards, is_caller: bool) -> Vec<Said<'a>> {
    let mut said = vec![standing(brief), class(brief, question), consent(brief, question)];
    said.extend(delegation(brief, question));
    said.extend(guard::all(brief, question, guards, is_caller));
    said
}

pub(crate) fn standing(brief: &Brief) -> Said<'_> {
    match &brief.barred {
        None => allow(brief, Layer::Standing, sentence(format_args!("actor {} may act", brief.actor)), Vec::new()),
        Some(why) => deny(brief, Layer::Standing, why.clone(), None),
    }
}

fn class<'a>(brief: &'a Brief, question: &Question) -> Said<'a> {
    let permissions = &brief.spec.permissions;
    let whose = fmt::from_fn(|f| write!(f, "revision {} of class {}", brief.revision, brief.class));
    let deny = |why, missing| deny(brief, Layer::Class, why, missing);
    if brief.revision == 0 {
        return deny(none_in_force(&brief.class), None);
    }
    let who = brief.principal();
    if let Some(forbidding) = permissions.forbid.iter().find(|permission| is_forbidden(permission, question, &who)) {
        return deny(format!("{whose} forbids `{forbidding}`"), None);
    }
    let permitting = match cedar(brief, question) {
        Ok(permitting) => permitting,
        Err(why) => return deny(format!("{why} of {whose}"), None),
    };
    let mut allowing = allowing(&permissions.allow, question, &who, By::Class);
    allowing.extend(permitting);
    allowing.sort_by_key(|allowing| allowing.with.len());
    match allowing.first() {
        Some(Allowing { line, .. }) => {
            let why = sentence(format_args!("{whose} allows `{line}`"));
            allow(brief, Layer::Class, why, allowing)
        }
        None => {
            let who = format!("the owner of class {} ({}), by a new revision", brief.class, brief.spec.owner);
            let (why, missing) = short_of(&permissions.allow, question, brief, &who);
            deny(sentence(format_args!("{whose} {why}")), missing)
        }
    }
}

/// The Cedar policies that permit it, or what of them denies it: one that forbids, one that cannot be evaluated, or that they are
/// not compiled.
fn cedar<'a>(brief: &'a Brief, question: &Question) -> Result<Vec<Allowing<'a>>, String> {
    if brief.spec.permissions.cedar.is_empty() {
        return Ok(Vec::new());
    }
    let Some(policies) = &brief.policies else { return Err("the Cedar policies are not compiled".to_owned()) };
    let judgement = policies.judge(&brief.principal(), question);
    if let Some((nth, error)) = judgement.errors.first() {
        return Err(format!("{error}; this stops policy `{}`", policies.name(*nth)));
    }
    if let Some(nth) = judgement.forbids.first() {
        return Err(format!("it is forbidden by policy `{}`", policies.name(*nth)));
    }
    let permitting = |nth: &usize| Allowing {
        line: Line::Policy(policies.name(*nth)),
        with: policies.obligations(*nth),
        by: By::Class,
    };
    Ok(judgement.permits.iter().map(permitting).collect())
}

fn consent<'a>(brief: &'a Brief, question: &Question) -> Said<'a> {
    if brief.revision == 0 {
        return deny(brief, Layer::Consent, none_in_force(&brief.class), None);
    }
    let whose = fmt::from_fn(|f| write!(f, "the consent to revision {} of class {}", brief.revision, brief.class));
    if brief.only.is_empty() {
        return allow(brief, Layer::Consent, sentence(format_args!("{whose} is to all that it permits")), Vec::new());
    }
    let allowing = allowing(&brief.only, question, &brief.principal(), By::Class);
    match allowing.first() {
        Some(Allowing { line, .. }) => {
            let why = sentence(format_args!("{whose} allows `{line}`"));
            allow(brief, Layer::Consent, why, allowing)
        }
        None => {
            let who = "an administrator, by a consent to more";
            let (why, missing) = short_of(&brief.only, question, brief, who);
            deny(brief, Layer::Consent, sentence(format_args!("{whose} {why}")), missing)
        }
    }
}

/// What its user, or the actor that spawned it, delegated. An actor that comes from nobody acts for itself, if its class lets it.
fn delegation<'a>(brief: &'a Brief, question: &Question) -> Option<Said<'a>> {
    let lineage = &brief.lineage;
    let who = match (&lineage.parent, &lineage.user) {
        (Some(parent), _) => format!("actor {parent}"),
        (None, Some(user)) => user.to_string(),
        (None, None) if brief.spec.permissions.delegation.required => {
            let why = format!("actor {} acts for nobody, and its class acts only for users", brief.actor);
            return Some(deny(brief, Layer::Delegation, why, None));
        }
        (None, None) => return None,
    };
    let in_force: Vec<_> = brief.delegations.iter().filter(|found| found.lapse(question.at).is_none()).collect();
    let mut allowed = Vec::new();
    for found in &in_force {
        allowed.extend(allowing(&found.terms.allow, question, &brief.principal(), By::Delegation(found)));
    }
    // What is counted is used last.
    allowed.sort_by_key(|allowing| allowing.delegation().is_some_and(|found| found.terms.uses.is_some()));
    Some(match allowed.first() {
        Some(first) => {
            let (line, id) = (first.line, first.delegation().map(|found| found.id));
            let which = fmt::from_fn(|f| id.map_or(Ok(()), |id| write!(f, "delegation {id}")));
            let why = sentence(format_args!("{who} delegated `{line}` ({which})"));
            allow(brief, Layer::Delegation, why, allowed)
        }
        None => {
            let all = in_force.iter().flat_map(|found| &found.terms.allow);
            let (why, missing) = short_of(all, question, brief, &who);
            let lapsed = brief.delegations.iter().find_map(|found| Some((found.id, found.lapse(question.at)?)));
            let lapsed = lapsed.filter(|_| in_force.is_empty());
            let lapsed = lapsed.map(|(id, lapse)| format!("; delegation {id}: {lapse}")).unwrap_or_default();
            deny(brief, Layer::Delegation, sentence(format_args!("what {who} delegated {why}{lapsed}")), missing)
        }
    })
}

fn allow<'a>(brief: &Brief, layer: Layer, why: String, allowing: Vec<Allowing<'a>>) -> Said<'a> {
    Said { verdict: Verdict::allow(brief, layer, why), allowing }
}

fn deny<'a>(brief: &Brief, layer: Layer, why: String, missing: Option<Missing>) -> Said<'a> {
    Said { verdict: Verdict::deny(brief, layer, why, missing), allowing: Vec::new() }
}

fn allowing<'a>(lines: &'a [Permission], question: &Question, who: &Principal, by: By<'a>) -> Vec<Allowing<'a>> {
    let holding = lines.iter().filter(|permission| permission.answers(question, who) == Match::Holds);
    let mut all: Vec<_> = holding.map(|permission| Allowing::of(permission, by)).collect();
    // Those with the fewest duties first.
    all.sort_by_key(|allowing| allowing.with.len());
    all
}

/// What a request does not say is held against it.
fn is_forbidden(permission: &Permission, question: &Question, who: &Principal) -> bool {
    let is_otherwise = |unmet: &Unmet| match (&unmet.why, &unmet.condition.is) {
        // Of several words one is enough for a no.
        (Why::Otherwise(Fact::Words(all)), Constraint::OneOf(words)) => !all.iter().any(|word| words.contains(word)),
        (Why::Otherwise(Fact::Words(all)), Constraint::NoneOf(words)) => all.iter().all(|word| words.contains(word)),
        (Why::Otherwise(_), _) => true,
        _ => false,
    };
    match permission.answers(question, who) {
        Match::Beside => false,
        Match::Holds => true,
        Match::Unmet(unmet) => !unmet.iter().any(is_otherwise),
    }
}

/// Why none of these permissions allows, what would, and who could give it.
fn short_of<'a>(
    permissions: impl IntoIterator<Item = &'a Permission>,
    question: &Question,
    brief: &Brief,
    who: &str,
) -> (String, Option<Missing>) {
    let (why, permission) = grant::smallest(permissions, question, &brief.principal());
    (why, permission.map(|permission| Missing { permission, who: who.to_owned() }))
}
