//! From a policy that Cedar has checked to the compact form.
//!
//! It refuses what the compact form has no place for, so that nothing is computed in another way than Cedar would.

use super::schema::{DAY, TIME};
use crate::evaluate::world::Seen;
use crate::expression::{Binary, Constant, EntityType, Expression};
use cedar_policy::pst;
use credence_model::class::permissions::AttributeType;
use credence_model::permission::decimal::Decimal;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What cannot be taken: a word of the policy, and why.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) word: String,
    pub(super) message: String,
}

/// What policies may look at.
pub(super) struct Translator {
    /// By name, in order.
    pub(super) attributes: Box<[(SmolStr, Seen)]>,
}

type Translated = Result<Expression, Refused>;

fn refused(word: impl Into<String>, message: impl Into<String>) -> Refused {
    Refused { word: word.into(), message: message.into() }
}

impl Translator {
    pub(super) fn new(declared: &BTreeMap<String, AttributeType>) -> Self {
        let said = declared.iter().map(|(name, kind)| (SmolStr::from(name), Seen::Said(*kind)));
        let always = [(SmolStr::new_static(TIME), Seen::Time), (SmolStr::new_static(DAY), Seen::Day)];
        let mut attributes: Vec<_> = said.chain(always).collect();
        attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { attributes: attributes.into() }
    }

    /// What must hold for a policy, the scope first.
    pub(super) fn condition(&self, policy: &pst::Template) -> Translated {
        let mut all = Vec::new();
        match &policy.principal {
            pst::PrincipalConstraint::Any => {}
            pst::PrincipalConstraint::Eq(entity) => all.push(equal(Expression::Principal, entity)?),
            pst::PrincipalConstraint::In(entity) => all.push(within(Expression::Principal, entity)?),
            pst::PrincipalConstraint::Is(kind) => all.push(is(Expression::Principal, kind)?),
            pst::PrincipalConstraint::IsIn(kind, entity) => {
                all.extend([is(Expression::Principal, kind)?, within(Expression::Principal, entity)?]);
            }
        }
        match &policy.action {
            pst::ActionConstraint::Any => {}
            pst::ActionConstraint::Eq(action) => {
                all.push(binary(Binary::Equal, Expression::Action, constant(action)?));
            }
            pst::ActionConstraint::In(actions) => {
                let actions = actions.iter().map(constant).collect::<Result<_, _>>()?;
                all.push(binary(Binary::In, Expression::Action, Expression::Set(actions)));
            }
        }
        match &policy.resource {
            pst::ResourceConstraint::Any => {}
            pst::ResourceConstraint::Eq(entity) => all.push(equal(Expression::Resource, entity)?),
            pst::ResourceConstraint::In(entity) => all.push(within(Expression::Resource, entity)?),
            pst::ResourceConstraint::Is(kind) => all.push(is(Expression::Resource, kind)?),
            pst::ResourceConstraint::IsIn(kind, entity) => {
                all.extend([is(Expression::Resource, kind)?, within(Expression::Resource, entity)?]);
            }
        }
        for clause in policy.clauses() {
            match clause {
                pst::Clause::When(condition) => join(&mut all, self.expression(condition)?),
                pst::Clause::Unless(condition) => all.push(Expression::Not(self.boxed(condition)?)),
            }
        }
        Ok(Expression::And(all.into()))
    }

    fn expression(&self, of: &pst::Expr) -> Translated {
        Ok(match of {
            pst::Expr::Literal(literal) => literal_value(literal)?,
            pst::Expr::Var(pst::Var::Principal) => Expression::Principal,
            pst::Expr::Var(pst::Var::Action) => Expression::Action,
            pst::Expr::Var(pst::Var::Resource) => Expression::Resource,
            pst::Expr::Var(pst::Var::Context) => Expression::Context,
            pst::Expr::UnaryOp { op, expr } => self.unary(*op, expr)?,
            pst::Expr::BinaryOp { op, left, right } => self.binary(*op, left, right)?,
            pst::Expr::GetAttr { expr, attr } => self.attribute(self.expression(expr)?, attr)?,
            pst::Expr::HasAttr { expr, attrs } => self.has(expr, attrs.iter())?,
            pst::Expr::Like { expr, pattern } => Expression::Like(Box::new((self.expression(expr)?, pieces(pattern)))),
            pst::Expr::Is { expr, entity_type, in_expr: None } => is(self.expression(expr)?, entity_type)?,
            pst::Expr::Is { expr, entity_type, in_expr: Some(parent) } => {
                let of = self.expression(expr)?;
                let within = binary(Binary::In, of.clone(), self.expression(parent)?);
                Expression::And([is(of, entity_type)?, within].into())
            }
            pst::Expr::IfThenElse { cond, then_expr, else_expr } => Expression::If(Box::new([
                self.expression(cond)?,
                self.expression(then_expr)?,
                self.expression(else_expr)?,
            ])),
            pst::Expr::Set(members) => {
                Expression::Set(members.iter().map(|member| self.expression(member)).collect::<Result<_, _>>()?)
            }
            pst::Expr::Record(members) => {
                let member = |(name, of): (&String, &Arc<pst::Expr>)| Ok((SmolStr::from(name), self.expression(of)?));
                Expression::Record(members.iter().map(member).collect::<Result<_, _>>()?)
            }
            pst::Expr::Slot(_) => return Err(refused("?", "a template cannot be used: name the entity itself")),
            _ => return Err(refused("", "something in this policy cannot be used: write it in another way")),
        })
    }

    fn boxed(&self, of: &pst::Expr) -> Result<Box<Expression>, Refused> {
        self.expression(of).map(Box::new)
    }

    fn unary(&self, op: pst::UnaryOp, of: &pst::Expr) -> Translated {
        Ok(match op {
            pst::UnaryOp::Not => Expression::Not(self.boxed(of)?),
            pst::UnaryOp::Neg => Expression::Negative(self.boxed(of)?),
            pst::UnaryOp::IsEmpty => Expression::IsEmpty(self.boxed(of)?),
            pst::UnaryOp::Decimal => match of {
                pst::Expr::Literal(pst::Literal::String(text)) => decimal(text)
                    .map(Expression::Decimal)
                    .ok_or_else(|| refused("decimal", "a decimal is digits, a point and one to four digits"))?,
                _ => return Err(refused("decimal", "a decimal is written out: decimal(\"1.50\")")),
            },
            other => return Err(unsupported(&other.to_string())),
        })
    }

    fn binary(&self, op: pst::BinaryOp, left: &pst::Expr, right: &pst::Expr) -> Translated {
        let op = match op {
            pst::BinaryOp::And | pst::BinaryOp::Or => return self.chain(op, left, right),
            pst::BinaryOp::Eq => Binary::Equal,
            pst::BinaryOp::NotEq => Binary::Unequal,
            pst::BinaryOp::Less => Binary::Less,
            pst::BinaryOp::LessEq => Binary::LessOrEqual,
            pst::BinaryOp::Greater => Binary::Greater,
            pst::BinaryOp::GreaterEq => Binary::GreaterOrEqual,
            pst::BinaryOp::Add => Binary::Plus,
            pst::BinaryOp::Sub => Binary::Minus,
            pst::BinaryOp::Mul => Binary::Times,
            pst::BinaryOp::In => Binary::In,
            pst::BinaryOp::Contains => Binary::Contains,
            pst::BinaryOp::ContainsAll => Binary::ContainsAll,
            pst::BinaryOp::ContainsAny => Binary::ContainsAny,
            pst::BinaryOp::HasTag => Binary::HasTag,
            pst::BinaryOp::GetTag => Binary::Tag,
            pst::BinaryOp::DecimalLessThan => Binary::DecimalLess,
            pst::BinaryOp::DecimalLessEq => Binary::DecimalLessOrEqual,
            pst::BinaryOp::DecimalGreater => Binary::DecimalGreater,
            pst::BinaryOp::DecimalGreaterEq => Binary::DecimalGreaterOrEqual,
            other => return Err(unsupported(&other.to_string())),
        };
        Ok(binary(op, self.expression(left)?, self.expression(right)?))
    }

    /// A chain is one list: it is as flat as it was meant.
    fn chain(&self, op: pst::BinaryOp, left: &pst::Expr, right: &pst::Expr) -> Translated {
        let mut all = Vec::new();
        for of in [left, right] {
            match (op, self.expression(of)?) {
                (pst::BinaryOp::And, Expression::And(parts)) | (pst::BinaryOp::Or, Expression::Or(parts)) => {
                    all.extend(parts);
                }
                (_, part) => all.push(part),
            }
        }
        Ok(if op == pst::BinaryOp::And { Expression::And(all.into()) } else { Expression::Or(all.into()) })
    }

    fn attribute(&self, of: Expression, name: &SmolStr) -> Translated {
        match of {
            Expression::Context => self.number(name).map(Expression::Member),
            of => Ok(Expression::Attribute(Box::new((of, name.clone())))),
        }
    }

    /// Of `has a.b`, each is asked for in turn, as Cedar does.
    fn has<'n>(&self, of: &pst::Expr, path: impl Iterator<Item = &'n SmolStr>) -> Translated {
        let mut of = self.expression(of)?;
        let mut all = Vec::new();
        for name in path {
            all.push(match &of {
                Expression::Context => Expression::HasMember(self.number(name)?),
                of => Expression::Has(Box::new((of.clone(), name.clone()))),
            });
            of = self.attribute(of, name)?;
        }
        Ok(Expression::And(all.into()))
    }

    /// The number of a declared attribute. To ask for another would never hold, whatever the request says.
    fn number(&self, name: &SmolStr) -> Result<u16, Refused> {
        let nth = self.attributes.binary_search_by(|(own, _)| own.cmp(name)).ok();
        nth.and_then(|nth| u16::try_from(nth).ok()).ok_or_else(|| {
            refused(
                name.as_str(),
                format!("`{name}` is not among the attributes of the class: declare it with its type"),
            )
        })
    }
}

fn unsupported(function: &str) -> Refused {
    refused(function, format!("`{function}` cannot be used here: of Cedar's extensions there is only decimal"))
}

fn binary(op: Binary, left: Expression, right: Expression) -> Expression {
    Expression::Binary(op, Box::new([left, right]))
}

fn join(all: &mut Vec<Expression>, condition: Expression) {
    match condition {
        Expression::And(parts) => all.extend(parts),
        other => all.push(other),
    }
}

fn equal(of: Expression, entity: &pst::EntityOrSlot) -> Translated {
    Ok(binary(Binary::Equal, of, named(entity)?))
}

fn within(of: Expression, entity: &pst::EntityOrSlot) -> Translated {
    Ok(binary(Binary::In, of, named(entity)?))
}

fn named(entity: &pst::EntityOrSlot) -> Translated {
    match entity {
        pst::EntityOrSlot::Entity(entity) => constant(entity),
        pst::EntityOrSlot::Slot(_) => Err(refused("?", "a template cannot be used: name the entity itself")),
    }
}

fn constant(entity: &pst::EntityUID) -> Translated {
    let kind = entity_type(&entity.ty)?;
    Ok(Expression::Entity(Box::new(Constant { kind, id: entity.eid.clone() })))
}

fn is(of: Expression, kind: &pst::EntityType) -> Translated {
    Ok(Expression::Is(entity_type(kind)?, Box::new(of)))
}

fn entity_type(kind: &pst::EntityType) -> Result<EntityType, Refused> {
    let name = kind.to_string();
    EntityType::parse(&name).ok_or_else(|| {
        refused(name.as_str(), format!("there are no entities of type {name}: use Actor, Class, Namespace or Resource"))
    })
}

fn literal_value(literal: &pst::Literal) -> Translated {
    Ok(match literal {
        pst::Literal::Bool(truth) => Expression::Truth(*truth),
        pst::Literal::Long(number) => Expression::Long(*number),
        pst::Literal::String(text) => Expression::Text(text.clone()),
        pst::Literal::EntityUID(entity) => constant(entity)?,
        _ => return Err(refused("", "a value in this policy cannot be used: write it in another way")),
    })
}

/// The pieces between the wildcards.
fn pieces(pattern: &[pst::PatternElem]) -> Box<[SmolStr]> {
    let mut pieces = vec![String::new()];
    for element in pattern {
        match (element, pieces.last_mut()) {
            (pst::PatternElem::Char(c), Some(piece)) => piece.push(*c),
            _ => pieces.push(String::new()),
        }
    }
    pieces.into_iter().map(SmolStr::from).collect()
}

/// A number as `decimal` takes it, down to the least of all.
fn decimal(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.')?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(digits) || !is_number(fraction) || fraction.len() > credence_model::permission::decimal::DIGITS {
        return None;
    }
    // The digits of the whole and of four places behind the point are the ten-thousandths.
    format!("{whole}{fraction:0<4}").parse().ok().map(Decimal::from_ten_thousandths)
}
