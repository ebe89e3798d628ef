//! The compact form of a policy: what has to be computed, and nothing of how it was written.
//!
//! It holds what can be said about the world in `cedar/schema.rs`, and no more. A node takes 32 bytes and what it points at.

use credence_model::permission::decimal::Decimal;
use smol_str::SmolStr;
use std::mem::size_of;

/// Something to compute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Truth(bool),
    Long(i64),
    Text(SmolStr),
    Decimal(Decimal),
    Entity(Box<Constant>),
    Principal,
    Action,
    Resource,
    /// All of what the request says.
    Context,
    /// What the request says of the attribute of this number.
    Member(u16),
    /// Whether it says anything of it.
    HasMember(u16),
    /// The first that is false ends it, as the first that is an error does.
    And(Box<[Expression]>),
    /// The first that is true ends it.
    Or(Box<[Expression]>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    IsEmpty(Box<Expression>),
    /// If the first then the second, else the third.
    If(Box<[Expression; 3]>),
    Binary(Binary, Box<[Expression; 2]>),
    Attribute(Box<(Expression, SmolStr)>),
    Has(Box<(Expression, SmolStr)>),
    Is(EntityType, Box<Expression>),
    /// A text that begins with the first of these, ends with the last, and has the others between, in order. If there is only
    /// one, the text itself.
    Like(Box<(Expression, Box<[SmolStr]>)>),
    Set(Box<[Expression]>),
    Record(Box<[(SmolStr, Expression)]>),
}

/// An entity that a policy names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) kind: EntityType,
    pub(crate) id: SmolStr,
}

/// The types of entities, in the order of [`EntityType::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntityType {
    Actor,
    Class,
    Namespace,
    Action,
    Resource,
}

/// What is computed of two values, both of them computed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    In,
    Contains,
    ContainsAll,
    ContainsAny,
    HasTag,
    Tag,
    DecimalLess,
    DecimalLessOrEqual,
    DecimalGreater,
    DecimalGreaterOrEqual,
}

impl EntityType {
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("Actor", Self::Actor),
        ("Class", Self::Class),
        ("Namespace", Self::Namespace),
        ("Action", Self::Action),
        ("Resource", Self::Resource),
    ];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(own, kind)| (own == name).then_some(kind))
    }

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find_map(|(name, kind)| (kind == self).then_some(name)).unwrap_or_default()
    }
}

impl Expression {
    /// Every entity that is named in it.
    pub(crate) fn entities(&self, found: &mut dyn FnMut(&Constant)) {
        let mut all = |of: &[Self]| of.iter().for_each(|of| of.entities(found));
        match self {
            Self::Entity(constant) => found(constant),
            Self::And(of) | Self::Or(of) | Self::Set(of) => all(of),
            Self::Not(of) | Self::Negative(of) | Self::IsEmpty(of) | Self::Is(_, of) => of.entities(found),
            Self::If(of) => all(of.as_slice()),
            Self::Binary(_, of) => all(of.as_slice()),
            Self::Attribute(of) | Self::Has(of) => of.0.entities(found),
            Self::Like(of) => of.0.entities(found),
            Self::Record(of) => of.iter().for_each(|(_, of)| of.entities(found)),
            Self::Truth(_) | Self::Long(_) | Self::Text(_) | Self::Decimal(_) | Self::Principal => {}
            Self::Action | Self::Resource | Self::Context | Self::Member(_) | Self::HasMember(_) => {}
        }
    }

    /// What it takes behind itself, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let all = |of: &[Self]| of.iter().map(Self::bytes).sum::<usize>();
        match self {
            Self::Truth(_)
            | Self::Long(_)
            | Self::Decimal(_)
            | Self::Principal
            | Self::Action
            | Self::Resource
            | Self::Context
            | Self::Member(_)
            | Self::HasMember(_) => 0,
            Self::Text(text) => text_heap_bytes(text),
            Self::Entity(constant) => size_of::<Constant>() + text_heap_bytes(&constant.id),
            Self::And(of) | Self::Or(of) | Self::Set(of) => all(of),
            Self::Not(of) | Self::Negative(of) | Self::IsEmpty(of) | Self::Is(_, of) => of.bytes(),
            Self::If(of) => all(of.as_slice()),
            Self::Binary(_, of) => all(of.as_slice()),
            Self::Attribute(of) | Self::Has(of) => of.0.bytes() + text_bytes(&of.1),
            Self::Like(of) => of.0.bytes() + size_of::<Box<[SmolStr]>>() + of.1.iter().map(text_bytes).sum::<usize>(),
            Self::Record(of) => of.iter().map(|(name, of)| text_bytes(name) + of.bytes()).sum(),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes()
    }
}

/// What a text takes behind itself, in bytes.
pub(crate) fn text_heap_bytes(text: &SmolStr) -> usize {
    // Two counters before the text.
    if text.is_heap_allocated() { text.len() + 2 * size_of::<usize>() } else { 0 }
}

fn text_bytes(text: &SmolStr) -> usize {
    size_of::<SmolStr>() + text_heap_bytes(text)
}
