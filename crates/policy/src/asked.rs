//! What is asked of an actor, as it is read before anything is decided.

use credence_model::canonical_json;
use credence_model::id::{ActorRef, ClassRef, Digest};
use credence_model::permission::question::{Facts, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use serde_json::Value;

/// Longest context of a question, in bytes of its canonical JSON.
pub const CONTEXT_BYTES_MAX: usize = 64 * 1024;

/// Room for what most requests say.
const SAID_BYTES: usize = 256;

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
        Ok(Self {
            actor,
            class: None,
            digest: Self::check_size(properties, context)?,
            action: Self::action(action)?,
            resource: Self::resource(kind, id)?,
            properties: Self::facts("resource.properties", properties)?,
            context: Self::facts("context", context)?,
        })
    }

    /// Reads the name of an action.
    ///
    /// # Errors
    /// As [`Self::read`], as those below.
    pub fn action(name: &str) -> Result<Name, Refusal> {
        Name::parse(name).map_err(|error| Refusal::from(error).field("action.name"))
    }

    /// Reads a kind of resource.
    pub fn kind(name: &str) -> Result<Name, Refusal> {
        Name::parse(name).map_err(|error| Refusal::from(error).field("resource.type"))
    }

    /// Reads a resource.
    pub fn resource(kind: &str, id: &str) -> Result<Resource, Refusal> {
        Resource::new(Self::kind(kind)?, id).map_err(|error| Refusal::from(error).field("resource.id"))
    }

    /// Reads what a request says in this field.
    pub fn facts(field: &str, value: &Value) -> Result<Facts, Refusal> {
        match value {
            Value::Null => Ok(Facts::default()),
            value => Facts::read(value).map_err(|error| Refusal::new(Kind::Malformed, error.to_string()).field(field)),
        }
    }

    /// Whether what a request says is not too large; answers the digest of it.
    pub fn check_size(properties: &Value, context: &Value) -> Result<Digest, Refusal> {
        let mut said = String::with_capacity(SAID_BYTES);
        said.push('[');
        canonical_json::push(&mut said, properties);
        said.push(',');
        canonical_json::push(&mut said, context);
        said.push(']');
        if said.len() > CONTEXT_BYTES_MAX {
            let message = format!("longer than {CONTEXT_BYTES_MAX} bytes");
            return Err(Refusal::new(Kind::Malformed, message).field("context"));
        }
        Ok(Digest::of(said.as_bytes()))
    }

    /// The question, asked now.
    pub fn question(&self, at: Timestamp) -> Question {
        Question {
            action: self.action.clone(),
            resource: self.resource.clone(),
            context: self.context.clone(),
            properties: self.properties.clone(),
            at,
        }
    }
}
