//! Verdicts: what each layer says, and what it would take for it to say otherwise.

use crate::brief::Brief;
use credence_model::id::ActorRef;
use credence_model::permission::Permission;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};

/// Room for a sentence, in bytes.
const SENTENCE_BYTES: usize = 192;

/// What one layer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Of which actor: the one that asks, or an ancestor of it; `NAMESPACE/ACTOR`.
    #[serde(with = "as_text")]
    #[schemars(with = "String")]
    pub actor: ActorRef,
    /// Which layer.
    pub layer: Layer,
    /// Whether it allows.
    pub allowed: bool,
    /// By what, in a sentence.
    pub why: String,
    /// The smallest grant that would make it allow, if one would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// A layer of an actor's permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Whether the actor may do anything: it has not ended, and its class is enabled.
    Standing,
    /// The ceiling of its class.
    Class,
    /// An administrator's consent to that.
    Consent,
    /// What its user, or the actor that spawned it, delegated.
    Delegation,
    /// What the owner of the resource lets agents do to it.
    Guard,
    /// What is left of a budget.
    Budget,
}

/// A grant that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// What would have to be granted.
    pub permission: Permission,
    /// Who could.
    pub who: String,
}

mod as_text {
    use credence_model::id::ActorRef;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(actor: &ActorRef, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(actor)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ActorRef, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A sentence, in room that most of them fit in: one that grows piece by piece costs more than what it tells of.
pub(crate) fn sentence(of: fmt::Arguments) -> String {
    let mut sentence = String::with_capacity(SENTENCE_BYTES);
    // Writing to a text does not fail.
    let _ = sentence.write_fmt(of);
    sentence
}

impl Verdict {
    pub(crate) fn allow(brief: &Brief, layer: Layer, why: String) -> Self {
        Self { actor: brief.actor.clone(), layer, allowed: true, why, missing: None }
    }

    pub(crate) fn deny(brief: &Brief, layer: Layer, why: String, missing: Option<Missing>) -> Self {
        Self { actor: brief.actor.clone(), layer, allowed: false, why, missing }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Standing => "standing",
            Self::Class => "class",
            Self::Consent => "consent",
            Self::Delegation => "delegation",
            Self::Guard => "guard",
            Self::Budget => "budget",
        })
    }
}
