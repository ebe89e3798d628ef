//! Decisions for whoever enforces them: the Authorization API of OpenID AuthZEN.
//!
//! SPEC: Authorization API 1.0 §6 (evaluation), §7 (evaluations), §8 (search), §9 (metadata). A denial is an answer, not an
//! error; members that are not known are ignored (§10), and one that is said twice is refused (threat T12).

pub mod search;
mod subject;

use super::decision::VerdictsView;
use crate::app::App;
use crate::asker::Asker;
use crate::judge::judge;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::refusal::{Kind, Refusal};
use credence_policy::asked::Asked;
use credence_policy::judged::Judged;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subject::{ACTOR, Sort, actor_of};

/// Most questions of one request.
pub const EVALUATIONS_MAX: usize = 64;
/// A subject or a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// Its type; a subject's is `actor`, or one that the server's configuration makes a namespace of actors.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id; of an `actor` it is `NAMESPACE/ACTOR` or its SPIFFE ID, of a configured type the id in its namespace.
    pub id: String,
    /// What is known of it.
    #[serde(default)]
    pub properties: Value,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// What is known of it.
    #[serde(default)]
    pub properties: Value,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationBody {
    /// Who.
    pub subject: Entity,
    /// Does what.
    pub action: Action,
    /// To what.
    pub resource: Entity,
    /// What else the request says.
    #[serde(default)]
    pub context: Value,
}

/// Questions; what one of them does not say is as said for all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EvaluationsBody {
    /// Who.
    pub subject: Option<Entity>,
    /// Does what.
    pub action: Option<Action>,
    /// To what.
    pub resource: Option<Entity>,
    /// What else the request says.
    pub context: Value,
    /// The questions; a single one without them. Each is read for itself: one that is wrong is denied.
    #[schemars(with = "Vec<PartialEvaluation>")]
    pub evaluations: Vec<Value>,
    /// How they are gone through.
    pub options: EvaluationOptions,
}

/// A question among several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PartialEvaluation {
    /// Who.
    pub subject: Option<Entity>,
    /// Does what.
    pub action: Option<Action>,
    /// To what.
    pub resource: Option<Entity>,
    /// What else the request says.
    pub context: Value,
}

/// How questions are gone through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EvaluationOptions {
    /// Until where.
    pub evaluations_semantic: Semantic,
}

/// Until where questions are gone through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Semantic {
    /// All of them.
    #[default]
    ExecuteAll,
    /// The first that is denied is the last.
    DenyOnFirstDeny,
    /// The first that is allowed is the last.
    PermitOnFirstPermit,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationAnswer {
    /// Whether it is allowed.
    pub decision: bool,
    /// Why.
    pub context: AnswerContext,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AnswerContext {
    /// It was decided.
    Decided(VerdictsView),
    /// It could not be decided, and so is denied.
    Error {
        /// What was wrong.
        error: Refusal,
    },
}

/// Answers, in the order of the questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationsAnswer {
    /// Whether the only question is allowed, if there was but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<bool>,
    /// Why, if there was but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<AnswerContext>,
    /// The answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<EvaluationAnswer>,
}

/// Where the questions are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthzenMetadata {
    /// Who decides.
    pub policy_decision_point: String,
    /// For one question.
    pub access_evaluation_endpoint: String,
    /// For several.
    pub access_evaluations_endpoint: String,
    /// For subjects that may do something.
    pub search_subject_endpoint: String,
    /// For resources to which somebody may do something.
    pub search_resource_endpoint: String,
    /// For actions that somebody may do.
    pub search_action_endpoint: String,
}

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        route(
            Method::POST,
            "/access/v1/evaluation",
            Who::Workload,
            "decides whether an actor may do something",
            evaluate,
        ),
        route(Method::POST, "/access/v1/evaluations", Who::Workload, "decides several such questions", evaluate_all),
        route(
            Method::GET,
            "/.well-known/authzen-configuration",
            Who::Anyone,
            "says where decisions are asked for",
            configuration,
        ),
    ];
    routes.extend(search::routes());
    // Decisions are in the journal, as many of them as the class says.
    routes.into_iter().map(Route::only_telling).collect()
}

async fn evaluate(ask: Ask<Nothing, EvaluationBody>) -> Result<EvaluationAnswer, Refusal> {
    answer(&ask.app, &mut Asker::of(&ask.app, &ask.caller)?, ask.body).await
}

async fn answer(app: &App, asker: &mut Asker, question: EvaluationBody) -> Result<EvaluationAnswer, Refusal> {
    let EvaluationBody { subject, action, resource, context } = question;
    let context = told(context, &subject.properties, &action.properties)?;
    let Some((actor, class)) = actor_of(app, &subject) else { return Ok(unknown(app, &subject)) };
    let to = (resource.kind.as_str(), resource.id.as_str());
    let asked = Asked { class, ..Asked::read(actor, &action.name, to, (&resource.properties, &context))? };
    let judged = match asker.may_ask(app, &asked.actor).await {
        Ok(()) => judge(app, &asker.caller, asked).await,
        Err(refusal) => Err(refusal),
    };
    match judged {
        Ok(judged) => Ok(EvaluationAnswer::of(judged)),
        // Who does not exist may do nothing.
        Err(refusal) if refusal.kind == Kind::NotFound => Ok(EvaluationAnswer::error(refusal)),
        Err(refusal) => Err(refusal),
    }
}

/// What the request says: its context, and in it, as `subject` and `action`, the properties of those. Of these names the context
/// itself says nothing, so that nobody is told to be an administrator by what was passed on.
fn told(context: Value, subject: &Value, action: &Value) -> Result<Value, Refusal> {
    let mut members = match context {
        Value::Null => Map::new(),
        Value::Object(members) => members,
        _ => return Err(Refusal::new(Kind::Malformed, "it is not an object").field("context")),
    };
    for (name, properties) in [("subject", subject), ("action", action)] {
        match properties {
            Value::Null => members.remove(name),
            Value::Object(_) => members.insert(name.to_owned(), properties.clone()),
            _ => {
                let field = format!("{name}.properties");
                return Err(Refusal::new(Kind::Malformed, "it is not an object").field(field));
            }
        };
    }
    Ok(Value::Object(members))
}

async fn evaluate_all(ask: Ask<Nothing, EvaluationsBody>) -> Result<EvaluationsAnswer, Refusal> {
    let (body, mut asker) = (&ask.body, Asker::of(&ask.app, &ask.caller)?);
    if body.evaluations.len() > EVALUATIONS_MAX {
        let message = format!("more than {EVALUATIONS_MAX} questions");
        return Err(Refusal::new(Kind::Limited, message).field("evaluations"));
    }
    let is_one = body.evaluations.is_empty();
    let alone = [Value::Object(Map::new())];
    let mut answers = Vec::new();
    for question in if is_one { alone.iter() } else { body.evaluations.iter() } {
        let answered = match whole(body, question) {
            Ok(question) => answer(&ask.app, &mut asker, question).await,
            Err(refusal) => Err(refusal),
        };
        let answer = match answered {
            Err(refusal) if is_one => return Err(refusal),
            // One that cannot be decided is denied, and the others go on.
            Err(refusal) => EvaluationAnswer::error(refusal),
            Ok(answer) => answer,
        };
        let is_last = match body.options.evaluations_semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !answer.decision,
            Semantic::PermitOnFirstPermit => answer.decision,
        };
        answers.push(answer);
        if is_last {
            break;
        }
    }
    match answers.pop() {
        Some(EvaluationAnswer { decision, context }) if is_one => {
            Ok(EvaluationsAnswer { decision: Some(decision), context: Some(context), evaluations: Vec::new() })
        }
        last => {
            answers.extend(last);
            Ok(EvaluationsAnswer { decision: None, context: None, evaluations: answers })
        }
    }
}

/// A question with what is said for all.
fn whole(all: &EvaluationsBody, one: &Value) -> Result<EvaluationBody, Refusal> {
    let wrong = |error: serde_json::Error| Refusal::new(Kind::Malformed, error.to_string()).field("evaluations");
    let one: PartialEvaluation = serde_json::from_value(one.clone()).map_err(wrong)?;
    let missing = |field: &str| Refusal::new(Kind::Malformed, format!("missing field `{field}`")).field(field);
    Ok(EvaluationBody {
        subject: one.subject.or_else(|| all.subject.clone()).ok_or_else(|| missing("subject"))?,
        action: one.action.or_else(|| all.action.clone()).ok_or_else(|| missing("action"))?,
        resource: one.resource.or_else(|| all.resource.clone()).ok_or_else(|| missing("resource"))?,
        context: if one.context.is_null() { all.context.clone() } else { one.context },
    })
}

async fn configuration(ask: Ask) -> Result<AuthzenMetadata, Refusal> {
    let at = format!("https://{}", ask.authority);
    Ok(AuthzenMetadata {
        access_evaluation_endpoint: format!("{at}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{at}/access/v1/evaluations"),
        search_subject_endpoint: format!("{at}/access/v1/search/subject"),
        search_resource_endpoint: format!("{at}/access/v1/search/resource"),
        search_action_endpoint: format!("{at}/access/v1/search/action"),
        policy_decision_point: at,
    })
}

fn unknown(app: &App, subject: &Entity) -> EvaluationAnswer {
    let message = match Sort::of(app, &subject.kind) {
        Some(_) => "the subject is no actor of this trust domain".to_owned(),
        None => format!("subjects are of the type `{ACTOR}`, or of one that is configured"),
    };
    EvaluationAnswer::error(Refusal::new(Kind::NotFound, message).field("subject"))
}

impl EvaluationAnswer {
    fn of(judged: Judged) -> Self {
        Self { decision: judged.decision.allowed, context: AnswerContext::Decided(VerdictsView::of(judged)) }
    }

    fn error(error: Refusal) -> Self {
        Self { decision: false, context: AnswerContext::Error { error } }
    }
}
