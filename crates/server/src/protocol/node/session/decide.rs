//! Questions that a node cannot decide by itself, and the decisions that it made and has recorded.

use super::{After, Deciding, Session, Waiting};
use crate::app::App;
use crate::judge;
use crate::problem;
use crate::protocol::node::convert;
use credence_model::caller::Caller;
use credence_model::command::{Command, Held, Request};
use credence_model::decided::Decided;
use credence_model::id::NodeName;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_policy::inquiry::{Answer, INQUIRIES_MAX, Inquiry, Subject, Wish};
use credence_telemetry::span::Span;
use credence_wire::node as wire;
use credence_wire::node::to_node;
use futures_util::FutureExt as _;
use serde_json::Value;
use std::sync::Arc;

/// Most decisions that are recorded at once.
const RECORDED_MAX: usize = 512;

impl Session {
    /// Decided beside the reports, since nothing waits for it but whoever asked.
    pub(super) fn decide(&mut self, decide: wire::Decide, deciding: &mut Deciding) -> Result<(), Refusal> {
        let asker = convert::held(decide.held.as_ref(), "decide.held")?;
        let (app, node, part) = (Arc::clone(&self.app), self.node.clone(), self.part("decide"));
        let request = decide.request;
        let decided = async move {
            let _part = part;
            let answers = answers(&app, &node, asker, decide.questions).await;
            let written = answers.and_then(|answers| {
                serde_json::to_vec(&answers)
                    .map_err(|error| Refusal::new(Kind::Bug, format!("answers cannot be written: {error}")))
            });
            let (answers, refused) = match written {
                Ok(answers) => (answers, None),
                Err(refusal) => {
                    app.meters.refused(refusal.kind);
                    (Vec::new(), Some(problem::refused(&refusal)))
                }
            };
            to_node::Message::Decisions(wire::Decisions { request, answers, refused })
        };
        deciding.push(decided.boxed());
        Ok(())
    }

    /// In the order of the reports: an actor's end comes after what was decided about it. A node that says it again, because it
    /// did not hear the answer, finds it recorded.
    pub(super) fn record(&mut self, record: wire::Record, waiting: &mut Waiting) -> Result<(), Refusal> {
        let malformed = |message: String| convert::malformed("record.decided", message);
        if record.decided.is_empty() || record.decided.len() > RECORDED_MAX {
            return Err(malformed(format!("from 1 to {RECORDED_MAX} decisions are recorded at once")));
        }
        let read = |bytes: &Vec<u8>| serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()));
        let decided: Vec<Decided> = record.decided.iter().map(read).collect::<Result<_, _>>()?;
        let idempotency_key = decided.first().map(|first| format!("decisions {}", first.id));
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        let caller = Caller::Node { name: node.clone() };
        let request = Request { caller, idempotency_key, command: Command::RecordDecisions { node, decided } };
        let after = After::Recorded { request: record.request };
        waiting.push_back(Box::pin(async move { (after, Span::default(), app.cell.submit(request).await) }));
        Ok(())
    }
}

/// Decides what an actor of this node asks.
async fn answers(
    app: &App,
    node: &NodeName,
    asker: Held,
    questions: Vec<wire::Question>,
) -> Result<Vec<Answer>, Refusal> {
    if questions.is_empty() || questions.len() > INQUIRIES_MAX {
        let message = format!("from 1 to {INQUIRIES_MAX} questions are asked at once");
        return Err(convert::malformed("decide.questions", message));
    }
    let asker = judge::holder(app, node, asker).await?;
    let inquiries = questions.into_iter().enumerate().map(inquiry).collect::<Result<_, _>>()?;
    judge::answer_all(app, asker, inquiries).await
}

fn inquiry((index, question): (usize, wire::Question)) -> Result<Inquiry, Refusal> {
    let at = |field: &str| format!("decide.questions[{index}].{field}");
    let held = convert::held(question.held.as_ref(), &at("held"))?;
    let spiffe_id = SpiffeId::parse(&question.spiffe_id).map_err(|error| convert::malformed(at("spiffe_id"), error))?;
    let (subject, confirms) = (Subject { spiffe_id, held }, question.confirms);
    if question.action.is_empty() {
        return Ok(Inquiry { subject, wish: None, confirms });
    }
    let value = |field: &str, bytes: &[u8]| match bytes {
        [] => Ok(Value::Null),
        bytes => serde_json::from_slice(bytes).map_err(|error| convert::malformed(at(field), error)),
    };
    let wish = Wish {
        properties: value("properties", &question.properties)?,
        context: value("context", &question.context)?,
        action: question.action,
        kind: question.resource_type,
        id: question.resource_id,
    };
    Ok(Inquiry { subject, wish: Some(wish), confirms })
}
