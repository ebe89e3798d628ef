//! What each layer says.

use crate::brief::Brief;
use crate::evaluate::Principal;
use crate::grant;
use crate::verdict::{Layer, Missing, Verdict};
use credence_model::delegation::Delegation;
use credence_model::permission::Permission;
use credence_model::permission::obligation::Obligation;
use credence_model::permission::question::{Match, Question, Unmet, Why};
use credence_model::time::Timestamp;

/// What allows, and the delegation that it is of.
#[derive(Debug, Clone)]
pub(crate) struct Allowing {
    /// A permission, or the name of a policy.
    pub(crate) text: String,
    /// The duties that come with it.
    pub(crate) with: Vec<Obligation>,
    pub(crate) delegation: Option<Delegation>,
}

impl Allowing {
    fn of(permission: &Permission, delegation: Option<&Delegation>) -> Self {
        Self { text: permission.to_string(), with: permission.with.clone(), delegation: delegation.cloned() }
    }
}

/// What a layer says, and what it is that allows.
pub(crate) struct Said {
    pub(crate) verdict: Verdict,
    pub(crate) allowing: Vec<Allowing>,
}

/// What the layers of one actor say, in their order; its ancestors are not among them.
pub(crate) fn all(brief: &Brief, question: &Question, now: Timestamp) -> Vec<Said> {
    let question = &Question { labels: brief.labels.clone(), ..question.clone() };
    let layers = [
        Some(standing(brief)),
        Some(class(brief, question)),
        Some(consent(brief, question)),
        delegation(brief, question, now),
    ];
    layers.into_iter().flatten().collect()
}

fn standing(brief: &Brief) -> Said {
    let verdict = match &brief.barred {
        None => Verdict::allow(brief, Layer::Standing, format!("actor {} may act", brief.actor)),
        Some(why) => Verdict::deny(brief, Layer::Standing, why.clone(), None),
    };
    Said { verdict, allowing: Vec::new() }
}

fn class(brief: &Brief, question: &Question) -> Said {
    let permissions = &brief.spec.permissions;
    let whose = format!("revision {} of class {}", brief.revision, brief.class);
    let deny = |why, missing| Said { verdict: Verdict::deny(brief, Layer::Class, why, missing), allowing: Vec::new() };
    if brief.revision == 0 {
        return deny(format!("no revision of class {} is in force", brief.class), None);
    }
    if let Some(forbidding) = permissions.forbid.iter().find(|permission| is_forbidden(permission, question)) {
        return deny(format!("{whose} forbids `{forbidding}`"), None);
    }
    let permitting = match cedar(brief, question) {
        Ok(permitting) => permitting,
        Err(why) => return deny(format!("{why} of {whose}"), None),
    };
    let mut allowing: Vec<_> = allowing(&permissions.allow, question).map(|one| Allowing::of(one, None)).collect();
    allowing.extend(permitting);
    allowing.sort_by_key(|allowing| allowing.with.len());
    match allowing.first() {
        Some(Allowing { text, .. }) => {
            let why = format!("{whose} allows `{text}`");
            Said { verdict: Verdict::allow(brief, Layer::Class, why), allowing }
        }
        None => {
            let who = format!("the owner of class {} ({}), by a new revision", brief.class, brief.spec.owner);
            let (why, missing) = short_of(&permissions.allow, question, &who);
            deny(format!("{whose} {why}"), missing)
        }
    }
}

/// The Cedar policies that permit it, or what of them denies it: one that forbids, one that cannot be evaluated, or that they are
/// not compiled.
fn cedar(brief: &Brief, question: &Question) -> Result<Vec<Allowing>, String> {
    if brief.spec.permissions.cedar.is_empty() {
        return Ok(Vec::new());
    }
    let Some(policies) = &brief.policies else { return Err("the Cedar policies are not compiled".to_owned()) };
    let principal = Principal { actor: brief.actor.clone(), class: brief.class.clone() };
    let judgement = policies.judge(&principal, question);
    if let Some((nth, error)) = judgement.errors.first() {
        return Err(format!("{error}; this stops policy `{}`", policies.name(*nth)));
    }
    if let Some(nth) = judgement.forbids.first() {
        return Err(format!("it is forbidden by policy `{}`", policies.name(*nth)));
    }
    let permitting = |nth: &usize| Allowing {
        text: format!("policy {}", policies.name(*nth)),
        with: policies.obligations(*nth).to_vec(),
        delegation: None,
    };
    Ok(judgement.permits.iter().map(permitting).collect())
}

fn consent(brief: &Brief, question: &Question) -> Said {
    let whose = format!("the consent to revision {} of class {}", brief.revision, brief.class);
    if brief.revision == 0 {
        let why = format!("there is no consent to a revision of class {}", brief.class);
        return Said { verdict: Verdict::deny(brief, Layer::Consent, why, None), allowing: Vec::new() };
    }
    if brief.only.is_empty() {
        let verdict = Verdict::allow(brief, Layer::Consent, format!("{whose} is to all that it permits"));
        return Said { verdict, allowing: Vec::new() };
    }
    let allowing: Vec<_> = allowing(&brief.only, question).cloned().collect();
    let verdict = match allowing.first() {
        Some(permission) => Verdict::allow(brief, Layer::Consent, format!("{whose} allows `{permission}`")),
        None => {
            let (why, missing) = short_of(&brief.only, question, "an administrator, by a consent to more");
            Verdict::deny(brief, Layer::Consent, format!("{whose} {why}"), missing)
        }
    };
    let allowing = allowing.iter().map(|permission| Allowing::of(permission, None)).collect();
    Said { verdict, allowing }
}

/// What its user, or the actor that spawned it, delegated. An actor that comes from nobody acts for itself, if its class lets it.
fn delegation(brief: &Brief, question: &Question, now: Timestamp) -> Option<Said> {
    let lineage = &brief.lineage;
    let who = match (&lineage.parent, &lineage.user) {
        (Some(parent), _) => format!("actor {parent}"),
        (None, Some(user)) => user.to_string(),
        (None, None) if brief.spec.permissions.delegation.required => {
            let why = format!("actor {} acts for nobody, and its class acts only for users", brief.actor);
            return Some(Said { verdict: Verdict::deny(brief, Layer::Delegation, why, None), allowing: Vec::new() });
        }
        (None, None) => return None,
    };
    let in_force: Vec<_> = brief.delegations.iter().filter(|found| found.lapse(now).is_none()).collect();
    let mut allowed = Vec::new();
    for found in &in_force {
        allowed.extend(allowing(&found.terms.allow, question).map(|one| Allowing::of(one, Some(found))));
    }
    // What is counted is used last.
    allowed.sort_by_key(|allowing| allowing.delegation.as_ref().is_some_and(|found| found.terms.uses.is_some()));
    let verdict = match allowed.first() {
        Some(Allowing { text, delegation, .. }) => {
            let id = delegation.as_ref().map(|found| found.id.to_string()).unwrap_or_default();
            Verdict::allow(brief, Layer::Delegation, format!("{who} delegated `{text}` (delegation {id})"))
        }
        None => {
            let all: Vec<_> = in_force.iter().flat_map(|found| &found.terms.allow).cloned().collect();
            let (why, missing) = short_of(&all, question, &who);
            let lapsed = brief.delegations.iter().find_map(|found| Some((found.id, found.lapse(now)?)));
            let lapsed = lapsed.filter(|_| in_force.is_empty());
            let lapsed = lapsed.map(|(id, lapse)| format!("; delegation {id}: {lapse}")).unwrap_or_default();
            Verdict::deny(brief, Layer::Delegation, format!("what {who} delegated {why}{lapsed}"), missing)
        }
    };
    Some(Said { verdict, allowing: allowed })
}

fn allowing<'p>(permissions: &'p [Permission], question: &Question) -> impl Iterator<Item = &'p Permission> {
    // Those with the fewest duties first.
    let mut all: Vec<_> =
        permissions.iter().filter(|permission| permission.answers(question) == Match::Holds).collect();
    all.sort_by_key(|permission| permission.with.len());
    all.into_iter()
}

/// What a request does not say is held against it.
fn is_forbidden(permission: &Permission, question: &Question) -> bool {
    let is_otherwise = |unmet: &Unmet| matches!(unmet.why, Why::Otherwise(_));
    match permission.answers(question) {
        Match::Beside => false,
        Match::Holds => true,
        Match::Unmet(unmet) => !unmet.iter().any(is_otherwise),
    }
}

/// Why none of these permissions allows, what would, and who could give it.
fn short_of(permissions: &[Permission], question: &Question, who: &str) -> (String, Option<Missing>) {
    let (why, permission) = grant::smallest(permissions, question);
    (why, permission.map(|permission| Missing { permission, who: who.to_owned() }))
}
