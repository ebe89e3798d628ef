//! Where questions are decided: on the registry as it is recorded, in the cell, and recorded before they are answered.

use crate::app::App;
use crate::compiled::CompiledPolicies;
use credence_model::caller::Caller;
use credence_model::class::ClassSpec;
use credence_model::command::{Command, Request};
use credence_model::decided::{Decided, Said, WHY_BYTES_MAX};
use credence_model::id::{ActorRef, ClassRef, DecisionId, Digest, ID_ENTROPY_BYTES};
use credence_model::permission::question::{Facts, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_policy::brief::Brief;
use credence_policy::decision::{Decision, decide};
use credence_policy::verdict::Verdict;
use serde_json::Value;
use std::sync::Arc;

/// How often a question is decided anew because somebody else used up meanwhile what it was to use.
const TRIES: usize = 3;
/// Longest context of a question, in bytes of its canonical JSON.
pub const CONTEXT_BYTES_MAX: usize = 64 * 1024;

/// What is asked of an actor.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) actor: ActorRef,
    /// The class that it has to be of, if that was said.
    pub(crate) class: Option<ClassRef>,
    pub(crate) action: Name,
    pub(crate) resource: Resource,
    pub(crate) properties: Facts,
    pub(crate) context: Facts,
    /// Of all that the request said.
    pub(crate) digest: Digest,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) id: DecisionId,
    pub(crate) brief: Brief,
    pub(crate) decision: Decision,
}

impl Asked {
    /// Reads a question. What is no name, and what is too large, is refused before anything is decided.
    pub(crate) fn read(
        actor: ActorRef,
        action: &str,
        (kind, id): (&str, &str),
        (properties, context): (&Value, &Value),
    ) -> Result<Self, Refusal> {
        let malformed = |field: &str, error: String| Refusal::new(Kind::Malformed, error).field(field);
        let facts = |field: &str, value: &Value| match value {
            Value::Null => Ok(Facts::default()),
            value => Facts::read(value).map_err(|error| malformed(field, error.to_string())),
        };
        let kind = Name::parse(kind).map_err(|error| malformed("resource.type", error.to_string()))?;
        let said = credence_model::canonical_json::write(&serde_json::json!([properties, context]));
        if said.len() > CONTEXT_BYTES_MAX {
            return Err(malformed("context", format!("longer than {CONTEXT_BYTES_MAX} bytes")));
        }
        Ok(Self {
            actor,
            class: None,
            action: Name::parse(action).map_err(|error| malformed("action.name", error.to_string()))?,
            resource: Resource::new(kind, id).map_err(|error| malformed("resource.id", error.to_string()))?,
            properties: facts("resource.properties", properties)?,
            context: facts("context", context)?,
            digest: Digest::of(said.as_bytes()),
        })
    }
}

/// Decides, and changes nothing.
pub(crate) async fn consider(app: &App, asked: Asked) -> Result<Judged, Refusal> {
    let now = app.clock.now();
    let mut entropy = [0; ID_ENTROPY_BYTES];
    aws_lc_rs::rand::fill(&mut entropy).map_err(|_| Refusal::new(Kind::Unavailable, "the system has no randomness"))?;
    let id = DecisionId::generate(now, entropy);
    for _ in 0..TRIES {
        let (asked, compiled) = (asked.clone(), app.policies.clone());
        let look = move |state: &State| look(state, asked, &compiled, now);
        match app.cell.read(look).await?? {
            Looked::Decided(brief, decision) => return Ok(Judged { id, brief: *brief, decision }),
            Looked::Uncompiled(all) => {
                for (digest, spec) in all {
                    app.policies.compile(digest, spec).await?;
                }
            }
        }
    }
    Err(Refusal::new(Kind::Unavailable, "its class changes all the time").retry_after_ms(100))
}

/// What one look at the registry comes to.
enum Looked {
    Decided(Box<Brief>, Decision),
    /// Policies that have to be compiled first.
    Uncompiled(Vec<(Digest, Arc<ClassSpec>)>),
}

fn look(state: &State, asked: Asked, compiled: &CompiledPolicies, now: Timestamp) -> Result<Looked, Refusal> {
    if let Some(hold) = &state.hold {
        return Err(hold.refusal());
    }
    let Asked { actor, class, action, resource, properties, context, .. } = asked;
    let brief = Brief::of(state, &actor, &|digest| compiled.of(digest));
    let brief = brief.filter(|brief| class.is_none_or(|class| class == brief.class));
    let unknown = || Refusal::new(Kind::NotFound, format!("there is no actor {actor}")).field("subject.id");
    let brief = Box::new(brief.ok_or_else(unknown)?);
    let uncompiled = brief.uncompiled();
    if !uncompiled.is_empty() {
        return Ok(Looked::Uncompiled(uncompiled));
    }
    let question = Question { action, resource, context, properties, at: now };
    let spent = |actor: &ActorRef, budget, since| state.budgets.taken(actor, budget, since);
    let decision = decide(&brief, &question, &state.guards, &spent);
    Ok(Looked::Decided(brief, decision))
}

/// Decides, takes what that uses up, and records it: what is answered is in the journal.
pub(crate) async fn judge(app: &App, caller: &Caller, asked: &Asked) -> Result<Judged, Refusal> {
    for _ in 0..TRIES {
        let judged = consider(app, asked.clone()).await?;
        let decided = is_recorded(&judged).then(|| Box::new(told(&judged, asked)));
        let using = judged.decision.using.clone();
        if decided.is_none() && using.delegations.is_empty() && using.budgets.is_empty() {
            return Ok(judged);
        }
        let (actor, delegations, budgets) = (asked.actor.clone(), using.delegations, using.budgets);
        let command = Command::Use { actor, decided, delegations, budgets };
        match app.cell.submit(Request { caller: caller.clone(), idempotency_key: None, command }).await {
            Ok(_) => return Ok(judged),
            // Somebody else was quicker.
            Err(refusal) if refusal.kind == Kind::Denied => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let message = "what it uses up is asked for by many at once";
    Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(100))
}

/// Denials always are, and what has to be logged; of others as many as the class says.
fn is_recorded(judged: &Judged) -> bool {
    let Judged { id, brief, decision } = judged;
    let one_in = u128::from(brief.spec.permissions.record.allowed_one_in.max(1));
    !decision.allowed || decision.obligations.iter().any(|duty| duty == "log") || id.number().is_multiple_of(one_in)
}

fn told(judged: &Judged, asked: &Asked) -> Decided {
    let Judged { id, brief, decision } = judged;
    Decided {
        id: *id,
        actor: asked.actor.clone(),
        class: brief.class.clone(),
        revision: brief.revision,
        action: asked.action.to_string(),
        resource: asked.resource.to_string(),
        context: asked.digest,
        allowed: decision.allowed,
        verdicts: decision.layers.iter().map(said).collect(),
        obligations: decision.obligations.clone(),
    }
}

fn said(verdict: &Verdict) -> Said {
    let missing = verdict.missing.as_ref();
    Said {
        actor: verdict.actor.clone(),
        layer: verdict.layer.to_string(),
        allowed: verdict.allowed,
        why: cut(&verdict.why),
        missing: missing.map(|missing| format!("`{}`, from {}", missing.permission, missing.who)),
    }
}

fn cut(text: &str) -> String {
    let end = (0..=WHY_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}
