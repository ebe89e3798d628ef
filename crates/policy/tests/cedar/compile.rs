//! What is taken, and what is refused where.

use crate::cedar::world::{attributes, compiled, good};
use credence_model::class::permissions::AttributeType;
use credence_policy::cedar::{CedarError, compile};
use credence_policy::policies::Effect;
use std::collections::BTreeMap;

/// A condition of a policy that permits; it begins at column 44.
fn when(condition: &str) -> String {
    format!("permit(principal, action, resource) when {{ {condition} }};")
}

#[track_caller]
fn refused(text: &str, line: usize, column: usize, message: &str) {
    let error = compiled(text).expect_err(text);
    assert_eq!((error.line, error.column), (line, column), "{error}\n{text}");
    assert!(error.message.contains(message), "{error}\n{text}");
    let sentence = &error.message;
    assert!(!sentence.ends_with('.') && !sentence.contains('\n') && !sentence.contains("policy0"), "{sentence}");
}

#[test]
fn what_the_world_has_can_be_asked_for() {
    for condition in [
        "principal in Class::\"finance/expense-agent\"",
        "principal in [Class::\"finance/expense-agent\", Class::\"ops/watcher\"]",
        "principal is Actor && principal is Actor in Namespace::\"finance\"",
        "principal == Actor::\"finance/actor-01\"",
        "principal.hasTag(\"team\") && principal.getTag(\"team\") == \"finance\"",
        "principal.hasTag(context.day) && principal.getTag(context.day) == \"off\"",
        "action == Action::\"read\" || action in [Action::\"call\", Action::\"use\"]",
        "resource.kind == \"tool\" && resource.name like \"expenses/*\"",
        "resource == Resource::\"tool/expenses/submit\"",
        "resource.hasTag(\"owner\") && resource.getTag(\"owner\") != \"ada\"",
        "context.time >= 480 && context.day != \"sun\"",
        "context has amount && context.amount.lessThanOrEqual(decimal(\"500.0\"))",
        "context has count && -context.count * 2 - 1 + 3 < 7",
        "context has \"per-diem\" && context[\"per-diem\"] > 0",
        "context has currency && [\"EUR\", \"CHF\"].contains(context.currency)",
        "context has tags && !context.tags.isEmpty() && context.tags.containsAny([\"a\"])",
        "context has tags && context.tags.containsAll([\"a\", \"b\"])",
        "if context has approved then context.approved else false",
        "{a: 1, b: {c: \"x\"}}.b.c == \"x\" || {a: 1} has a",
        "context == context",
        "decimal(\"-922337203685477.5808\").lessThan(decimal(\"0.0001\"))",
    ] {
        good(&when(condition));
    }
    assert!(good("").is_empty());
    assert!(good("// nothing but a remark; with ? and \"\n").is_empty());
}

#[test]
fn what_cannot_be_read_is_refused_where_it_stands() {
    refused("permit(principal, action resource);", 1, 26, "unexpected token `resource`");
    refused("permit(principal, action, resource)", 1, 36, "unexpected end of input");
    refused("// ü\n  permit(principal,\n\taction, ressource);", 3, 10, "ressource");
    refused(&when("\"ü\" == \"ü"), 1, 51, "strings are closed");
    refused(&when("\"ü\" == ö"), 1, 51, "invalid token");
    refused(&when("\"\\q\" == \"x\""), 1, 44, "not a valid escape");
    refused(&when("9223372036854775808 == 1"), 1, 44, "too large");
    refused(&when("1 < 2 < 3"), 1, 44, "parentheses");
    refused("\0", 1, 1, "invalid token");
}

#[test]
fn what_does_not_fit_is_refused_where_it_stands() {
    refused(&when("context.amount.lessThan(decimal(\"1.0\"))"), 1, 44, "`context has amount && ..`");
    refused(&when("context.count > 5"), 1, 44, "optional attribute `count` in context: try");
    refused(&when("context has amount && context.amount > 5"), 1, 66, "expected Long but saw decimal");
    refused(&when("true &&\n  context.nope == 1"), 2, 3, "attribute `nope` in context not found");
    refused(&when("principal.getTag(\"team\") == \"x\""), 1, 44, "hasTag(\"team\")");
    refused(&when("principal.name == \"x\""), 1, 44, "attribute `name` on entity type `Actor` not found");
    refused(&when("[1, \"a\"].contains(1)"), 1, 44, "Long and String");
    refused(&when("principal in [Class::\"a/b\", Namespace::\"a\"]"), 1, 57, "Class and Namespace");
    refused(&when("[].isEmpty()"), 1, 44, "empty set");
    refused(&when("3"), 1, 44, "expected Bool");
    refused(&when("foo(1)"), 1, 44, "`foo` is not a valid function");
    refused(&when("decimal(\"1\") == decimal(\"1.0\")"), 1, 44, "decimal");
    refused(&when("decimal(context.day) == decimal(\"1.0\")"), 1, 44, "non-literal");
    refused("permit(principal == User::\"x\", action, resource);", 1, 21, "unrecognized entity type `User`");
    refused("permit(principal, action == A::Action::\"call\", resource);", 1, 29, "unrecognized action");
}

#[test]
fn what_cedar_would_take_and_nobody_means_is_refused() {
    refused("\n permit(principal, action, resource) when { false };", 2, 2, "can never hold");
    refused(&when("context has amuont"), 1, 1, "can never hold");
    refused("permit(principal, action, resource)\n  unless { context has amuont };", 2, 24, "`amuont` is not among");
    refused("forbid(principal, action == Action::\"Call\", resource);", 1, 37, "`Call`");
    refused(&when("resource.name == \"\u{202e}abc\""), 1, 61, "direction");
    refused("permit(principal == ?principal, action, resource);", 1, 21, "template");
    refused("permit(principal, action, resource in ?resource);", 1, 39, "template");
}

#[test]
fn of_the_extensions_there_is_only_decimal() {
    for (condition, column, function) in [
        ("ip(\"10.0.0.1\").isLoopback()", 59, "`isLoopback`"),
        ("ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\"))", 59, "`isInRange`"),
        ("ip(\"10.0.0.1\") == ip(\"10.0.0.2\")", 44, "`ip`"),
        ("datetime(\"2026-01-01\") < datetime(\"2026-01-02\")", 44, "`datetime`"),
        ("duration(\"1h\").toHours() == 1", 59, "`toHours`"),
    ] {
        refused(&when(condition), 1, column, function);
        // Words in strings and in remarks are no functions.
        let hidden = format!("// {condition}\npermit(principal, action, resource) unless {{ {condition} }};");
        refused(&hidden, 2, column + 2, function);
    }
}

#[test]
fn policies_have_names_and_duties() {
    let policies = good(
        "@id(\"small\") @obligation(\"step-up, budget 50 calls per hour\") @description(\"for ü\")\n\
         permit(principal, action, resource);\n\
         forbid(principal, action, resource);",
    );
    assert_eq!((policies.len(), policies.name(0), policies.name(1), policies.name(2)), (2, "small", "policy1", ""));
    assert_eq!([policies.effect(0), policies.effect(1)], [Some(Effect::Permit), Some(Effect::Forbid)]);
    let duties: Vec<_> = policies.obligations(0).iter().map(ToString::to_string).collect();
    assert_eq!(duties, ["budget 50 calls per hour", "step-up"]);
    assert!(policies.obligations(1).is_empty() && policies.obligations(2).is_empty());
}

#[test]
fn annotations_that_mean_nothing_are_refused() {
    let permit = "permit(principal, action, resource);";
    refused(&format!("@obligations(\"step-up\") {permit}"), 1, 1, "`obligations` means nothing");
    refused(&format!("@id(\"a\") {permit}\n @obligation(\"step up\") {permit}"), 2, 2, "step-up, log or budgets");
    refused(&format!("@obligation(\"log, log when\") {permit}"), 1, 1, "step-up, log or budgets");
    refused(&format!("@obligation {permit}"), 1, 1, "step-up, log or budgets");
    refused("@obligation(\"log\") forbid(principal, action, resource);", 1, 1, "no obligations");
    refused(&format!("@id(\"a\") {permit}\n  @id(\"a\") {permit}"), 2, 3, "another policy is called `a`");
    refused(&format!("@id(\"policy1\") {permit}\n{permit}"), 2, 1, "another policy is called `policy1`");
    refused(&format!("@id(\"\") {permit}"), 1, 1, "a name is 1 to 128 bytes");
    refused(&format!("@id(\"{}\") {permit}", "x".repeat(129)), 1, 1, "a name is 1 to 128 bytes");
    refused(&format!("@id(\"a\") @id(\"b\") {permit}"), 1, 10, "duplicate annotation");
}

#[test]
fn the_time_is_not_declared() {
    for name in ["time", "day"] {
        let error = compile("", &BTreeMap::from([(name.to_owned(), AttributeType::String)])).expect_err(name);
        assert_eq!((error.line, error.column), (1, 1));
        assert!(error.message.contains("always there"), "{error}");
    }
}

#[test]
fn a_mistake_says_the_same_each_time() {
    let text = when("context.nope == 1 || context.nada == 2");
    let first: CedarError = compiled(&text).expect_err("there is no nope");
    for _ in 0..16 {
        assert_eq!(compile(&text, &attributes()), Err(first.clone()));
    }
    assert_eq!(first.to_string(), format!("{}, at line 1, column 44", first.message));
}
