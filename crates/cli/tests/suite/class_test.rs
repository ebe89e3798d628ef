//! What a class permits, tried on cases that its author wrote, by the real engine and without a server.

use crate::program::{Ran, run, run_in};
use std::path::Path;

const CLASS: &str = "apiVersion: credence.dev/v1alpha1
kind: Class
metadata: {namespace: finance, name: expenses}
spec:
  owner: finance@example.org
  permissions:
    allow: [tool expenses/submit when amount <= 500 EUR with log]
";
const HEAD: &str = "apiVersion: credence.dev/v1alpha1
kind: ClassTest
metadata: {namespace: finance, name: expenses}
";

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/expenses-test.yaml");
    std::fs::read_to_string(path).expect("the example")
}

fn test(spec: &str) -> Ran {
    run(&["class", "test", "-"], &format!("{CLASS}---\n{HEAD}spec:\n{spec}"))
}

/// One failing case, and what is said of it behind its first line.
#[track_caller]
fn fails(spec: &str, words: &[&str]) {
    let ran = test(spec);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{ran:?}");
    words.iter().for_each(|word| assert!(ran.stdout.contains(word), "`{word}` is not in:\n{}", ran.stdout));
}

#[track_caller]
fn refused(spec: &str, error: &str) {
    let ran = test(spec);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", format!("error: {error}\n").as_str()));
}

#[test]
fn the_example_holds_and_each_of_its_cases_fails_when_the_opposite_is_expected() {
    let text = example();
    let ran = run(&["class", "test", "-"], &text);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str(), ran.code), ("14 cases as expected\n", "", 0));
    for (at, word) in text.match_indices("expect: ") {
        let (before, behind) = text.split_at(at + word.len());
        // What is said of a denial cannot be said beside `allow`, so it goes.
        let (line, rest) = behind.split_once('\n').expect("a line");
        let (said, rest) = rest.split_once("    - name").unwrap_or((rest, ""));
        let said: String = said.lines().filter(|line| line.contains("at: ")).map(|line| format!("{line}\n")).collect();
        let other = if line == "allow" { "deny" } else { "allow" };
        let next = if rest.is_empty() { "" } else { "    - name" };
        let ran = run(&["class", "test", "-"], &format!("{before}{other}\n{said}{next}{rest}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{before}");
        assert!(ran.stdout.ends_with("14 cases, 1 not as expected\n"), "{}", ran.stdout);
    }
}

#[test]
fn what_a_wider_class_lets_through_fails_its_test_and_the_layers_say_why() {
    let ran = run(&["class", "test", "-"], &example().replace("amount <= 500 EUR with", "amount <= 600 EUR with"));
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = "FAILS  nothing beyond 500, and the denial says who could change that  (standard input:52:7)
  asked     finance/books: tool expenses/submit
  expected  deny by class, missing `tool expenses/submit when amount <= 500.01 EUR with budget 1000 EUR per day`
  decided   allow
      standing    allows  actor finance/books may act
      class       allows  revision 1 of class finance/expenses allows `tool expenses/submit when amount <= 600 EUR with budget 1000 EUR per day`
      consent     allows  the consent to revision 1 of class finance/expenses is to all that it permits

14 cases, 1 not as expected
";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn a_case_fails_for_the_wrong_layer_grant_duty_or_answer() {
    let actor =
        "  actors: [{id: a}]\n  cases:\n    - {can: tool expenses/submit, context: {amount: AMOUNT, currency: EUR}, ";
    let case = |amount: &str, rest: &str| format!("{}{rest}}}\n", actor.replace("AMOUNT", amount));
    fails(
        &case("600", "expect: deny, by: [consent]"),
        &["expected  deny by consent\n", "decided   deny by class\n", "> class       denies"],
    );
    fails(&case("600", "expect: deny, by: [class, consent]"), &["expected  deny by class, consent\n"]);
    fails(&case("600", "expect: deny, by: [class of b]"), &["expected  deny by class of b\n"]);
    fails(
        &case("600", "expect: deny, missing: []"),
        &["missing nothing\n", "missing `tool expenses/submit when amount <= 600 EUR with log`"],
    );
    fails(&case("500", "expect: allow, with: []"), &["expected  allow with nothing\n", "decided   allow with log\n"]);
    fails(&case("500", "expect: deny"), &["expected  deny\n", "decided   allow\n"]);
}

#[test]
fn a_limited_consent_and_classes_in_other_files_count() {
    let home = tempfile::tempdir().expect("a home");
    std::fs::create_dir(home.path().join("tests")).expect("created");
    std::fs::write(home.path().join("class.yaml"), CLASS).expect("written");
    let spec = "spec:
  classes: [../class.yaml]
  consents: [{only: [tool expenses/submit when amount <= 100 EUR with log]}]
  actors: [{id: a}]
  cases: [{can: tool expenses/submit, context: {amount: 200, currency: EUR}, expect: deny, by: [consent]}]
";
    std::fs::write(home.path().join("tests/t.yaml"), format!("{HEAD}{spec}")).expect("written");
    let ran = run_in(home.path(), &["class", "test", "tests/t.yaml", "-o", "json"], "");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.code, &report["cases"], &report["failed"]), (0, &1.into(), &0.into()), "{ran:?}");
    let outcome = &report["outcomes"][0];
    assert_eq!((&outcome["holds"], &outcome["place"]), (&true.into(), &"tests/t.yaml:8:11".into()), "{outcome}");
    assert_eq!(outcome["verdicts"][2]["layer"], "consent");
}

#[test]
fn what_cannot_be_tried_is_refused_with_its_line() {
    let t = "test of class finance/expenses: ";
    let case = "  cases: [{can: tool a/b, expect: deny}]\n";
    refused(case, &format!("{t}spec.actors: the test has no actor  (standard input:12:1)"));
    let with = |spec: &str| format!("{spec}\n{case}");
    refused(
        &with("  at: noon\n  actors: [{id: a}]"),
        &format!("{t}spec.at: `noon` is no time. Write it like 2026-11-24T14:05:10Z  (standard input:13:3)"),
    );
    refused(
        &with("  actors: [{id: a}, {id: b, parent: c}]"),
        &format!("{t}spec.actors[1]: there is no actor finance/c  (standard input:13:21)"),
    );
    let delegation =
        "  actors: [{id: a}]\n  delegations: [{by: ada@https://x.example, to: actor/a, allow: [tool a/b]}]";
    refused(
        &with(delegation),
        &format!(
            "{t}spec.delegations[0].to: actor finance/a does not act for ada of https://x.example  (standard input:14:45)"
        ),
    );
    let unknown = "  actors: [{id: a}]\n  cases: [{can: tool a/b, expect: deny, by: [clas]}]\n";
    let ran = test(unknown);
    assert!(
        ran.code == 1 && ran.stderr.contains("spec.cases[0].by[0]: unknown variant `clas`, expected one of `standing`"),
        "{ran:?}"
    );
    let used = "  actors: [{id: a}]\n  cases: [{can: tool a/b, expect: deny, usedBefore: 2}]\n";
    assert!(test(used).stderr.contains("use 1 of the 2 before it is denied already"));
    let cedar = CLASS.replace("    allow:", "    cedar: permit (principal);\n    allow:");
    let ran = run(&["class", "test", "-"], &format!("{cedar}---\n{HEAD}spec:\n{}", with("  actors: [{id: a}]")));
    assert!(
        ran.code == 1
            && ran.stderr.contains("class finance/expenses: spec.permissions.cedar: ")
            && ran.stderr.contains("(standard input:7:5)"),
        "{ran:?}"
    );
    let ran = run(&["class", "test", "-"], CLASS);
    assert!(ran.code == 1 && ran.stderr.contains("there is no test in it"), "{ran:?}");
    let ran = run(&["class", "test", "-"], &format!("{HEAD}spec:\n{}", with("  actors: [{id: a}]")));
    assert!(ran.stderr.contains("class finance/expenses is not described in any of the files"), "{ran:?}");
    let ran = run(&["apply", "--check", "-f", "-"], &format!("{HEAD}spec:\n{}", with("  actors: [{id: a}]")));
    assert!(ran.code == 1 && ran.stderr.contains("Run it with `credence class test`"), "{ran:?}");
}
