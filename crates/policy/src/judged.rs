//! A decision with what it was made from: whether it is recorded, and as what.

use crate::asked::Asked;
use crate::brief::Brief;
use crate::decision::Decision;
use crate::verdict::Verdict;
use credence_model::decided::{Decided, Said, WHY_BYTES_MAX};
use credence_model::id::DecisionId;
use std::sync::Arc;

/// What came of a question.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Which decision it is.
    pub id: DecisionId,
    /// What was known of the actor.
    pub brief: Arc<Brief>,
    /// What was decided.
    pub decision: Decision,
}

impl Judged {
    /// Denials always are, and what has to be logged; of others as many as the class says.
    pub fn is_recorded(&self) -> bool {
        let one_in = u128::from(self.brief.spec.permissions.record.allowed_one_in.max(1));
        !self.decision.allowed || self.decision.is_logged() || self.id.number().is_multiple_of(one_in)
    }

    /// As it is recorded.
    pub fn told(&self, asked: &Asked) -> Decided {
        let Self { id, brief, decision } = self;
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
}

fn said(verdict: &Verdict) -> Said {
    let missing = verdict.missing.as_ref();
    Said {
        actor: verdict.actor.clone(),
        layer: verdict.layer.to_string(),
        allowed: verdict.allowed,
        why: cut(&verdict.why),
        missing: missing.map(|missing| cut(&format!("`{}`, from {}", missing.permission, missing.who))),
    }
}

fn cut(text: &str) -> String {
    let end = (0..=WHY_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}
