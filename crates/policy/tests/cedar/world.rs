//! Who asks for what, in the tests.

use credence_model::class::permissions::AttributeType;
use credence_model::id::{ActorRef, ClassRef};
use credence_model::label::Labels;
use credence_model::permission::decimal::Decimal;
use credence_model::permission::question::{Fact, Facts, Principal, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::time::Timestamp;
use credence_policy::cedar::{CedarError, compile};
use credence_policy::policies::Policies;
use std::collections::BTreeMap;

/// Attributes that are declared, one of each type.
pub(crate) fn attributes() -> BTreeMap<String, AttributeType> {
    let declared = [
        ("amount", AttributeType::Decimal),
        ("count", AttributeType::Integer),
        ("currency", AttributeType::String),
        ("approved", AttributeType::Boolean),
        ("tags", AttributeType::Strings),
        ("per-diem", AttributeType::Integer),
    ];
    declared.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect()
}

pub(crate) fn compiled(text: &str) -> Result<Policies, CedarError> {
    compile(text, &attributes())
}

pub(crate) fn good(text: &str) -> Policies {
    compiled(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Who asks.
pub(crate) struct Asker {
    pub(crate) actor: ActorRef,
    pub(crate) class: ClassRef,
    pub(crate) labels: Labels,
}

impl Asker {
    pub(crate) fn principal(&self) -> Principal<'_> {
        Principal { actor: &self.actor, class: &self.class, user: None, labels: &self.labels }
    }
}

/// Actor 01 of the team finance.
pub(crate) fn asker() -> Asker {
    Asker {
        actor: "finance/actor-01".parse().unwrap(),
        class: "finance/expense-agent".parse().unwrap(),
        labels: BTreeMap::from([("team".to_owned(), "finance".to_owned())]),
    }
}

/// Actor 01 calls `expenses/submit` on Monday, 5 January 1970, at 08:30.
pub(crate) fn question() -> Question {
    Question {
        action: name("call"),
        resource: resource("tool", "expenses/submit"),
        context: Facts::default(),
        properties: Facts::default(),
        at: Timestamp::from_secs(4 * 86_400 + 8 * 3_600 + 30 * 60),
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn resource(kind: &str, id: &str) -> Resource {
    Resource::new(name(kind), id).unwrap()
}

pub(crate) fn number(text: &str) -> Fact {
    Fact::Number(Decimal::parse(text).unwrap())
}

pub(crate) fn words(words: &[&str]) -> Fact {
    Fact::Words(words.iter().map(|word| (*word).into()).collect())
}
