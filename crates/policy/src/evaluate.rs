//! What an expression comes to, for one request. As Cedar computes it, to the last error.

pub(crate) mod value;
pub(crate) mod world;

use crate::evaluate::value::{Entity, Value};
use crate::evaluate::world::World;
use crate::expression::{Binary, Expression};
use smol_str::SmolStr;
use std::rc::Rc;

/// Why a policy comes to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A sum or a product has no place.
    #[error("a number gets too large: ask for the limits of its parts first")]
    Overflow,
    /// What is not there was asked for.
    #[error("there is no `{0}`: ask with `has` or `hasTag` first")]
    Missing(SmolStr),
    /// An entity that has no part in the request.
    #[error("nothing is known of `{0}`: ask about the principal or the resource of the request")]
    Unknown(SmolStr),
    /// The request says something of another type than was declared.
    #[error("`{0}` is not of the type that the class declares: send it as declared, or not at all")]
    Type(SmolStr),
    /// Values do not fit what is done with them. No policy that compiles comes to this.
    #[error("the policy compares values of different types: correct it")]
    Mismatch,
}

/// Whether a condition holds.
pub(crate) fn holds<'a>(condition: &'a Expression, world: &World<'a>) -> Result<bool, EvalError> {
    truth(&value(condition, world)?)
}

fn value<'a>(of: &'a Expression, world: &World<'a>) -> Result<Value<'a>, EvalError> {
    Ok(match of {
        Expression::Truth(truth) => Value::Truth(*truth),
        Expression::Long(number) => Value::Long(*number),
        Expression::Text(text) => Value::Text(text),
        Expression::Decimal(number) => Value::Decimal(*number),
        Expression::Entity(constant) => Value::Entity(Entity { kind: constant.kind, id: &constant.id }),
        Expression::Principal => Value::Entity(world.principal),
        Expression::Action => Value::Entity(world.action),
        Expression::Resource => Value::Entity(world.resource),
        Expression::Context => world.context()?,
        Expression::Member(nth) => world.member(*nth)?,
        Expression::HasMember(nth) => Value::Truth(world.has_member(*nth)?),
        Expression::And(all) => Value::Truth(until(all, false, world)?),
        Expression::Or(all) => Value::Truth(until(all, true, world)?),
        Expression::Not(of) => Value::Truth(!holds(of, world)?),
        Expression::Negative(of) => Value::Long(value(of, world)?.long()?.checked_neg().ok_or(EvalError::Overflow)?),
        Expression::IsEmpty(of) => Value::Truth(value(of, world)?.set_members()?.is_empty()),
        Expression::If(parts) => {
            let [condition, then, otherwise] = parts.as_ref();
            return value(if holds(condition, world)? { then } else { otherwise }, world);
        }
        Expression::Binary(binary, pair) => {
            let [left, right] = pair.as_ref();
            return both(*binary, &value(left, world)?, &value(right, world)?, world);
        }
        Expression::Attribute(of) => return attribute(&value(&of.0, world)?, &of.1, world),
        Expression::Has(of) => Value::Truth(has(&value(&of.0, world)?, &of.1, world)?),
        Expression::Is(kind, of) => Value::Truth(value(of, world)?.entity()?.kind == *kind),
        Expression::Like(of) => Value::Truth(is_like(value(&of.0, world)?.text()?, &of.1)),
        Expression::Set(of) => Value::set(of.iter().map(|member| value(member, world)).collect::<Result<_, _>>()?),
        Expression::Record(of) => {
            let member = |(name, of): &'a (SmolStr, Expression)| Ok((name.as_str(), value(of, world)?));
            Value::Record(of.iter().map(member).collect::<Result<Rc<[_]>, EvalError>>()?)
        }
    })
}

/// Computes one after the other until one comes to `end`.
fn until<'a>(all: &'a [Expression], end: bool, world: &World<'a>) -> Result<bool, EvalError> {
    for of in all {
        if holds(of, world)? == end {
            return Ok(end);
        }
    }
    Ok(!end)
}

fn truth(value: &Value<'_>) -> Result<bool, EvalError> {
    match value {
        Value::Truth(truth) => Ok(*truth),
        _ => Err(EvalError::Mismatch),
    }
}

fn both<'a>(binary: Binary, left: &Value<'a>, right: &Value<'a>, world: &World<'a>) -> Result<Value<'a>, EvalError> {
    let longs = || Ok::<_, EvalError>((left.long()?, right.long()?));
    let decimals = || Ok::<_, EvalError>((left.decimal()?, right.decimal()?));
    let sets = || Ok::<_, EvalError>((left.set_members()?, right.set_members()?));
    let computed = |with: fn(i64, i64) -> Option<i64>| {
        let (left, right) = longs()?;
        with(left, right).map(Value::Long).ok_or(EvalError::Overflow)
    };
    let is = match binary {
        Binary::Plus => return computed(i64::checked_add),
        Binary::Minus => return computed(i64::checked_sub),
        Binary::Times => return computed(i64::checked_mul),
        Binary::Tag => return world.tag(left.entity()?, right.text()?),
        Binary::HasTag => world.has_tag(left.entity()?, right.text()?)?,
        Binary::Equal => left == right,
        Binary::Unequal => left != right,
        Binary::Less => longs().map(|(left, right)| left < right)?,
        Binary::LessOrEqual => longs().map(|(left, right)| left <= right)?,
        Binary::Greater => longs().map(|(left, right)| left > right)?,
        Binary::GreaterOrEqual => longs().map(|(left, right)| left >= right)?,
        Binary::DecimalLess => decimals().map(|(left, right)| left < right)?,
        Binary::DecimalLessOrEqual => decimals().map(|(left, right)| left <= right)?,
        Binary::DecimalGreater => decimals().map(|(left, right)| left > right)?,
        Binary::DecimalGreaterOrEqual => decimals().map(|(left, right)| left >= right)?,
        Binary::In => is_in(left.entity()?, right, world)?,
        Binary::Contains => left.set_members()?.binary_search(right).is_ok(),
        Binary::ContainsAll => {
            let (own, other) = sets()?;
            other.iter().all(|member| own.binary_search(member).is_ok())
        }
        Binary::ContainsAny => {
            let (own, other) = sets()?;
            other.iter().any(|member| own.binary_search(member).is_ok())
        }
    };
    Ok(Value::Truth(is))
}

fn is_in(entity: Entity<'_>, of: &Value<'_>, world: &World<'_>) -> Result<bool, EvalError> {
    match of {
        Value::Entity(parent) => Ok(world.is_in(entity, *parent)),
        // Each must be an entity before any of them is looked at.
        Value::Set(parents) => {
            let parents = parents.iter().map(Value::entity).collect::<Result<Vec<_>, _>>()?;
            Ok(parents.into_iter().any(|parent| world.is_in(entity, parent)))
        }
        _ => Err(EvalError::Mismatch),
    }
}

fn attribute<'a>(of: &Value<'a>, name: &str, world: &World<'a>) -> Result<Value<'a>, EvalError> {
    match of {
        Value::Record(members) => member(members, name).cloned().ok_or_else(|| EvalError::Missing(name.into())),
        Value::Entity(entity) => world.attribute(*entity, name),
        _ => Err(EvalError::Mismatch),
    }
}

fn has(of: &Value<'_>, name: &str, world: &World<'_>) -> Result<bool, EvalError> {
    match of {
        Value::Record(members) => Ok(member(members, name).is_some()),
        Value::Entity(entity) => Ok(world.attribute(*entity, name).is_ok()),
        _ => Err(EvalError::Mismatch),
    }
}

fn member<'m, 'a>(members: &'m [(&'a str, Value<'a>)], name: &str) -> Option<&'m Value<'a>> {
    members.iter().find_map(|(own, value)| (*own == name).then_some(value))
}

/// Whether a text has these pieces in order, the first at its beginning and the last at its end.
fn is_like(text: &str, pieces: &[SmolStr]) -> bool {
    let (first, between, last) = match pieces {
        [] => return text.is_empty(),
        [only] => return text == only.as_str(),
        [first, between @ .., last] => (first, between, last),
    };
    let inside = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
    let Some(mut rest) = inside else { return false };
    for piece in between {
        // The first place leaves the most for the pieces that follow.
        match rest.split_once(piece.as_str()) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}
