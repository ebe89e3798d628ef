//! Permissions as authorization details, the form in which OAuth exchanges them.
//!
//! SPEC: RFC 9396 §2. The type has the common members `actions` and `identifier`, and `conditions` and `obligations` of its own.
//! A member that is missing means what a permission without it means: any request, no duty. So containment is that of the
//! permissions, and a detail that has lost a member is never within one that has it.
//!
//! INVARIANT: a detail is taken only if the permission that it stands for has a canonical text and is written back to the same
//! permission. What cannot be said in a line cannot be said here.

use super::Permission;
use super::condition::{Attribute, Condition, Constraint, End, Range};
use super::decimal::Decimal;
use super::obligation::Obligation;
use super::target::{Name, Target};
use super::text::time_of_day;
use crate::refusal::{Kind, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// A permission as an authorization detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationDetail {
    /// What sort of detail it is.
    #[serde(rename = "type")]
    pub kind: DetailType,
    /// The one action; `*` is every one.
    pub actions: Vec<String>,
    /// The resources, as `KIND/NAME`, by whole segments as in a permission.
    pub identifier: String,
    /// What must hold, by attribute as a permission names it: `amount`, `resource.owner`, `label team`, `time`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, Limits>,
    /// Duties, as a permission writes them: `step-up`, `log`, `budget 2000 EUR per day`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<String>,
}

/// The types of details that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetailType {
    /// A permission.
    CredencePermission,
}

/// What may be so of one attribute: a number between ends, one of some words, none of some, or a truth value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// No less than this number, or time of day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// More than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<String>,
    /// No more than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Less than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// The currency of the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// One of these words.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub one_of: Option<BTreeSet<String>>,
    /// A word, and none of these.
    #[serde(rename = "not_in", skip_serializing_if = "Option::is_none")]
    pub none_of: Option<BTreeSet<String>>,
    /// True, or false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is: Option<bool>,
}

impl From<&Permission> for AuthorizationDetail {
    fn from(permission: &Permission) -> Self {
        let Permission { target, when, with } = permission;
        let condition =
            |condition: &Condition| (condition.attribute.to_string(), Limits::of(&condition.attribute, &condition.is));
        Self {
            kind: DetailType::CredencePermission,
            actions: vec![target.action.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string)],
            identifier: format!("{}/{}", target.kind, target.id.as_str()),
            conditions: when.iter().map(condition).collect(),
            obligations: with.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<&AuthorizationDetail> for Permission {
    type Error = Refusal;

    /// # Errors
    /// What is wrong, and in which member.
    fn try_from(detail: &AuthorizationDetail) -> Result<Self, Refusal> {
        let AuthorizationDetail { kind: DetailType::CredencePermission, conditions, obligations, .. } = detail;
        let target = target(detail)?;
        let mut when = Vec::new();
        for (name, limits) in conditions {
            let wrong = |refusal: Refusal| within(&format!("conditions.{}", name.escape_debug()), refusal);
            when.push(condition(name, limits).map_err(wrong)?);
        }
        let mut with = BTreeSet::new();
        for (nth, text) in obligations.iter().enumerate() {
            let field = format!("obligations[{nth}]");
            if !with.insert(obligation(text).map_err(|refusal| refusal.field(field.clone()))?) {
                return Err(wrong(field, "it is said twice"));
            }
        }
        when.sort();
        let permission = Self { target, when, with: with.into_iter().collect() };
        // What the line could not say, or would say otherwise, is no permission.
        match Self::parse(&permission.to_string()) {
            Ok(read) if read == permission => Ok(permission),
            Ok(_) => Err(wrong("conditions", "it means something else as a permission")),
            Err(error) => Err(Refusal::from(error).field("conditions")),
        }
    }
}

fn target(detail: &AuthorizationDetail) -> Result<Target, Refusal> {
    let action = match detail.actions.as_slice() {
        [any] if any == "*" => None,
        [name] => Some(Name::parse(name).map_err(|error| Refusal::from(error).field("actions[0]"))?),
        _ => return Err(wrong("actions", "it has exactly one action").hint("Write a detail for each")),
    };
    let kind_and_name = detail.identifier.split_once('/');
    let (kind, id) = kind_and_name.ok_or_else(|| wrong("identifier", "it is KIND/NAME, e.g. tool/expenses/submit"))?;
    let in_identifier = |error| Refusal::from(error).field("identifier");
    let target = Target::of(action, Name::parse(kind).map_err(in_identifier)?, id).map_err(in_identifier)?;
    // Some words are short for an action and a kind.
    let is_itself = Permission::parse(&target.to_string()).is_ok_and(|read| read.target == target);
    is_itself
        .then_some(target)
        .ok_or_else(|| wrong("actions[0]", "this word stands for another action in a permission"))
}

fn condition(name: &str, limits: &Limits) -> Result<Condition, Refusal> {
    let label = name.strip_prefix("label ").map(|key| Attribute::Label(key.into()));
    let attribute = label.or_else(|| Attribute::parse(name)).filter(|attribute| attribute.to_string() == name);
    let attribute = attribute.ok_or_else(|| Refusal::new(Kind::Malformed, "this is no attribute"))?;
    let is = limits.constraint(&attribute)?;
    let condition = Condition { attribute, is };
    let line = format!("tool x when {condition}");
    match Permission::parse(&line) {
        Ok(read) if read.when.as_slice() == std::slice::from_ref(&condition) => Ok(condition),
        Ok(_) => Err(Refusal::new(Kind::Malformed, "it means something else as a condition")),
        Err(error) => Err(Refusal::from(error)),
    }
}

fn obligation(text: &str) -> Result<Obligation, Refusal> {
    let read = Permission::parse(&format!("tool x with {text}"))?;
    match read.with.as_slice() {
        [one] if one.to_string() == text => Ok(one.clone()),
        [one] => Err(Refusal::new(Kind::Malformed, format!("it is written `{one}`"))),
        _ => Err(Refusal::new(Kind::Malformed, "it is one duty")),
    }
}

impl Limits {
    fn of(attribute: &Attribute, constraint: &Constraint) -> Self {
        let words = |words: &BTreeSet<SmolStr>| Some(words.iter().map(ToString::to_string).collect());
        match constraint {
            Constraint::Within(Range { least, most, currency }) => {
                let end = |end: &Option<End>, included: bool| {
                    end.filter(|end| end.included == included).map(|end| number(attribute, end.number))
                };
                Self {
                    min: end(least, true),
                    above: end(least, false),
                    max: end(most, true),
                    below: end(most, false),
                    currency: currency.as_ref().map(ToString::to_string),
                    ..Self::default()
                }
            }
            Constraint::OneOf(all) => Self { one_of: words(all), ..Self::default() },
            Constraint::NoneOf(all) => Self { none_of: words(all), ..Self::default() },
            Constraint::Is(truth) => Self { is: Some(*truth), ..Self::default() },
        }
    }

    fn constraint(&self, attribute: &Attribute) -> Result<Constraint, Refusal> {
        let Self { min, above, max, below, currency, one_of, none_of, is } = self;
        let least = self.end(attribute, [("min", min), ("above", above)])?;
        let most = self.end(attribute, [("max", max), ("below", below)])?;
        let range = Range { least, most, currency: currency.as_deref().map(Into::into) };
        let words = |words: &BTreeSet<String>| words.iter().map(SmolStr::from).collect();
        match (range == Range::default(), one_of, none_of, is) {
            (false, None, None, None) if least.or(most).is_some() => Ok(Constraint::Within(range)),
            (true, Some(all), None, None) => Ok(Constraint::OneOf(words(all))),
            (true, None, Some(all), None) => Ok(Constraint::NoneOf(words(all))),
            (true, None, None, Some(truth)) => Ok(Constraint::Is(*truth)),
            _ => {
                let message = "it has either ends (min or above, max or below), or one of in, not_in and is";
                Err(Refusal::new(Kind::Malformed, message))
            }
        }
    }

    /// The end of a range, of which the first includes its number.
    fn end(&self, attribute: &Attribute, ends: [(&str, &Option<String>); 2]) -> Result<Option<End>, Refusal> {
        let mut found = None;
        for ((member, text), included) in ends.into_iter().zip([true, false]) {
            let Some(text) = text else { continue };
            if found.is_some() {
                return Err(wrong(member, "there is another end on this side"));
            }
            let read = match attribute {
                Attribute::Time => time_of_day(text),
                _ => Decimal::parse(text),
            };
            let read = read.filter(|read| number(attribute, *read) == *text);
            let read = read
                .ok_or_else(|| wrong(member, "it is no number of at most four digits behind the point, or no time"))?;
            found = Some(End { number: read, included });
        }
        Ok(found)
    }
}

fn number(attribute: &Attribute, number: Decimal) -> String {
    match attribute {
        Attribute::Time => {
            let minutes = number.ten_thousandths() / 10_000;
            format!("{:02}:{:02}", minutes / 60, minutes % 60)
        }
        _ => number.to_string(),
    }
}

fn wrong(field: impl Display, message: &str) -> Refusal {
    Refusal::new(Kind::Malformed, message).field(field.to_string())
}

fn within(place: &str, mut refusal: Refusal) -> Refusal {
    refusal.field = Some(refusal.field.map_or_else(|| place.to_owned(), |field| format!("{place}.{field}")));
    refusal
}
