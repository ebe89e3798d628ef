use super::*;

const CLASS: &str = "apiVersion: credence.dev/v1alpha1
kind: Class
metadata:
  namespace: finance
  name: expense-agent
  labels: {tier: standard}
spec:
  owner: finance@example.org
  models:
    - model: sonnet
      provider: anthropic
    - model: small
  runtime:
    command: [python3, agent.py]
    onLost: suspend
";

const POOL: &str = "---
apiVersion: credence.dev/v1alpha1
kind: Pool
metadata: {name: standard}
spec: {shareWithAll: true}
";

const GUARD: &str = "---
apiVersion: credence.dev/v1alpha1
kind: Guard
metadata: {namespace: tools, name: expenses}
spec:
  owner: expenses@example.org
  resource: tool/expenses/**
  allow:
    - tool expenses/submit when actor.class = finance/expense-agent
  forbid:
    - \"* tool/expenses/** when actor.namespace != finance\"
";

fn read_text(text: &str) -> Result<Vec<Manifest>, String> {
    parse("f.yaml", text, &Namespace::parse("home").expect("valid")).map_err(|failure| failure.to_string())
}

#[test]
fn a_file_with_several_documents_becomes_as_many_objects() {
    let manifests = read_text(&format!("{CLASS}{POOL}")).expect("two objects");
    let names: Vec<_> = manifests.iter().map(|manifest| manifest.object.to_string()).collect();
    assert_eq!(names, ["class finance/expense-agent", "pool home/standard"]);
    let Object::Class(_, class) = &manifests[0].object else { panic!("the first object is a class") };
    assert_eq!(class.runtime.command, ["python3", "agent.py"]);
    assert_eq!(class.runtime.on_lost, credence_model::class::OnLost::Suspend);
    assert_eq!(manifests[0].labels.get("tier").map(String::as_str), Some("standard"));
}

const TEST: &str = "apiVersion: credence.dev/v1alpha1
kind: ClassTest
metadata: {namespace: finance, name: expense-agent}
spec:
  actors:
    - id: a-1
  cases:
    - can: tool a/b
      context: {amount: 1.5, tags: [x, y], of: {them: true}}
      expect: allow
      with: [log]
    - can: read a/b
      expect: deny
      by: [class]
";

#[test]
fn a_test_is_read_with_what_its_requests_say() {
    let manifests = read_text(TEST).expect("a test");
    let Object::ClassTest(class, test) = &manifests[0].object else { panic!("the object is a test") };
    assert_eq!((class.to_string().as_str(), test.cases.len()), ("finance/expense-agent", 2));
    assert_eq!(test.cases[0].can.to_string(), "tool a/b");
    let context = serde_json::json!({"amount": 1.5, "tags": ["x", "y"], "of": {"them": true}});
    assert_eq!(test.cases[0].context, context);
    assert_eq!(test.cases[1].by.as_deref(), Some(["class".to_owned()].as_slice()));
}

#[test]
fn every_wrong_line_of_a_test_is_named_with_its_place_and_a_remedy() {
    let c = "test of class finance/expense-agent: ";
    let change = |from: &str, to: &str| TEST.replace(from, to);
    let cases = [
        (
            change("expect: deny", "exepct: deny"),
            format!("{c}spec.cases[1]: unknown field `exepct`, did you mean `expect`?  (f.yaml:13:7)"),
        ),
        (
            change("expect: deny", "expect: denied"),
            format!("{c}spec.cases[1].expect: `denied` is not known. Write one of allow, deny  (f.yaml:13:15)"),
        ),
        (
            change("read a/b", "\"* a/b\""),
            format!("{c}spec.cases[1].can: question `* a/b` is not valid: `*` is no action; name one  (f.yaml:12:12)"),
        ),
        (
            change("read a/b", "read a/*"),
            format!(
                "{c}spec.cases[1].can: resource `*` is not valid: a request names one resource, without *  (f.yaml:12:12)"
            ),
        ),
        (
            change("read a/b", "read a/b when x = 1"),
            format!(
                "{c}spec.cases[1].can: question `read a/b when x = 1` is not valid: it has neither conditions nor obligations; what a request says is its context  (f.yaml:12:12)"
            ),
        ),
        (
            change("expect: deny", "expect: allow"),
            format!("{c}spec.cases[1].by: this is said of what is denied  (f.yaml:14:7)"),
        ),
        (
            change("expect: allow", "expect: deny"),
            format!("{c}spec.cases[0].with: this is said of what is allowed  (f.yaml:11:7)"),
        ),
        (
            change("expect: allow", "expect: allow\n      usedBefore: 1001"),
            format!("{c}spec.cases[0].usedBefore: 1001 is not from 0 to 1000  (f.yaml:11:7)"),
        ),
        (
            change("id: a-1", "id: A"),
            format!("{c}spec.actors[0].id: actor id `A` is not valid: only a-z, 0-9 and - are allowed  (f.yaml:6:11)"),
        ),
        (
            TEST.split("  cases:").next().unwrap_or_default().to_owned(),
            format!("{c}spec.cases: there is no case in it  (f.yaml:4:1)"),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read_text(&text).expect_err(&text), expected);
    }
}

#[test]
fn a_guard_is_read_and_its_wrong_lines_are_named() {
    let manifests = read_text(GUARD).expect("a guard");
    let Object::Guard(guard, spec) = &manifests[0].object else { panic!("it is a guard") };
    assert_eq!((guard.to_string().as_str(), spec.resource.as_str()), ("tools/expenses", "tool/expenses/**"));
    for (from, to, error) in [
        (
            "tool/expenses/**\n",
            "tool/**/expenses\n",
            "spec.resource: resource `**/expenses` is not valid: ** stands only at the end  (f.yaml:7:13)",
        ),
        ("  resource: tool/expenses/**\n", "", "spec: field `resource` is missing  (f.yaml:9:3)"),
        (
            "tool expenses/submit when",
            "tool expense/submit when",
            "spec.allow[0]: it reaches beyond tool/expenses/**. Name only what the guard covers  (f.yaml:9:7)",
        ),
        (
            "actor.namespace",
            "actor.tenant",
            "spec.forbid[0]: `actor.tenant` is nothing that is known of an actor. Known are actor.class, actor.id, actor.namespace, actor.user, actor.issuer  (f.yaml:11:7)",
        ),
        (
            "  forbid:",
            "  denies:",
            "spec: unknown field `denies`. Known fields are owner, description, resource, allow, forbid  (f.yaml:10:3)",
        ),
    ] {
        let found = read_text(&GUARD.replace(from, to)).expect_err(to);
        assert_eq!(found, format!("guard tools/expenses: {error}"));
    }
}

#[test]
fn every_wrong_line_is_named_with_its_place_and_a_remedy() {
    let c = "class finance/expense-agent: ";
    let change = |from: &str, to: &str| CLASS.replace(from, to);
    let cases = [
        (change("    - model: small", "    - modle: small"), format!("{c}spec.models[1]: unknown field `modle`, did you mean `model`?  (f.yaml:12:7)")),
        (change("owner:", "owned-by-whom:"), format!("{c}spec: unknown field `owned-by-whom`. Known fields are displayName, owner, sponsor, purpose, description, models, skills, tools, runtime, credentials, permissions  (f.yaml:8:3)")),
        (change("  models:", "  permissions:\n    allow:\n      - tool a/b\n      - tool a/b if x = 1\n  models:"), format!("{c}spec.permissions.allow[1]: permission `tool a/b if x = 1` is not valid: expected `when`, `with` or the end, found `if`, at column 10  (f.yaml:12:9)")),
        (change("  models:", "  permissions: {forbid: [tool a/b, tool a/b with log]}\n  models:"), format!("{c}spec.permissions.forbid[1]: what is forbidden has no obligations. Leave out `with …`  (f.yaml:9:36)")),
        (change("  models:", "  permissions: {spawn: {maxDepth: 99}}\n  models:"), format!("{c}spec.permissions.spawn.maxDepth: 99 is not from 0 to 16  (f.yaml:9:25)")),
        (change("onLost: suspend", "onLost: vanish"), format!("{c}spec.runtime.onLost: `vanish` is not known. Write one of resume, suspend  (f.yaml:15:13)")),
        (change("command: [python3, agent.py]", "stopGraceSecs: soon"), format!("{c}spec.runtime.stopGraceSecs: this is not a value of type u64  (f.yaml:14:20)")),
        (change("command: [python3, agent.py]", "stopGraceSecs: 61"), format!("{c}spec.runtime.stopGraceSecs: 61 is not from 0 to 60  (f.yaml:14:5)")),
        (change("  owner: finance@example.org\n", ""), format!("{c}spec.owner: every class has an owner. Name who answers for it, e.g. finance@example.org  (f.yaml:7:1)")),
        (change("owner: finance@example.org", "owner:"), format!("{c}spec.owner: it has no value. Write \"\" for an empty text, or leave the field out  (f.yaml:8:8)")),
        (change("- model: small", "- provider: small"), format!("{c}spec.models[1]: field `model` is missing  (f.yaml:12:7)")),
        (change("kind: Class", "kind: Clas"), "kind: `Clas` is not a kind. Did you mean `Class`?  (f.yaml:2:1)".into()),
        (change("kind: Class\n", ""), "field `kind` is missing. Write kind: Class, Pool, Guard or ClassTest  (f.yaml:1:1)".into()),
        (change("v1alpha1", "v1"), format!("{c}apiVersion: `credence.dev/v1` is not known. Write apiVersion: credence.dev/v1alpha1  (f.yaml:1:1)")),
        (change("name: expense-agent", "name: Expense"), "class finance/Expense: metadata.name: class name `Expense` is not valid: only a-z, 0-9 and - are allowed  (f.yaml:5:9)".into()),
        (change("{tier: standard}", "{tier: [a]}"), format!("{c}metadata.labels.tier: expected string scalar  (f.yaml:6:18)")),
        (change("kind: Class", "kind: Class\nkind: Class"), "the key `kind` stands here twice. Remove one  (f.yaml:3:1)".into()),
        (change("  models:", "  models: &x"), "anchors and aliases (& and *) are not read here; write the value out  (f.yaml:10:5)".into()),
        (format!("a: {}{}", "[".repeat(40), "]".repeat(40)), "it is nested too deeply  (f.yaml:1:35)".into()),
        (String::new(), "there is no object in it. A manifest begins with apiVersion, kind, metadata and spec  (f.yaml)".into()),
        (format!("# one\n---\n{}", change("    - model: small", "    - modle: small")), format!("{c}spec.models[1]: unknown field `modle`, did you mean `model`?  (f.yaml:14:7)")),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let error = read_text(&text).expect_err(&text);
        if error != expected {
            wrong.push(format!("expected {expected}\n   found {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_server_finds_wrong_gets_its_line_too() {
    use credence_model::refusal::Kind;
    let manifests = read_text(CLASS).expect("a class");
    let refusal = Refusal::new(Kind::Malformed, "unknown provider").field("spec.models[0].provider");
    let expected = "class finance/expense-agent: spec.models[0].provider: unknown provider  (f.yaml:11:7)";
    assert_eq!(manifests[0].locate(refusal).to_string(), expected);
}

#[test]
fn broken_yaml_is_refused_with_its_place() {
    for text in
        ["a: [", "a: b: c", "\ta: 1", "- a\nb", "a: \"x", "%", "\0", "? ? ?", "a: !!binary x\n", "{", "}", "a: *b"]
    {
        let error = read_text(text).expect_err(text);
        assert!(error.contains("f.yaml"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
