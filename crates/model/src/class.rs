//! Classes: what an agent is, for a person and a program; and their immutable revisions.

pub mod consent;
pub mod diff;
pub mod permissions;

use crate::caller::Caller;
use crate::canonical_json;
use crate::class::consent::Consent;
use crate::class::permissions::Permissions;
use crate::id::{ClassRef, Digest};
use crate::label::{Labels, Selector, check_labels};
use crate::refusal::{Kind, Refusal};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest description of a class, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;
/// Longest one-line text of a class (owner, purpose, a model's name …), in bytes.
pub const LINE_BYTES_MAX: usize = 512;
/// Most models, skills, tools, arguments or variables of a class, each.
pub const LIST_ITEMS_MAX: usize = 256;
/// Longest life of an X.509-SVID, in seconds: the bound of promise G3.
pub const X509_TTL_SECS_MAX: u64 = 900;
/// Shortest life of a credential, in seconds.
pub const TTL_SECS_MIN: u64 = 10;
/// Longest life of a JWT-SVID, in seconds.
pub const JWT_TTL_SECS_MAX: u64 = 900;

/// What an agent is and how its instances run. The digest of its canonical JSON names a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ClassSpec {
    /// Name for people.
    pub display_name: String,
    /// Who answers for it: an address or a team. Required.
    pub owner: String,
    /// Who wanted it and pays for it.
    pub sponsor: String,
    /// What it is for, in one line.
    pub purpose: String,
    /// What it does, at length.
    pub description: String,
    /// Models it uses.
    pub models: Vec<Model>,
    /// Skills it offers to others.
    pub skills: Vec<Skill>,
    /// Tools it calls.
    pub tools: Vec<Tool>,
    /// How an instance runs.
    pub runtime: Runtime,
    /// How its credentials are made.
    pub credentials: Credentials,
    /// What it may do at most.
    #[serde(skip_serializing_if = "Permissions::is_default")]
    pub permissions: Permissions,
}

/// A model that an agent uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Model {
    /// Name of the model, as its provider spells it.
    pub model: String,
    /// Who provides it.
    #[serde(default)]
    pub provider: String,
}

/// A skill that an agent offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Skill {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
}

/// A tool that an agent calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Tool {
    /// Its name (`server/tool`).
    pub name: String,
    /// What it is used for.
    #[serde(default)]
    pub description: String,
}

/// How an instance of a class runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Runtime {
    /// Program and arguments; empty if instances are only ever bound to programs that run already (`credence run`).
    pub command: Vec<String>,
    /// Environment variables with fixed values. Never a secret.
    pub env: Vec<EnvVar>,
    /// Names of variables that are passed on from the node's own environment.
    pub pass_env: Vec<String>,
    /// Which pools may run it.
    pub pool_selector: Selector,
    /// How long a program may take to end after SIGTERM before it is killed, in seconds (0 to 60).
    pub stop_grace_secs: u64,
    /// What becomes of an actor whose worker was lost, once the lease is over.
    pub on_lost: OnLost,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            env: Vec::new(),
            pass_env: Vec::new(),
            pool_selector: Selector::default(),
            stop_grace_secs: 5,
            on_lost: OnLost::Resume,
        }
    }
}

/// An environment variable with a fixed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// What becomes of an actor whose worker was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnLost {
    /// It is resumed on another worker.
    #[default]
    Resume,
    /// It stays suspended until somebody resumes it.
    Suspend,
}

/// How the credentials of a class's actors are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Credentials {
    /// Life of an X.509-SVID, in seconds (10 to 900).
    pub x509_ttl_secs: u64,
    /// Life of a JWT-SVID, in seconds (10 to 900).
    pub jwt_ttl_secs: u64,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { x509_ttl_secs: X509_TTL_SECS_MAX, jwt_ttl_secs: 300 }
    }
}

impl ClassSpec {
    /// The bytes whose SHA-256 names the revision: canonical JSON, keys sorted, no spaces.
    pub fn canonical(&self) -> String {
        canonical_json::write(self)
    }

    /// Digest of [`Self::canonical`].
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().as_bytes())
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), Refusal> {
        if self.owner.trim().is_empty() {
            return Err(malformed("spec.owner", "every class has an owner")
                .hint("Name who answers for it, e.g. finance@example.org"));
        }
        let lines = [
            ("spec.displayName", &self.display_name),
            ("spec.owner", &self.owner),
            ("spec.sponsor", &self.sponsor),
            ("spec.purpose", &self.purpose),
        ];
        lines.into_iter().try_for_each(|(field, text)| check_line(field, text))?;
        check_text("spec.description", &self.description)?;
        self.validate_lists()?;
        self.runtime.validate()?;
        check_range("spec.credentials.x509TtlSecs", self.credentials.x509_ttl_secs, TTL_SECS_MIN, X509_TTL_SECS_MAX)?;
        check_range("spec.credentials.jwtTtlSecs", self.credentials.jwt_ttl_secs, TTL_SECS_MIN, JWT_TTL_SECS_MAX)?;
        self.permissions.validate()
    }

    fn validate_lists(&self) -> Result<(), Refusal> {
        let models = self.models.iter().map(|model| ("model", &model.model));
        let skills = self.skills.iter().map(|skill| ("name", &skill.name));
        let tools = self.tools.iter().map(|tool| ("name", &tool.name));
        check_named("spec.models", models)?;
        check_named("spec.skills", skills)?;
        check_named("spec.tools", tools)?;
        let models = self.models.iter().map(|model| &model.provider);
        let models = models.enumerate().map(|(index, text)| (format!("spec.models[{index}].provider"), text));
        let skills = self.skills.iter().map(|skill| &skill.description);
        let skills = skills.enumerate().map(|(index, text)| (format!("spec.skills[{index}].description"), text));
        let tools = self.tools.iter().map(|tool| &tool.description);
        let tools = tools.enumerate().map(|(index, text)| (format!("spec.tools[{index}].description"), text));
        models.chain(skills).chain(tools).try_for_each(|(field, text)| check_text(&field, text))
    }
}

impl Runtime {
    fn validate(&self) -> Result<(), Refusal> {
        for (field, count) in [
            ("spec.runtime.command", self.command.len()),
            ("spec.runtime.env", self.env.len()),
            ("spec.runtime.passEnv", self.pass_env.len()),
        ] {
            if count > LIST_ITEMS_MAX {
                return Err(malformed(field, format!("more than {LIST_ITEMS_MAX} items")));
            }
        }
        for (index, argument) in self.command.iter().enumerate() {
            check_word(&format!("spec.runtime.command[{index}]"), argument)?;
        }
        for (index, variable) in self.env.iter().enumerate() {
            check_env_name(&format!("spec.runtime.env[{index}].name"), &variable.name)?;
            check_word(&format!("spec.runtime.env[{index}].value"), &variable.value)?;
        }
        for (index, name) in self.pass_env.iter().enumerate() {
            check_env_name(&format!("spec.runtime.passEnv[{index}]"), name)?;
        }
        check_labels("spec.runtime.poolSelector.matchLabels", &self.pool_selector.match_labels)?;
        check_range("spec.runtime.stopGraceSecs", self.stop_grace_secs, 0, 60)
    }
}

fn malformed(field: impl Into<String>, why: impl Into<String>) -> Refusal {
    Refusal::new(Kind::Malformed, why).field(field)
}

fn check_line(field: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > LINE_BYTES_MAX {
        Err(malformed(field, format!("longer than {LINE_BYTES_MAX} bytes")))
    } else if text.chars().any(char::is_control) {
        Err(malformed(field, "holds a control character; it must be one line of text"))
    } else {
        Ok(())
    }
}

fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > DESCRIPTION_BYTES_MAX {
        return Err(malformed(field, format!("longer than {DESCRIPTION_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// What becomes an argument or a variable of a process.
fn check_word(field: &str, text: &str) -> Result<(), Refusal> {
    if text.contains('\0') {
        return Err(malformed(field, "holds a NUL byte"));
    }
    check_text(field, text)
}

fn check_named<'a>(list: &str, names: impl Iterator<Item = (&'static str, &'a String)>) -> Result<(), Refusal> {
    for (index, (member, name)) in names.enumerate() {
        let field = format!("{list}[{index}].{member}");
        if index >= LIST_ITEMS_MAX {
            return Err(malformed(list, format!("more than {LIST_ITEMS_MAX} items")));
        }
        if name.trim().is_empty() {
            return Err(malformed(field, "it is empty"));
        }
        check_line(&field, name)?;
    }
    Ok(())
}

fn check_env_name(field: &str, name: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(legal) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(malformed(field, "a variable's name is letters, digits and _, not beginning with a digit"));
    }
    if name.starts_with("SPIFFE_") || name.starts_with("CREDENCE_") {
        return Err(malformed(field, format!("{name} is set by the node for every actor and cannot be overridden")));
    }
    Ok(())
}

fn check_range(field: &str, value: u64, min: u64, max: u64) -> Result<(), Refusal> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(malformed(field, format!("{value} is not from {min} to {max}")))
    }
}

impl<C> minicbor::Encode<C> for ClassSpec {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.canonical())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for ClassSpec {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        serde_json::from_str(d.str()?).map_err(|error| minicbor::decode::Error::message(error.to_string()))
    }
}

/// In a snapshot a class is its canonical JSON, as in the journal: what it says by default takes no place there.
mod as_text {
    use super::ClassSpec;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::borrow::Cow;
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(spec: &ClassSpec, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&spec.canonical())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<ClassSpec>, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        serde_json::from_str(&text).map(Arc::new).map_err(serde::de::Error::custom)
    }
}

/// A class in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its namespace and name.
    pub class: ClassRef,
    /// Labels for people and selectors.
    pub labels: Labels,
    /// Index of the journal entry that changed it last: the precondition of an update.
    pub version: u64,
    /// Whether its actors may be bound at all.
    pub enabled: bool,
    /// All revisions, by number; numbers begin at 1 and are never reused.
    pub revisions: BTreeMap<u32, Revision>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An immutable version of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// What it says. Shared with everything that follows from it.
    #[serde(with = "as_text")]
    pub spec: Arc<ClassSpec>,
    /// SHA-256 of the canonical JSON of `spec`.
    pub digest: Digest,
    /// Whether actors may be bound under it.
    pub allowed: bool,
    /// Whether an administrator consented to what it permits.
    pub consent: Consent,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Caller,
}

impl Class {
    /// The newest revision, allowed or not.
    pub fn newest(&self) -> Option<(u32, &Revision)> {
        self.revisions.last_key_value().map(|(number, revision)| (*number, revision))
    }

    /// The revision that a new binding runs and that says what instances may do: the newest one that is allowed and has its
    /// consent.
    pub fn in_force(&self) -> Option<(u32, &Revision)> {
        self.newest_where(|revision| revision.allowed && revision.consent.holds())
    }

    /// The revision that a new one is compared with.
    pub fn consented(&self) -> Option<(u32, &Revision)> {
        self.newest_where(|revision| revision.consent.holds())
    }

    fn newest_where(&self, is: impl Fn(&Revision) -> bool) -> Option<(u32, &Revision)> {
        self.revisions.iter().rev().find(|(_, revision)| is(revision)).map(|(number, revision)| (*number, revision))
    }
}
