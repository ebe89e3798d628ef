//! What policies come to.

use crate::cedar::world::{asker, good, name, number, question, resource, words};
use credence_model::permission::question::{Fact, Question};
use credence_policy::evaluate::EvalError;
use credence_policy::policies::Judgement;

fn judged(text: &str, question: &Question) -> Judgement {
    good(text).judge(&asker().principal(), question)
}

/// What a condition comes to.
fn of(condition: &str, question: &Question) -> Result<bool, EvalError> {
    let judgement = judged(&format!("permit(principal, action, resource) when {{ {condition} }};"), question);
    match judgement.errors.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(!judgement.permits.is_empty()),
    }
}

#[test]
fn permits_forbids_and_errors_are_told_apart() {
    let text = "permit(principal, action == Action::\"call\", resource);\n\
                forbid(principal in Class::\"finance/expense-agent\", action, resource);\n\
                permit(principal, action == Action::\"read\", resource);\n\
                forbid(principal, action, resource) when { 9223372036854775807 + context.time > 0 };\n\
                permit(principal in Namespace::\"finance\", action in [Action::\"call\"], resource is Resource);";
    let judgement = judged(text, &question());
    let errors = vec![(3, EvalError::Overflow)];
    assert_eq!(judgement, Judgement { permits: vec![0, 4], forbids: vec![1], errors });
}

#[test]
fn the_time_is_known() {
    assert_eq!(of("context.time == 510 && context.day == \"mon\"", &question()), Ok(true));
}

#[test]
fn the_resource_is_known_by_its_kind_and_name() {
    let mut question = question();
    let condition = "resource == Resource::\"host/api.example.org\" && resource.kind == \"host\" \
                     && resource.name == \"api.example.org\"";
    assert_eq!(of(condition, &question), Ok(false));
    question.resource = resource("host", "api.example.org");
    question.action = name("connect");
    assert_eq!(of(condition, &question), Ok(true));
}

#[test]
fn an_action_that_nobody_declared_is_still_an_action() {
    let question = Question { action: name("archive"), ..question() };
    let judgement = judged(
        "permit(principal, action, resource); permit(principal, action == Action::\"use\", resource);",
        &question,
    );
    assert_eq!(judgement.permits, [0]);
}

#[test]
fn what_is_said_has_the_declared_type() {
    let mut question = question();
    for (attribute, fact) in [
        ("amount", number("12.5")),
        ("count", number("12")),
        ("currency", Fact::Word("EUR".into())),
        ("approved", Fact::Truth(true)),
        ("tags", words(&["b", "a", "b"])),
    ] {
        question.context.insert(attribute, fact);
    }
    for condition in [
        "context has amount && context.amount == decimal(\"12.50\")",
        "context has count && context.count == 12",
        "context has currency && context.currency == \"EUR\"",
        "context has approved && context.approved",
        "context has tags && context.tags == [\"a\", \"b\"]",
    ] {
        assert_eq!(of(condition, &question), Ok(true), "{condition}");
    }
}

#[test]
fn another_type_than_declared_is_an_error_wherever_it_is_looked_at() {
    for (attribute, fact) in [
        ("count", number("1.5")),
        ("count", Fact::Word("1".into())),
        ("count", Fact::Other),
        ("amount", Fact::Word("1.5".into())),
        ("currency", words(&["EUR"])),
        ("currency", Fact::Truth(true)),
        ("approved", Fact::Word("true".into())),
        ("tags", Fact::Word("a".into())),
    ] {
        let mut question = question();
        question.context.insert(attribute, fact);
        let confused = Err(EvalError::Type(attribute.into()));
        assert_eq!(of(&format!("!(context has {attribute})"), &question), confused, "{attribute}");
        assert_eq!(of("context == context", &question), confused, "{attribute}");
        assert_eq!(of("context.time > 0 || context has approved && context.approved", &question), Ok(true));
        let forbid = format!("forbid(principal, action, resource) unless {{ context has {attribute} }};");
        assert_eq!(judged(&forbid, &question).errors.len(), 1, "{attribute}");
    }
}

#[test]
fn a_property_that_is_no_text_is_an_error_where_it_is_looked_at() {
    let mut question = question();
    question.properties.insert("owner", Fact::Word("ada".into()));
    question.properties.insert("secret", Fact::Truth(true));
    assert_eq!(of("resource.hasTag(\"owner\") && resource.getTag(\"owner\") == \"ada\"", &question), Ok(true));
    assert_eq!(of("resource.hasTag(\"other\")", &question), Ok(false));
    assert_eq!(of("resource.hasTag(\"secret\")", &question), Err(EvalError::Type("resource.secret".into())));
}

#[test]
fn an_actor_is_in_its_class_and_both_in_their_namespace() {
    let (actor, class) = ("Actor::\"finance/actor-01\"", "Class::\"finance/expense-agent\"");
    let namespace = "Namespace::\"finance\"";
    for (one, other, is_in) in [
        (actor, class, true),
        ("principal", class, true),
        (actor, namespace, true),
        (class, namespace, true),
        (class, class, true),
        (actor, "Class::\"finance/other\"", false),
        ("Class::\"finance/other\"", namespace, false),
        (class, "Namespace::\"ops\"", false),
    ] {
        assert_eq!(of(&format!("{one} in {other}"), &question()), Ok(is_in), "{one} in {other}");
    }
}

#[test]
fn nothing_is_known_of_others() {
    let asked = of("Resource::\"tool/other\".kind == \"tool\"", &question());
    assert_eq!(asked, Err(EvalError::Unknown("Resource::\"tool/other\"".into())));
    assert_eq!(of("Resource::\"tool/expenses/submit\".kind == \"tool\"", &question()), Ok(true));
    assert_eq!(of("Actor::\"finance/actor-02\".hasTag(\"team\")", &question()), Ok(false));
    assert_eq!(of("Actor::\"finance/actor-02\" in Class::\"finance/expense-agent\"", &question()), Ok(false));
}

#[test]
fn a_pattern_is_of_whole_texts() {
    for (pattern, is_like) in [
        ("*", true),
        ("expenses/*", true),
        ("*submit", true),
        ("expenses/submit", true),
        ("e*e*s*t", true),
        ("*expenses/submit*", true),
        ("exp*ses*sub*mit", true),
        ("expenses/submit*t", false),
        ("*expenses", false),
        ("expenses/submit\\*", false),
        ("expenses/sub**mit", true),
        ("expenses/submitmit", false),
        ("", false),
    ] {
        assert_eq!(of(&format!("resource.name like \"{pattern}\""), &question()), Ok(is_like), "{pattern}");
    }
}
