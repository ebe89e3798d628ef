//! Conditions: what must be known of a request, and be so, for a permission to count.
//!
//! INVARIANT: what a request does not say, or says as another type, fulfils no condition.

use crate::permission::decimal::Decimal;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::fmt;

/// Minutes of a day.
pub const DAY_MINUTES: i64 = 24 * 60;
/// Days of the week, as they are written, in order.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Longest word that an attribute is compared with, in bytes.
pub const WORD_BYTES_MAX: usize = 256;

/// What is known of an actor: its class and its own name, each with the namespace, that namespace alone, and the user for whom
/// it acts with the issuer that named it.
pub const ACTOR: [&str; 5] = ["class", "id", "namespace", "user", "issuer"];

/// An attribute of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// What the caller says of the request: a member of its context, or of a member of it, by a path with points.
    Context(SmolStr),
    /// A property of the resource.
    Resource(SmolStr),
    /// A label of the actor.
    Label(SmolStr),
    /// Who the actor is, and for whom it acts: one of [`ACTOR`]. What is none of them nobody knows.
    Actor(SmolStr),
    /// The time of day, in minutes of UTC.
    Time,
    /// The day of the week, in UTC.
    Day,
}

/// What must hold of one attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// Which.
    pub attribute: Attribute,
    /// What must hold.
    pub is: Constraint,
}

/// What may be so of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Constraint {
    /// It is a number between these.
    Within(Range),
    /// It is one of these words.
    OneOf(BTreeSet<SmolStr>),
    /// It is a word, and none of these.
    NoneOf(BTreeSet<SmolStr>),
    /// It is true, or false.
    Is(bool),
}

/// Numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// No less.
    pub least: Option<End>,
    /// No more.
    pub most: Option<End>,
    /// The currency of the amount: the attribute `currency` beside it.
    pub currency: Option<SmolStr>,
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End {
    /// The number.
    pub number: Decimal,
    /// Whether the number itself is in the range.
    pub included: bool,
}

impl Attribute {
    /// Reads an attribute's name; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "time" => return Some(Self::Time),
            "day" => return Some(Self::Day),
            _ => {}
        }
        let is_member = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        let is_path = |path: &str| path.len() <= WORD_BYTES_MAX && path.split('.').all(is_member);
        if let Some(path) = text.strip_prefix("resource.") {
            return is_path(path).then(|| Self::Resource(path.into()));
        }
        // A member `actor` of the context has the same path, and is never meant: a caller does not say who it is.
        if let Some(path) = text.strip_prefix("actor.") {
            return is_path(path).then(|| Self::Actor(path.into()));
        }
        is_path(text).then(|| Self::Context(text.into()))
    }

    /// Where the currency of an amount stands: beside it.
    pub fn currency(&self) -> Option<Self> {
        let beside = |path: &SmolStr| match path.rsplit_once('.') {
            Some((parent, _)) => format!("{parent}.currency").into(),
            None => SmolStr::new_static("currency"),
        };
        match self {
            Self::Context(path) => Some(Self::Context(beside(path))),
            Self::Resource(path) => Some(Self::Resource(beside(path))),
            Self::Label(_) | Self::Actor(_) | Self::Time | Self::Day => None,
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(path) => f.write_str(path),
            Self::Resource(path) => write!(f, "resource.{path}"),
            Self::Label(key) => write!(f, "label {key}"),
            Self::Actor(name) => write!(f, "actor.{name}"),
            Self::Time => f.write_str("time"),
            Self::Day => f.write_str("day"),
        }
    }
}

impl Range {
    /// Whether a number is in it.
    pub fn holds(&self, number: Decimal) -> bool {
        let above = |end: &End| if end.included { number >= end.number } else { number > end.number };
        let below = |end: &End| if end.included { number <= end.number } else { number < end.number };
        self.least.as_ref().is_none_or(above) && self.most.as_ref().is_none_or(below)
    }

    /// Whether no number can be in it.
    fn is_empty(&self) -> bool {
        match (&self.least, &self.most) {
            (Some(least), Some(most)) if least.number == most.number => !(least.included && most.included),
            (Some(least), Some(most)) => least.number > most.number,
            _ => false,
        }
    }

    fn contains(&self, other: &Self) -> bool {
        let least = self.least.is_none_or(|own| other.least.is_some_and(|other| higher(own, other) == other));
        let most = self.most.is_none_or(|own| other.most.is_some_and(|other| lower(own, other) == other));
        least && most && self.currency.as_ref().is_none_or(|own| other.currency.as_ref() == Some(own))
    }

    fn both(&self, other: &Self) -> Option<Self> {
        let either = |one: Option<End>, other: Option<End>, pick: fn(End, End) -> End| match (one, other) {
            (Some(one), Some(other)) => Some(pick(one, other)),
            (one, other) => one.or(other),
        };
        let both = Self {
            least: either(self.least, other.least, higher),
            most: either(self.most, other.most, lower),
            currency: self.currency.clone().or_else(|| other.currency.clone()),
        };
        let is_one = both.currency == self.currency || self.currency.is_none();
        let is_one = is_one && (both.currency == other.currency || other.currency.is_none());
        (is_one && !both.is_empty()).then_some(both)
    }
}

/// The end that leaves less above it.
fn higher(one: End, other: End) -> End {
    let key = |end: &End| (end.number, !end.included);
    if key(&one) >= key(&other) { one } else { other }
}

/// The end that leaves less below it.
fn lower(one: End, other: End) -> End {
    let key = |end: &End| (end.number, end.included);
    if key(&one) <= key(&other) { one } else { other }
}

impl Constraint {
    /// Whether whatever fulfils `other` fulfils this, too.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Within(own), Self::Within(other)) => own.contains(other),
            (Self::OneOf(own), Self::OneOf(other)) => other.is_subset(own),
            (Self::NoneOf(own), Self::OneOf(other)) => own.is_disjoint(other),
            (Self::NoneOf(own), Self::NoneOf(other)) => own.is_subset(other),
            (Self::Is(own), Self::Is(other)) => own == other,
            _ => false,
        }
    }

    /// What fulfils both; `None` if nothing does.
    pub fn both(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Within(one), Self::Within(other)) => one.both(other).map(Self::Within),
            (Self::OneOf(one), Self::OneOf(other)) => some(one & other),
            (Self::OneOf(one), Self::NoneOf(not)) | (Self::NoneOf(not), Self::OneOf(one)) => some(one - not),
            (Self::NoneOf(one), Self::NoneOf(other)) => Some(Self::NoneOf(one | other)),
            (Self::Is(one), Self::Is(other)) => (one == other).then_some(Self::Is(*one)),
            _ => None,
        }
    }
}

fn some(words: BTreeSet<SmolStr>) -> Option<Constraint> {
    (!words.is_empty()).then_some(Constraint::OneOf(words))
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attribute = &self.attribute;
        match &self.is {
            Constraint::Within(range) => self.range(range, f),
            Constraint::OneOf(words) => match words.first() {
                Some(word) if words.len() == 1 => write!(f, "{attribute} = {}", Word(word)),
                _ => write!(f, "{attribute} in {}", List(words)),
            },
            Constraint::NoneOf(words) => match words.first() {
                Some(word) if words.len() == 1 => write!(f, "{attribute} != {}", Word(word)),
                _ => write!(f, "{attribute} not in {}", List(words)),
            },
            Constraint::Is(truth) => write!(f, "{attribute} = {truth}"),
        }
    }
}

impl Condition {
    fn range(&self, range: &Range, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let currency = range.currency.as_ref().map(|currency| format!(" {currency}")).unwrap_or_default();
        let number = |end: &End| match self.attribute {
            Attribute::Time => {
                let minutes = end.number.ten_thousandths() / 10_000;
                format!("{:02}:{:02}", minutes / 60, minutes % 60)
            }
            _ => format!("{}{currency}", end.number),
        };
        let attribute = &self.attribute;
        match (&range.least, &range.most) {
            (Some(least), Some(most)) if least == most => write!(f, "{attribute} = {}", number(least)),
            (least, most) => {
                if let Some(end) = least {
                    write!(f, "{attribute} {} {}", if end.included { ">=" } else { ">" }, number(end))?;
                }
                if let Some(end) = most {
                    let and = if least.is_some() { " and " } else { "" };
                    write!(f, "{and}{attribute} {} {}", if end.included { "<=" } else { "<" }, number(end))?;
                }
                Ok(())
            }
        }
    }
}

/// A word as it is written in a permission: quoted if it could be read as something else.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0;
        let is_plain = word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte))
            && !matches!(word, "true" | "false" | "and" | "with" | "in" | "not" | "when");
        if is_plain {
            return f.write_str(word);
        }
        f.write_str("\"")?;
        for c in word.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

struct List<'a>(&'a BTreeSet<SmolStr>);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, word) in self.0.iter().enumerate() {
            write!(f, "{}{}", if nth == 0 { "(" } else { ", " }, Word(word))?;
        }
        f.write_str(")")
    }
}
