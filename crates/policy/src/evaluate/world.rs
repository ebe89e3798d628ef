//! What a policy can see of one request: who asks, what for, what is said of it, and the time.
//!
//! INVARIANT: what a request says of another type than was declared is an error wherever a policy looks at it, also where it
//! only asks whether it is there. Otherwise a number in quotes would hide from whoever forbids it.

use crate::evaluate::EvalError;
use crate::evaluate::value::{Entity, Value};
use crate::expression::EntityType;
use credence_model::class::permissions::AttributeType;
use credence_model::label::Labels;
use credence_model::permission::condition::Attribute;
use credence_model::permission::question::{Fact, Principal, Question};
use smol_str::{SmolStr, ToSmolStr};

/// One ten-thousandth is the unit of a number that is said.
const SCALE: i64 = 10_000;

/// An attribute of the context that policies may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// What the request says, of a declared type.
    Said(AttributeType),
    /// The minutes of the day.
    Time,
    /// The day of the week.
    Day,
}

/// Names of entities as policies write them, made once for each request.
pub(crate) struct Names {
    actor: String,
    class: String,
    resource: String,
    minutes: i64,
    day: SmolStr,
}

/// The world of one request.
pub(crate) struct World<'a> {
    pub(crate) principal: Entity<'a>,
    pub(crate) action: Entity<'a>,
    pub(crate) resource: Entity<'a>,
    class: Entity<'a>,
    namespace: Entity<'a>,
    labels: &'a Labels,
    question: &'a Question,
    /// In the order of the attributes; a missing one is none.
    context: Vec<(&'a str, Member<'a>)>,
}

/// `Err` if it is of another type than was declared.
type Member<'a> = Result<Option<Value<'a>>, ()>;

impl Names {
    pub(crate) fn new(principal: &Principal, question: &Question) -> Self {
        let minutes = match question.fact(principal, &Attribute::Time) {
            Some(Fact::Number(minutes)) => minutes.ten_thousandths() / SCALE,
            _ => 0,
        };
        let day = match question.fact(principal, &Attribute::Day) {
            Some(Fact::Word(day)) => day,
            _ => SmolStr::default(),
        };
        Self {
            actor: principal.actor.to_string(),
            class: principal.class.to_string(),
            resource: question.resource.to_string(),
            minutes,
            day,
        }
    }
}

impl<'a> World<'a> {
    pub(crate) fn new(
        names: &'a Names,
        principal: &Principal<'a>,
        question: &'a Question,
        attributes: &'a [(SmolStr, Seen)],
    ) -> Self {
        let entity = |kind, id| Entity { kind, id };
        let member = |(name, seen): &'a (SmolStr, Seen)| {
            let value = match seen {
                Seen::Time => Ok(Some(Value::Long(names.minutes))),
                Seen::Day => Ok(Some(Value::Text(&names.day))),
                Seen::Said(declared) => question.context.at(name).map(|fact| said(fact, *declared)).transpose(),
            };
            (name.as_str(), value)
        };
        Self {
            principal: entity(EntityType::Actor, &names.actor),
            action: entity(EntityType::Action, question.action.as_str()),
            resource: entity(EntityType::Resource, &names.resource),
            class: entity(EntityType::Class, &names.class),
            namespace: entity(EntityType::Namespace, principal.class.namespace.as_str()),
            labels: principal.labels,
            question,
            context: attributes.iter().map(member).collect(),
        }
    }

    /// All that the request says of what was declared.
    pub(crate) fn context(&self) -> Result<Value<'a>, EvalError> {
        let mut members = Vec::with_capacity(self.context.len());
        for (name, member) in &self.context {
            match member {
                Ok(Some(value)) => members.push((*name, value.clone())),
                Ok(None) => {}
                Err(()) => return Err(EvalError::Type((*name).into())),
            }
        }
        Ok(Value::Record(members.into()))
    }

    pub(crate) fn member(&self, nth: u16) -> Result<Value<'a>, EvalError> {
        let (name, member) = self.nth(nth)?;
        member?.ok_or_else(|| EvalError::Missing(name.into()))
    }

    pub(crate) fn has_member(&self, nth: u16) -> Result<bool, EvalError> {
        self.nth(nth)?.1.map(|value| value.is_some())
    }

    fn nth(&self, nth: u16) -> Result<(&'a str, Result<Option<Value<'a>>, EvalError>), EvalError> {
        let (name, member) = self.context.get(usize::from(nth)).ok_or(EvalError::Mismatch)?;
        Ok((name, member.clone().map_err(|()| EvalError::Type((*name).into()))))
    }

    /// Whether an entity is this one, or below it.
    pub(crate) fn is_in(&self, entity: Entity<'_>, parent: Entity<'_>) -> bool {
        entity == parent
            || (entity == self.principal && (parent == self.class || parent == self.namespace))
            || (entity == self.class && parent == self.namespace)
    }

    pub(crate) fn attribute(&self, entity: Entity<'_>, name: &str) -> Result<Value<'a>, EvalError> {
        if !self.knows(entity) {
            return Err(unknown(entity));
        }
        match name {
            "kind" if entity == self.resource => Ok(Value::Text(self.question.resource.kind.as_str())),
            "name" if entity == self.resource => Ok(Value::Text(self.question.resource.id())),
            _ => Err(EvalError::Missing(name.into())),
        }
    }

    pub(crate) fn tag(&self, entity: Entity<'_>, key: &str) -> Result<Value<'a>, EvalError> {
        if !self.knows(entity) {
            return Err(unknown(entity));
        }
        self.tagged(entity, key)?.map(Value::Text).ok_or_else(|| EvalError::Missing(key.into()))
    }

    pub(crate) fn has_tag(&self, entity: Entity<'_>, key: &str) -> Result<bool, EvalError> {
        Ok(self.tagged(entity, key)?.is_some())
    }

    fn tagged(&self, entity: Entity<'_>, key: &str) -> Result<Option<&'a str>, EvalError> {
        if entity == self.principal {
            return Ok(self.labels.get(key).map(String::as_str));
        }
        if entity != self.resource {
            return Ok(None);
        }
        match self.question.properties.at(key) {
            None => Ok(None),
            Some(Fact::Word(word)) => Ok(Some(word)),
            Some(_) => Err(EvalError::Type(format!("resource.{key}").into())),
        }
    }

    fn knows(&self, entity: Entity<'_>) -> bool {
        [self.principal, self.class, self.namespace, self.resource].contains(&entity)
            || entity.kind == EntityType::Action
    }
}

fn unknown(entity: Entity<'_>) -> EvalError {
    EvalError::Unknown(format_args!("{}::\"{}\"", entity.kind.as_str(), entity.id.escape_debug()).to_smolstr())
}

/// What is said, as the declared type.
fn said(fact: &Fact, declared: AttributeType) -> Result<Value<'_>, ()> {
    match (declared, fact) {
        (AttributeType::Integer, Fact::Number(number)) if number.ten_thousandths() % SCALE == 0 => {
            Ok(Value::Long(number.ten_thousandths() / SCALE))
        }
        (AttributeType::Decimal, Fact::Number(number)) => Ok(Value::Decimal(*number)),
        (AttributeType::String, Fact::Word(word)) => Ok(Value::Text(word)),
        (AttributeType::Boolean, Fact::Truth(truth)) => Ok(Value::Truth(*truth)),
        (AttributeType::Strings, Fact::Words(words)) => {
            Ok(Value::set(words.iter().map(|word| Value::Text(word)).collect()))
        }
        _ => Err(()),
    }
}
