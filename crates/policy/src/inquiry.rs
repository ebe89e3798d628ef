//! What a gateway or a tool asks about somebody else, and what it is answered.
//!
//! INVARIANT: a subject is named by what a credential proved, never by what a request says.

use crate::asked::Asked;
use crate::brief::Brief;
use crate::decision::Decision;
use crate::judged::Judged;
use crate::verdict::Verdict;
use credence_model::command::Held;
use credence_model::id::{ActorRef, ClassRef, DecisionId};
use credence_model::permission::obligation::STEP_UP;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an actor has to be allowed so that it may have decisions made about actors of a class: this action on the `agent` that is
/// the class.
pub const DECIDE: &str = "decide";

/// Most inquiries that are made at once.
pub const INQUIRIES_MAX: usize = 64;

/// A question about a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Inquiry {
    /// Who.
    pub subject: Subject,
    /// What it wants to do; nothing if it is only asked whether it may act at all.
    pub wish: Option<Wish>,
    /// Whether whoever asks has a person confirm it if that is a duty. If not, what needs that is not done.
    pub confirms: bool,
}

/// Who is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The binding in which it acts.
    pub held: Held,
}

/// What somebody wants to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The action.
    pub action: String,
    /// Kind of the resource.
    pub kind: String,
    /// Its name.
    pub id: String,
    /// What is known of it: an object, or null.
    pub properties: Value,
    /// What else the request says: an object, or null.
    pub context: Value,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Which decision it is; none if it was only asked whether the subject may act at all.
    pub decision: Option<DecisionId>,
    /// Whether every layer allows it.
    pub allowed: bool,
    /// What each layer says.
    pub verdicts: Vec<Verdict>,
    /// What has to happen beside it.
    pub obligations: Vec<String>,
    /// The subject.
    pub actor: ActorRef,
    /// Its class.
    pub class: ClassRef,
    /// The revision of that in force; 0 if none is.
    pub revision: u32,
    /// How long ago what this was decided from was certainly complete, in milliseconds.
    pub age_ms: u64,
}

impl Wish {
    /// Reads it, as asked of this actor.
    ///
    /// # Errors
    /// See [`Asked::read`].
    pub fn read(&self, actor: ActorRef) -> Result<Asked, Refusal> {
        let Self { action, kind, id, properties, context } = self;
        Asked::read(actor, action, (kind, id), (properties, context))
    }

    /// To have decisions made about actors of a class.
    pub fn to_decide(class: &ClassRef) -> Self {
        let (action, kind, id) = (DECIDE.to_owned(), "agent".to_owned(), class.to_string());
        Self { action, kind, id, properties: Value::Null, context: Value::Null }
    }
}

impl Answer {
    /// Whether a person has to confirm it before it is done.
    pub fn needs_person(&self) -> bool {
        self.obligations.iter().any(|duty| duty == STEP_UP)
    }

    /// What is answered of a decision.
    pub fn of(Judged { id, brief, decision }: Judged, age_ms: u64) -> Self {
        Self { decision: Some(id), ..Self::about(&brief, decision, age_ms) }
    }

    /// What is answered if it was only asked whether somebody may act at all.
    pub fn about(brief: &Brief, decision: Decision, age_ms: u64) -> Self {
        Self {
            decision: None,
            allowed: decision.allowed,
            verdicts: decision.layers,
            obligations: decision.obligations,
            actor: brief.actor.clone(),
            class: brief.class.clone(),
            revision: brief.revision,
            age_ms,
        }
    }
}

/// The refusal of somebody who asks about actors of a class and may not.
pub fn may_not_decide(asker: &ActorRef, class: &ClassRef, decision: &Decision) -> Option<Refusal> {
    let denial = decision.denials().next()?;
    let message = format!("actor {asker} may not have decisions made about actors of class {class}: {}", denial.why);
    let refusal = Refusal::new(Kind::Denied, message);
    Some(match &denial.missing {
        Some(missing) => refusal.hint(format!("Ask {} for `{}`", missing.who, missing.permission)),
        None => refusal,
    })
}
