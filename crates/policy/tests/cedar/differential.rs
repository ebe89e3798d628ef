//! Our evaluation against Cedar's own, policy by policy.

use crate::cedar::world::{Asker, attributes, compiled};
use crate::cedar::writer::Writer;
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet, Request, RestrictedExpression,
};
use credence_model::class::permissions::AttributeType;
use credence_model::permission::condition::Attribute;
use credence_model::permission::question::{Fact, Facts, Question};
use credence_policy::policies::{Judgement, Policies};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What one policy comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Holds,
    HoldsNot,
    Error,
}

fn ours(judgement: &Judgement, nth: usize) -> Outcome {
    let is_error = judgement.errors.iter().any(|(policy, _)| *policy == nth);
    match judgement.permits.contains(&nth) || judgement.forbids.contains(&nth) {
        true if !is_error => Outcome::Holds,
        false if is_error => Outcome::Error,
        true => panic!("policy {nth} holds and is an error"),
        false => Outcome::HoldsNot,
    }
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.parse().unwrap(), id.parse().unwrap())
}

fn text(word: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(word.to_owned())
}

fn texts(facts: &Facts) -> Vec<(String, RestrictedExpression)> {
    let one = |fact: &Fact| match fact {
        Fact::Word(word) => text(word),
        other => panic!("{other:?} is no property"),
    };
    facts.all().map(|(key, fact)| (key.to_string(), one(fact))).collect()
}

/// What is said, as values of Cedar.
fn said(asker: &Asker, question: &Question) -> Vec<(String, RestrictedExpression)> {
    let mut said = Vec::new();
    for (name, declared) in attributes() {
        let Some(fact) = question.context.at(&name) else { continue };
        said.push((
            name,
            match (declared, fact) {
                (AttributeType::Integer, Fact::Number(number)) => {
                    RestrictedExpression::new_long(number.ten_thousandths() / 10_000)
                }
                (AttributeType::Decimal, Fact::Number(number)) => {
                    let number = number.to_string();
                    let point = if number.contains('.') { "" } else { ".0" };
                    RestrictedExpression::new_decimal(format!("{number}{point}"))
                }
                (AttributeType::String, Fact::Word(word)) => text(word),
                (AttributeType::Boolean, Fact::Truth(truth)) => RestrictedExpression::new_bool(*truth),
                (AttributeType::Strings, Fact::Words(words)) => {
                    RestrictedExpression::new_set(words.iter().map(|word| text(word)))
                }
                (declared, fact) => panic!("{fact:?} is no {declared:?}"),
            },
        ));
    }
    let Some(Fact::Number(minutes)) = question.fact(&asker.principal(), &Attribute::Time) else { panic!("no time") };
    let Some(Fact::Word(day)) = question.fact(&asker.principal(), &Attribute::Day) else { panic!("no day") };
    said.push(("time".to_owned(), RestrictedExpression::new_long(minutes.ten_thousandths() / 10_000)));
    said.push(("day".to_owned(), text(&day)));
    said
}

/// One request, as Cedar takes it.
struct Asked {
    request: Request,
    entities: Entities,
}

impl Asked {
    fn new(asker: &Asker, question: &Question) -> Self {
        let actor = uid("Actor", &asker.actor.to_string());
        let class = uid("Class", &asker.class.to_string());
        let namespace = uid("Namespace", asker.class.namespace.as_str());
        let resource = uid("Resource", &question.resource.to_string());
        let labels = asker.labels.iter().map(|(key, value)| (key.clone(), text(value)));
        let about = [("kind", question.resource.kind.as_str()), ("name", question.resource.id())];
        let about: HashMap<_, _> = about.into_iter().map(|(key, value)| (key.to_owned(), text(value))).collect();
        let entities = [
            Entity::new_with_tags(actor.clone(), [], [class.clone()], labels).unwrap(),
            Entity::new_no_attrs(class, HashSet::from([namespace.clone()])),
            Entity::new_no_attrs(namespace, HashSet::new()),
            Entity::new_with_tags(resource.clone(), about, [], texts(&question.properties)).unwrap(),
        ];
        let action = uid("Action", question.action.as_str());
        let context = Context::from_pairs(said(asker, question)).unwrap();
        let request = Request::new(actor, action, resource, context, None).unwrap();
        Self { request, entities: Entities::from_entities(entities, None).unwrap() }
    }

    fn outcome(&self, policy: &Policy) -> Outcome {
        let alone = PolicySet::from_policies([policy.clone()]).unwrap();
        let response = Authorizer::new().is_authorized(&self.request, &alone, &self.entities);
        let diagnostics = response.diagnostics();
        match (diagnostics.reason().count(), diagnostics.errors().count()) {
            (0, 0) => Outcome::HoldsNot,
            (1, 0) => Outcome::Holds,
            (0, 1) => Outcome::Error,
            other => panic!("{other:?}"),
        }
    }
}

/// The policies that we take of those, as one class, and as Cedar's.
fn taken(texts: &[String]) -> Option<(Policies, Vec<Policy>)> {
    let texts: Vec<_> = texts.iter().filter(|text| compiled(text).is_ok()).cloned().collect();
    if texts.is_empty() {
        return None;
    }
    let all = texts.concat();
    let policies = compiled(&all).unwrap_or_else(|error| panic!("{error}\n{all}"));
    assert_eq!(policies.len(), texts.len());
    let cedar = texts.iter().enumerate();
    let cedar = cedar.map(|(nth, text)| Policy::parse(Some(PolicyId::new(format!("policy{nth}"))), text).unwrap());
    Some((policies, cedar.collect()))
}

/// Compares one class's judgement of one question.
fn compare(policies: &Policies, cedar: &[Policy], asker: &Asker, question: &Question) -> Vec<Outcome> {
    let judgement = policies.judge(&asker.principal(), question);
    let asked = Asked::new(asker, question);
    let mut outcomes = Vec::new();
    for (nth, policy) in cedar.iter().enumerate() {
        let (own, theirs) = (ours(&judgement, nth), asked.outcome(policy));
        assert_eq!(own, theirs, "{policy}\n{question:#?}\n{:?}", judgement.errors);
        outcomes.push(own);
    }
    outcomes
}

fn tape(length: usize) -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..length)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_policy_comes_to_what_cedar_comes_to(
        policies in prop::collection::vec(tape(120), 1..5),
        questions in prop::collection::vec(tape(60), 4),
    ) {
        let texts: Vec<_> = policies.into_iter().map(|tape| Writer::new(tape).policy()).collect();
        let Some((policies, cedar)) = taken(&texts) else { return Ok(()) };
        for tape in questions {
            let mut writer = Writer::new(tape);
            compare(&policies, &cedar, &writer.asker(), &writer.question());
        }
    }

    /// Whatever is said in another type: a policy that is no error comes to the same whether it is said rightly or not at all.
    #[test]
    fn another_type_than_declared_changes_nothing_but_into_an_error(
        policies in prop::collection::vec(tape(120), 1..5),
        questions in prop::collection::vec(tape(80), 4),
    ) {
        let texts: Vec<_> = policies.into_iter().map(|tape| Writer::new(tape).policy()).collect();
        let Some((policies, cedar)) = taken(&texts) else { return Ok(()) };
        for tape in questions {
            let mut writer = Writer::new(tape);
            let (asker, question) = (writer.asker(), writer.question());
            let (confused, names) = writer.confused(&question);
            let mut silent = Question { context: Facts::default(), ..question.clone() };
            for (name, fact) in question.context.all().filter(|(name, _)| !names.contains(&name.as_str())) {
                silent.context.insert(name.clone(), fact.clone());
            }
            let judgement = policies.judge(&asker.principal(), &confused);
            let variants = [Asked::new(&asker, &question), Asked::new(&asker, &silent)];
            for (nth, policy) in cedar.iter().enumerate() {
                let own = ours(&judgement, nth);
                let same = variants.iter().all(|asked| asked.outcome(policy) == own);
                assert!(own == Outcome::Error || same, "{own:?}\n{policy}\n{confused:#?}");
            }
        }
    }
}

/// Whatever the comparison is worth depends on what it compares.
#[test]
fn the_comparison_reaches_every_operator_and_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let (mut written, mut of_ours) = (0, Vec::new());
    let mut outcomes = [0_usize; 3];
    for _ in 0..400 {
        let text = Writer::new(tape(120).new_tree(&mut runner).unwrap().current()).policy();
        written += 1;
        let Some((policies, cedar)) = taken(std::slice::from_ref(&text)) else { continue };
        of_ours.push(text);
        for _ in 0..4 {
            let mut writer = Writer::new(tape(60).new_tree(&mut runner).unwrap().current());
            for outcome in compare(&policies, &cedar, &writer.asker(), &writer.question()) {
                outcomes[outcome as usize] += 1;
            }
        }
    }
    println!("{} of {written} policies are taken: {outcomes:?}", of_ours.len());
    assert!(of_ours.len() * 2 > written, "only {} of {written} are taken", of_ours.len());
    assert!(outcomes.iter().all(|count| *count > 40), "{outcomes:?}");
    let all = of_ours.concat();
    let operators = [
        "&&",
        "||",
        "!(",
        "if ",
        "==",
        "!=",
        " < ",
        "<=",
        " > ",
        ">=",
        " + ",
        " - ",
        " * ",
        "-(",
        " in ",
        " is ",
        "is Actor in",
        " has ",
        "hasTag",
        "getTag",
        " like ",
        ".contains(",
        "containsAll",
        "containsAny",
        "isEmpty",
        "lessThan(",
        "lessThanOrEqual",
        "greaterThan(",
        "greaterThanOrEqual",
        "{a: ",
        "b.e",
        "in [",
        "then context else",
        "unless",
    ];
    let missing: BTreeSet<_> = operators.into_iter().filter(|operator| !all.contains(operator)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
