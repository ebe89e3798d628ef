//! Tests of what a class permits, as data: who asks what when, and what has to come of it. `credence class test` runs them.
//!
//! What is written here as text and is no type of the model (users, times, the names of layers) is read by whoever runs the
//! test, which gives a mistake its line with [`crate::Manifest::locate`].

use credence_model::id::{ActorId, ClassRef};
use credence_model::label::Labels;
use credence_model::permission::Permission;
use credence_model::permission::deed::Deed;
use credence_model::refusal::{Kind, Refusal};
use serde::Deserialize;
use serde_json::Value;

/// Most files of classes that a test names.
pub const CLASS_FILES_MAX: usize = 64;
/// Most actors of a test, and most delegations.
pub const ACTORS_MAX: usize = 256;
/// Most cases of a test.
pub const CASES_MAX: usize = 1_000;
/// Most uses before a case.
pub const USED_BEFORE_MAX: u32 = 1_000;

/// Cases about a class, and the registry in which they are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ClassTest {
    /// Files with the classes and guards that it needs, relative to this one. Those in the file itself are there anyway.
    pub classes: Vec<String>,
    /// When everything is created, and when a case asks that does not say so itself (RFC 3339).
    pub at: Option<String>,
    /// Consents that are limited; to every other class there is one to all that it permits.
    pub consents: Vec<TestConsent>,
    /// The actors, parents before their children.
    pub actors: Vec<TestActor>,
    /// What was delegated.
    pub delegations: Vec<TestDelegation>,
    /// What is asked.
    pub cases: Vec<TestCase>,
}

/// A consent that is limited.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TestConsent {
    /// To which class; the one that is tested if missing.
    #[serde(default)]
    pub class: Option<ClassRef>,
    /// Only to these, of what it permits.
    pub only: Vec<Permission>,
}

/// An actor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TestActor {
    /// Its id.
    pub id: ActorId,
    /// Its class; the one that is tested if missing.
    #[serde(default)]
    pub class: Option<ClassRef>,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// The user for whom it acts, as `NAME@ISSUER`.
    #[serde(default)]
    pub user: Option<String>,
    /// The session of that user.
    #[serde(default)]
    pub session: Option<String>,
    /// The actor that spawned it.
    #[serde(default)]
    pub parent: Option<String>,
}

/// A delegation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TestDelegation {
    /// Who delegates: `NAME@ISSUER`, or `actor/ID`.
    pub by: String,
    /// To whom: `actor/ID`, or `class/NAME`.
    pub to: String,
    /// What is allowed.
    pub allow: Vec<Permission>,
    /// Only to actors in this session.
    #[serde(default)]
    pub session: Option<String>,
    /// From when on (RFC 3339).
    #[serde(default)]
    pub not_before: Option<String>,
    /// Until when (RFC 3339); an hour if missing.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// How often.
    #[serde(default)]
    pub uses: Option<u64>,
}

/// A question, and what has to come of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TestCase {
    /// What it is called; what it asks if missing.
    #[serde(default)]
    pub name: Option<String>,
    /// Which actor asks; the first one if missing.
    #[serde(default)]
    pub actor: Option<String>,
    /// What it asks, as a permission says it: `tool expenses/submit`.
    pub can: Deed,
    /// What the request says beside it.
    #[serde(default)]
    pub context: Value,
    /// What is known of the resource.
    #[serde(default)]
    pub properties: Value,
    /// When (RFC 3339).
    #[serde(default)]
    pub at: Option<String>,
    /// How often the same was done before, each time allowed.
    #[serde(default)]
    pub used_before: u32,
    /// What has to come of it.
    pub expect: Expected,
    /// Denied by exactly these layers: `class`, or `class of ID` if it is about an ancestor.
    #[serde(default)]
    pub by: Option<Vec<String>>,
    /// Denied, and exactly these grants are named that would change it.
    #[serde(default)]
    pub missing: Option<Vec<Permission>>,
    /// Allowed with exactly these obligations.
    #[serde(default)]
    pub with: Option<Vec<String>>,
}

/// What has to come of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It is allowed.
    Allow,
    /// It is denied.
    Deny,
}

impl ClassTest {
    /// Checks what the types cannot say.
    pub(crate) fn validate(&self) -> Result<(), Refusal> {
        let lengths = [
            ("classes", self.classes.len(), CLASS_FILES_MAX),
            ("consents", self.consents.len(), CLASS_FILES_MAX),
            ("actors", self.actors.len(), ACTORS_MAX),
            ("delegations", self.delegations.len(), ACTORS_MAX),
            ("cases", self.cases.len(), CASES_MAX),
        ];
        if let Some((field, _, most)) = lengths.iter().find(|(_, length, most)| length > most) {
            return Err(wrong(format!("spec.{field}"), format!("more than {most} items")));
        }
        if self.cases.is_empty() {
            return Err(wrong("spec.cases".into(), "there is no case in it".into()));
        }
        self.cases.iter().enumerate().try_for_each(|(nth, case)| case.validate(&format!("spec.cases[{nth}]")))
    }
}

impl TestCase {
    fn validate(&self, field: &str) -> Result<(), Refusal> {
        if self.used_before > USED_BEFORE_MAX {
            let message = format!("{} is not from 0 to {USED_BEFORE_MAX}", self.used_before);
            return Err(wrong(format!("{field}.usedBefore"), message));
        }
        let beside = match self.expect {
            Expected::Allow if self.by.is_some() => "by",
            Expected::Allow if self.missing.is_some() => "missing",
            Expected::Deny if self.with.is_some() => "with",
            _ => return Ok(()),
        };
        let word = if self.expect == Expected::Allow { "denied" } else { "allowed" };
        Err(wrong(format!("{field}.{beside}"), format!("this is said of what is {word}")))
    }
}

fn wrong(field: String, message: String) -> Refusal {
    Refusal::new(Kind::Malformed, message).field(field)
}
