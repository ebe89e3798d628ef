//! Values that policies compute with.

use crate::evaluate::EvalError;
use crate::expression::EntityType;
use credence_model::permission::decimal::Decimal;
use std::rc::Rc;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value<'a> {
    Truth(bool),
    Long(i64),
    Text(&'a str),
    Decimal(Decimal),
    Entity(Entity<'a>),
    /// In order, each once: so equal sets are equal, however they were written.
    Set(Rc<[Value<'a>]>),
    /// By name, in order.
    Record(Rc<[(&'a str, Value<'a>)]>),
}

/// An entity: its type and its name among those of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entity<'a> {
    pub(crate) kind: EntityType,
    pub(crate) id: &'a str,
}

impl<'a> Value<'a> {
    pub(crate) fn set(mut members: Vec<Self>) -> Self {
        members.sort_unstable();
        members.dedup();
        Self::Set(members.into())
    }

    pub(crate) fn long(&self) -> Result<i64, EvalError> {
        match self {
            Self::Long(number) => Ok(*number),
            _ => Err(EvalError::Mismatch),
        }
    }

    pub(crate) fn decimal(&self) -> Result<Decimal, EvalError> {
        match self {
            Self::Decimal(number) => Ok(*number),
            _ => Err(EvalError::Mismatch),
        }
    }

    pub(crate) fn text(&self) -> Result<&'a str, EvalError> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(EvalError::Mismatch),
        }
    }

    pub(crate) fn entity(&self) -> Result<Entity<'a>, EvalError> {
        match self {
            Self::Entity(entity) => Ok(*entity),
            _ => Err(EvalError::Mismatch),
        }
    }

    pub(crate) fn set_members(&self) -> Result<&[Self], EvalError> {
        match self {
            Self::Set(members) => Ok(members),
            _ => Err(EvalError::Mismatch),
        }
    }
}
