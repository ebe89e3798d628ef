//! What is asked of an actor, as it is read before anything is decided.

use credence_model::id::{ActorRef, ClassRef, Digest};
use credence_model::permission::question::{Facts, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use serde_json::Value;

/// Longest context of a question, in bytes of its canonical JSON.
pub const CONTEXT_BYTES_MAX: usize = 64 * 1024;

/// What is asked of an actor.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The actor.
    pub actor: ActorRef,
    /// The class that it has to be of, if that was said.
    pub class: Option<ClassRef>,
    /// What is to be done.
    pub action: Name,
    /// To what.
    pub resource: Resource,
    /// What is known of the resource.
    pub properties: Facts,
    /// What else the request says.
    pub context: Facts,
    /// Of all that the request said.
    pub digest: Digest,
}

impl Asked {
    /// Reads a question about the resource of this kind and id. What is no name, and what is too large, is refused before
    /// anything is decided.
    ///
    /// # Errors
    /// [`Kind::Malformed`], with the field as AuthZEN calls it.
    pub fn read(
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

    /// The question, asked now.
    pub fn question(self, at: Timestamp) -> Question {
        let Self { action, resource, properties, context, .. } = self;
        Question { action, resource, context, properties, at }
    }
}
