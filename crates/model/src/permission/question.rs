//! What is asked: an action on a resource, and what is known of it. And whether a permission answers it.

use super::Permission;
use super::condition::{Attribute, Condition, Constraint, DAYS, Range};
use super::decimal::Decimal;
use super::target::{Name, Resource};
use crate::id::{ActorRef, ClassRef};
use crate::label::Labels;
use crate::time::Timestamp;
use crate::user::User;
use serde_json::Value;
use smol_str::{SmolStr, ToSmolStr};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most attributes of a question, and of its resource.
pub const ATTRIBUTES_MAX: usize = 256;
/// Numbers with digits behind the point are compared if they are smaller than this.
const EXACT_BELOW: f64 = 1e11;
/// How deep an attribute may lie.
pub const DEPTH_MAX: usize = 8;

/// One request, as the layers see it. Who asks is said beside it: each layer of a chain sees another actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is to be done.
    pub action: Name,
    /// To what.
    pub resource: Resource,
    /// What the caller says of the request.
    pub context: Facts,
    /// What is known of the resource.
    pub properties: Facts,
    /// When.
    pub at: Timestamp,
}

/// An actor, as conditions see it: what the registry knows of it, and nothing that it says itself.
#[derive(Debug, Clone, Copy)]
pub struct Principal<'a> {
    /// Which.
    pub actor: &'a ActorRef,
    /// Its class.
    pub class: &'a ClassRef,
    /// The user for whom it acts, if it does for one.
    pub user: Option<&'a User>,
    /// Its labels.
    pub labels: &'a Labels,
}

/// Attributes by their paths. Clones share them: a question goes to each layer and to whoever records it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(Arc<BTreeMap<SmolStr, Fact>>);

/// What is known of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A number that is exact.
    Number(Decimal),
    /// A text.
    Word(SmolStr),
    /// True or false.
    Truth(bool),
    /// A list of texts.
    Words(Vec<SmolStr>),
    /// Something that no condition compares: nothing, an object, a list of other things, a number with more digits than are
    /// compared.
    Other,
}

/// Why facts cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// Too many.
    #[error("more than {ATTRIBUTES_MAX} attributes")]
    Many,
    /// Too deep.
    #[error("attributes lie deeper than {DEPTH_MAX} objects")]
    Deep,
    /// Not an object.
    #[error("it is not an object")]
    NoObject,
}

/// Whether a permission answers a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match<'a> {
    /// It is about something else.
    Beside,
    /// It is about this, and all its conditions hold.
    Holds,
    /// It is about this, and these of its conditions do not hold.
    Unmet(Vec<Unmet<'a>>),
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet<'a> {
    /// The condition.
    pub condition: &'a Condition,
    /// Why.
    pub why: Why,
}

/// Why a condition does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The request does not say it.
    Missing,
    /// The request says something of another type.
    Type,
    /// It is otherwise.
    Otherwise(Fact),
    /// The amount is in another currency, or in none.
    Currency,
}

impl Facts {
    /// Reads a JSON object. A member whose name is no attribute's cannot be asked for.
    ///
    /// # Errors
    /// If it is none, or too large.
    pub fn read(value: &Value) -> Result<Self, FactsError> {
        let Value::Object(members) = value else { return Err(FactsError::NoObject) };
        let mut facts = BTreeMap::new();
        add(&mut facts, "", members, 1)?;
        Ok(Self(Arc::new(facts)))
    }

    /// What is known of this one.
    pub fn at(&self, path: &str) -> Option<&Fact> {
        self.0.get(path)
    }

    /// Says one.
    pub fn insert(&mut self, path: impl Into<SmolStr>, fact: Fact) {
        Arc::make_mut(&mut self.0).insert(path.into(), fact);
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&SmolStr, &Fact)> {
        self.0.iter()
    }
}

/// Reads members that lie so deep, under this path.
fn add(
    facts: &mut BTreeMap<SmolStr, Fact>,
    path: &str,
    members: &serde_json::Map<String, Value>,
    depth: usize,
) -> Result<(), FactsError> {
    if depth > DEPTH_MAX {
        return Err(FactsError::Deep);
    }
    for (name, value) in members {
        if facts.len() >= ATTRIBUTES_MAX {
            return Err(FactsError::Many);
        }
        // A point in a name would make it another path.
        let path = match name.contains('.') {
            true => continue,
            false if path.is_empty() => SmolStr::from(name.as_str()),
            false => SmolStr::from(format!("{path}.{name}")),
        };
        if let Value::Object(members) = value {
            add(facts, &path, members, depth + 1)?;
        }
        facts.insert(path, Fact::of(value));
    }
    Ok(())
}

impl Fact {
    fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) if !is_exact(number) => Self::Other,
            Value::Number(number) => Decimal::parse(&number.to_string()).map_or(Self::Other, Self::Number),
            Value::String(text) => Self::Word(text.as_str().into()),
            Value::Bool(truth) => Self::Truth(*truth),
            Value::Array(items) => {
                let word = |item: &Value| item.as_str().map(SmolStr::from);
                items.iter().map(word).collect::<Option<_>>().map_or(Self::Other, Self::Words)
            }
            Value::Object(_) | Value::Null => Self::Other,
        }
    }
}

/// Whether a number is told from every other one with four digits behind the point. What is no whole number is read as a double
/// (RFC 8259 §6), which has not so many digits when it is large.
fn is_exact(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.abs() < EXACT_BELOW)
}

impl Question {
    /// What is known of an attribute when this one asks.
    pub fn fact(&self, principal: &Principal, attribute: &Attribute) -> Option<Fact> {
        let minutes = i64::try_from(self.at.as_secs() / 60).unwrap_or(i64::MAX);
        match attribute {
            Attribute::Context(path) => self.context.at(path).cloned(),
            Attribute::Resource(path) => self.properties.at(path).cloned(),
            Attribute::Label(key) => principal.labels.get(key.as_str()).map(|value| Fact::Word(value.into())),
            Attribute::Actor(name) => principal.known(name).map(Fact::Word),
            Attribute::Time => Decimal::whole(minutes % super::condition::DAY_MINUTES).map(Fact::Number),
            Attribute::Day => {
                // The first of January 1970 was a Thursday.
                let day = (minutes / super::condition::DAY_MINUTES + 3) % 7;
                DAYS.get(usize::try_from(day).unwrap_or_default()).map(|day| Fact::Word(SmolStr::new_static(day)))
            }
        }
    }
}

impl Principal<'_> {
    fn known(&self, name: &str) -> Option<SmolStr> {
        match name {
            "class" => Some(self.class.to_smolstr()),
            "id" => Some(self.actor.to_smolstr()),
            "namespace" => Some(self.actor.namespace.to_smolstr()),
            "user" => self.user.map(|user| user.subject.as_str().into()),
            "issuer" => self.user.map(|user| user.issuer.as_str().into()),
            _ => None,
        }
    }
}

impl Permission {
    /// Whether it answers a question of this one.
    pub fn answers(&self, question: &Question, principal: &Principal) -> Match<'_> {
        if !self.target.covers(&question.action, &question.resource) {
            return Match::Beside;
        }
        let unmet = |condition| Some(Unmet { condition, why: why_not(condition, question, principal)? });
        let unmet: Vec<_> = self.when.iter().filter_map(unmet).collect();
        if unmet.is_empty() { Match::Holds } else { Match::Unmet(unmet) }
    }
}

/// Why a condition does not hold; `None` if it does.
fn why_not(condition: &Condition, question: &Question, principal: &Principal) -> Option<Why> {
    let Some(fact) = question.fact(principal, &condition.attribute) else { return Some(Why::Missing) };
    let holds = match (&condition.is, &fact) {
        (Constraint::Within(range), Fact::Number(number)) => {
            if let Some(why) = wrong_currency(condition, range, question, principal) {
                return Some(why);
            }
            range.holds(*number)
        }
        (Constraint::OneOf(words), Fact::Word(word)) => words.contains(word),
        (Constraint::NoneOf(words), Fact::Word(word)) => !words.contains(word),
        // Of several, each counts.
        (Constraint::OneOf(words), Fact::Words(all)) => !all.is_empty() && all.iter().all(|word| words.contains(word)),
        (Constraint::NoneOf(words), Fact::Words(all)) => !all.iter().any(|word| words.contains(word)),
        (Constraint::Is(truth), Fact::Truth(fact)) => truth == fact,
        _ => return Some(Why::Type),
    };
    (!holds).then_some(Why::Otherwise(fact))
}

fn wrong_currency(condition: &Condition, range: &Range, question: &Question, principal: &Principal) -> Option<Why> {
    let currency = range.currency.as_ref()?;
    let beside = condition.attribute.currency()?;
    match question.fact(principal, &beside) {
        Some(Fact::Word(word)) if word == *currency => None,
        _ => Some(Why::Currency),
    }
}
