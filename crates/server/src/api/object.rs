//! Objects that are applied: metadata and a spec.

use credence_control::Answered;
use credence_model::command::Answer;
use credence_model::label::Labels;
use credence_model::refusal::{Kind, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A class, pool or guard as it is put. `apiVersion` and `kind` stand in the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectBody<S> {
    /// Its name and labels.
    pub metadata: Metadata,
    /// What it is.
    pub spec: S,
}

/// Name and labels of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its namespace; must be the one of the path.
    pub namespace: String,
    /// Its name; must be the one of the path.
    pub name: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The version that the caller read: the request is refused if the object changed since. 0 means that it must not
    /// exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// What came of an apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The object's version now.
    pub version: u64,
    /// Number of its newest revision; 0 for a pool or guard.
    pub revision: u32,
    /// Whether anything changed.
    pub changed: bool,
}

/// Done; nothing more to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

impl Metadata {
    /// The object must be the one that the path names.
    pub(crate) fn check(&self, namespace: &str, name: &str) -> Result<(), Refusal> {
        let differs = |field: &str, here: &str, path: &str| {
            let message = format!("`{}` is not what the path says, {path}", here.escape_debug());
            Err(Refusal::new(Kind::Malformed, message).field(format!("metadata.{field}")))
        };
        if self.namespace != namespace {
            return differs("namespace", &self.namespace, namespace);
        }
        if self.name != name { differs("name", &self.name, name) } else { Ok(()) }
    }

    /// The version that the caller read, from here or from `If-Match`.
    pub(crate) fn if_version(&self, if_match: Option<u64>) -> Result<Option<u64>, Refusal> {
        match (self.version, if_match) {
            (Some(here), Some(there)) if here != there => {
                let message = "it differs from metadata.version; give one of the two";
                Err(Refusal::new(Kind::Malformed, message).field("If-Match"))
            }
            (here, there) => Ok(here.or(there)),
        }
    }
}

impl TryFrom<Answered> for Applied {
    type Error = Refusal;

    fn try_from(answered: Answered) -> Result<Self, Refusal> {
        match answered.answer {
            Answer::Applied { version, revision, changed } => Ok(Self { version, revision, changed }),
            _ => Err(Refusal::new(Kind::Bug, "applying was answered with something else")),
        }
    }
}
