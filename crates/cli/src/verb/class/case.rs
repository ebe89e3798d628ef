//! One case of a test: what it asks, what is decided, and whether that is what was expected.

use super::rehearsal::{Rehearsal, Scene};
use super::test::{actor, time};
use credence_manifest::class_test::{Expected, TestCase};
use credence_model::id::ActorRef;
use credence_model::permission::Permission;
use credence_model::permission::question::{Facts, Question};
use credence_model::refusal::{Kind, Refusal};
use credence_policy::decision::Decision;
use credence_policy::verdict::{Layer, Verdict};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// What came of a case.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// What it is called.
    pub(super) name: String,
    /// Where it stands.
    pub(super) place: String,
    /// Whether it is as expected.
    pub(super) holds: bool,
    /// Who asks what.
    pub(super) asked: String,
    /// What was expected.
    pub(super) expected: String,
    /// What was decided, as far as something was expected of it.
    pub(super) decided: String,
    /// What each layer says.
    pub(super) verdicts: Vec<Verdict>,
    /// What comes with it.
    pub(super) obligations: Vec<String>,
}

/// A layer that has to deny: of any actor, or of this one.
struct By {
    layer: Layer,
    of: Option<ActorRef>,
}

/// Asks the question of the `nth` case, and compares.
///
/// # Errors
/// If it cannot be asked, with the field.
pub(super) fn judge(rehearsal: &Rehearsal, scene: &Scene, nth: usize) -> Result<Outcome, Refusal> {
    let Some(case) = scene.test.cases.get(nth) else { return Err(Refusal::new(Kind::Bug, "there is no such case")) };
    let place = format!("spec.cases[{nth}]");
    let who = asking(scene, case, &place)?;
    let question = question(scene, case, &place)?;
    let by = case.by.as_ref().map(|by| read_by(by, scene, &place)).transpose()?;
    let decision = match case.used_before {
        0 => rehearsal.ask(&who, &question),
        times => after_uses(&mut rehearsal.clone(), (&who, &question), times),
    };
    let decision = decision.map_err(|refusal| refusal.field(format!("{place}.actor")))?;
    let holds = (decision.allowed == (case.expect == Expected::Allow))
        && by.is_none_or(|by| denies_by(&decision, &by))
        && case.missing.as_ref().is_none_or(|expected| set(expected) == missing(&decision))
        && case.with.as_ref().is_none_or(|expected| set(expected) == set(&decision.obligations));
    let asked = format!("{who}: {}", case.can);
    Ok(Outcome {
        name: case.name.clone().unwrap_or_else(|| asked.clone()),
        place: String::new(),
        holds,
        asked,
        expected: expected(case),
        decided: decided(case, &decision),
        verdicts: decision.layers,
        obligations: decision.obligations,
    })
}

/// The actor that asks. A test without any is about one that acts for nobody.
fn asking(scene: &Scene, case: &TestCase, place: &str) -> Result<ActorRef, Refusal> {
    let field = format!("{place}.actor");
    if let Some(named) = &case.actor {
        return actor(named, &field, scene.class);
    }
    let first = scene.test.actors.first().map(|first| ActorRef {
        namespace: first.class.as_ref().unwrap_or(scene.class).namespace.clone(),
        actor: first.id.clone(),
    });
    first.ok_or_else(|| Refusal::new(Kind::Malformed, "the test has no actor").field("spec.actors"))
}

fn question(scene: &Scene, case: &TestCase, place: &str) -> Result<Question, Refusal> {
    let facts = |value: &Value, field: &str| match value {
        Value::Null => Ok(Facts::default()),
        value => Facts::read(value)
            .map_err(|error| Refusal::new(Kind::Malformed, error.to_string()).field(format!("{place}.{field}"))),
    };
    let at = case.at.as_deref().map_or(Ok(scene.begins), |at| time(at, &format!("{place}.at")))?;
    let (action, resource) = (case.can.action.clone(), case.can.resource.clone());
    let (context, properties) = (facts(&case.context, "context")?, facts(&case.properties, "properties")?);
    Ok(Question { action, resource, context, properties, at })
}

/// What is decided after so many uses. The first that is denied decides, for nothing follows it.
fn after_uses(
    rehearsal: &mut Rehearsal,
    (who, question): (&ActorRef, &Question),
    times: u32,
) -> Result<Decision, Refusal> {
    for use_before in 1..=times {
        let decision = rehearsal.act(who, question)?;
        if !decision.allowed {
            let message = format!("use {use_before} of the {times} before it is denied already");
            let hint = decision.denials().next().map(|verdict| format!("{}: {}", verdict.layer, verdict.why));
            return Err(Refusal { hint, ..Refusal::new(Kind::Denied, message) });
        }
    }
    rehearsal.ask(who, question)
}

fn read_by(by: &[String], scene: &Scene, place: &str) -> Result<Vec<By>, Refusal> {
    let read = |(nth, text): (usize, &String)| {
        let field = format!("{place}.by[{nth}]");
        let (layer, of) = text.split_once(" of ").map_or((text.as_str(), None), |(layer, of)| (layer, Some(of)));
        let layer = serde_json::from_value(Value::String(layer.to_owned()));
        let layer: Layer =
            layer.map_err(|error| Refusal::new(Kind::Malformed, error.to_string()).field(field.clone()))?;
        Ok(By { layer, of: of.map(|of| actor(of, &field, scene.class)).transpose()? })
    };
    by.iter().enumerate().map(read).collect()
}

/// Whether exactly these deny.
fn denies_by(decision: &Decision, by: &[By]) -> bool {
    let fits = |by: &By, verdict: &Verdict| {
        by.layer == verdict.layer && by.of.as_ref().is_none_or(|actor| *actor == verdict.actor)
    };
    by.iter().all(|by| decision.denials().any(|verdict| fits(by, verdict)))
        && decision.denials().all(|verdict| by.iter().any(|by| fits(by, verdict)))
}

fn missing(decision: &Decision) -> BTreeSet<Permission> {
    decision.denials().filter_map(|verdict| Some(verdict.missing.as_ref()?.permission.clone())).collect()
}

fn set<T: Ord + Clone>(items: &[T]) -> BTreeSet<T> {
    items.iter().cloned().collect()
}

fn expected(case: &TestCase) -> String {
    let mut text = match case.expect {
        Expected::Allow => "allow".to_owned(),
        Expected::Deny => "deny".to_owned(),
    };
    text += &case.by.as_ref().map(|by| format!(" by {}", list(by))).unwrap_or_default();
    text += &case.missing.as_ref().map(|missing| format!(", missing {}", quoted(missing))).unwrap_or_default();
    text += &case.with.as_ref().map(|with| format!(" with {}", list(with))).unwrap_or_default();
    text
}

/// What was decided, told as far as the case expects something.
fn decided(case: &TestCase, decision: &Decision) -> String {
    if decision.allowed {
        let with = case.with.is_some().then(|| format!(" with {}", list(&decision.obligations)));
        return format!("allow{}", with.unwrap_or_default());
    }
    let mut by: Vec<String> = Vec::new();
    let own = decision.layers.first().map(|verdict| &verdict.actor);
    for verdict in decision.denials() {
        let of = if own == Some(&verdict.actor) { String::new() } else { format!(" of {}", verdict.actor) };
        by.push(format!("{}{of}", verdict.layer));
    }
    let missing: Vec<_> = missing(decision).into_iter().collect();
    let missing = case.missing.is_some().then(|| format!(", missing {}", quoted(&missing)));
    format!("deny by {}{}", list(&by), missing.unwrap_or_default())
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".into() } else { items.join(", ") }
}

fn quoted(permissions: &[Permission]) -> String {
    list(&permissions.iter().map(|permission| format!("`{permission}`")).collect::<Vec<_>>())
}
