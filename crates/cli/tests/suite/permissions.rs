//! Permissions as a person writes, compares and consents to them.

use crate::dev::Dev;

const CLASS: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {namespace: finance, name: expenses}\nspec:\n  owner: finance@example.org\n  permissions:\n    allow:\n      - tool expenses/submit when amount <= 500 EUR\n";

/// What the README shows: what a user delegated counts, and who is denied learns what to ask for and whom.
#[test]
fn an_actor_does_what_its_class_and_its_user_allow_and_a_denial_says_what_is_missing() {
    const ADA: &str = "ada@https://login.example.org";
    let dev = Dev::start();
    let said = |code: i32, arguments: &[&str]| {
        let ran = dev.ran(arguments, "");
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        format!("{}{}", ran.stdout, ran.stderr)
    };
    assert_eq!(dev.ran(&["apply", "-f", "-"], CLASS).code, 0);
    said(0, &["class", "consent", "finance/expenses"]);
    said(0, &["actor", "create", "--class", "finance/expenses", "ada-1", "--user", ADA, "--session", "s-1"]);
    said(0, &["actor", "create", "--class", "finance/expenses", "bob-1", "--user", "bob@https://login.example.org"]);
    let can = |code: i32, actor: &str, amount: u32| {
        let amount = format!("amount={amount}");
        said(code, &["can", actor, "tool", "expenses/submit", "-c", &amount, "-c", "currency=EUR"])
    };
    let nothing = can(1, "finance/ada-1", 150);
    assert!(
        nothing.contains("What would allow it: `tool expenses/submit`, from ada of https://login.example.org."),
        "{nothing}"
    );
    let allow = "tool expenses/submit when amount <= 200 EUR";
    let granted =
        said(0, &["delegation", "grant", "class/finance/expenses", "--user", ADA, "--allow", allow, "--uses", "5"]);
    let id =
        granted.split_once(':').map(|(first, _)| first.trim_start_matches("delegation ").to_owned()).expect("an id");
    let allowed = can(0, "finance/ada-1", 150);
    assert!(allowed.starts_with("actor finance/ada-1 may: tool expenses/submit\n"), "{allowed}");
    assert!(can(1, "finance/ada-1", 300).contains("`tool expenses/submit when amount <= 300 EUR`, from ada of"));
    let beyond = can(1, "finance/ada-1", 600);
    assert!(beyond.contains("> class       denies") && beyond.contains("> delegation  denies"), "{beyond}");
    assert!(can(1, "finance/bob-1", 1).contains("what bob of https://login.example.org delegated does not allow"));
    let refused = said(1, &["delegation", "grant", "actor/finance/bob-1", "--user", ADA, "--allow", allow]);
    assert!(refused.contains("actor finance/bob-1 does not act for ada of https://login.example.org"), "{refused}");
    let list = said(0, &["delegation", "list", "--user", ADA]);
    assert!(list.contains("0 of 5") && list.contains(&id), "{list}");
    let wider = said(1, &["delegation", "narrow", &id, "--allow", "tool expenses/submit when amount <= 201 EUR"]);
    assert!(wider.contains("a delegation only becomes narrower") || wider.contains("only becomes narrower"), "{wider}");
    said(0, &["delegation", "narrow", &id, "--allow", "tool expenses/submit when amount <= 100 EUR"]);
    can(1, "finance/ada-1", 150);
    let permissions = said(0, &["actor", "permissions", "finance/ada-1"]);
    assert!(
        permissions.starts_with("finance/ada-1 may\n  tool expenses/submit when amount <= 100 EUR\n"),
        "{permissions}"
    );
    said(0, &["delegation", "revoke", &id, "--reason", "the trip is off"]);
    can(1, "finance/ada-1", 1);
    let wrong = said(2, &["can", "finance/ada-1", "tool", "expenses/submit", "-c", "amount"]);
    assert!(wrong.contains("`amount` is neither NAME=VALUE nor a JSON object"), "{wrong}");
    said(2, &["can", "finance/ada-1", "tool", "expenses/submit when amount <= 3"]);
    assert!(said(1, &["explain", "decision/01jdvarh8000000000000000ab"]).contains("is not recorded"));
}

#[test]
fn a_wider_class_waits_for_consent_and_a_person_sees_what_got_wider() {
    let dev = Dev::start();
    let said = |arguments: &[&str], stdin: &str| {
        let ran = dev.ran(arguments, stdin);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        ran.stdout
    };
    said(&["apply", "-f", "-"], CLASS);
    assert!(said(&["get", "classes"], "").contains("revision 1 waits for consent"));
    let created = dev.ran(&["actor", "create", "--class", "finance/expenses", "a-1"], "");
    assert_eq!(created.code, 0, "{created:?}");
    let refused = dev.ran(&["actor", "resume", "finance/a-1"], "");
    assert!(refused.code == 1 && refused.stderr.contains("credence class consent finance/expenses"), "{refused:?}");
    let diff = "finance/expenses: revision 1 compared with nothing, for none is in force\n  wider     allows `tool expenses/submit when amount <= 500 EUR`\n";
    assert!(said(&["class", "diff", "finance/expenses"], "").ends_with(diff));
    let consented = said(&["class", "consent", "finance/expenses"], "");
    assert!(consented.ends_with("finance/expenses: you consented to revision 1 and what it permits\n"), "{consented}");
    said(&["apply", "-f", "-"], &CLASS.replace("500", "600"));
    let diff = said(&["class", "diff", "finance/expenses"], "");
    assert!(diff.contains("revision 2 compared with revision 1\n  wider     allows `tool expenses/submit when amount <= 600 EUR`, where it allowed"), "{diff}");
    let object = said(&["class", "diff", "finance/expenses", "-o", "json"], "");
    let object: serde_json::Value = serde_json::from_str(&object).expect("JSON");
    assert_eq!(object[0]["direction"], "wider");
    let only = ["class", "consent", "finance/expenses", "--only", "tool expenses/submit when amount <= 700 EUR"];
    let refused = dev.ran(&only, "");
    assert!(
        refused.code == 1 && refused.stderr.contains("only[0]: the revision does not permit all of it"),
        "{refused:?}"
    );
    let refused = dev.ran(&["class", "consent", "finance/expenses", "--only", "tool expenses/submit if"], "");
    assert!(refused.code == 2 && refused.stderr.contains("expected `when`, `with` or the end"), "{refused:?}");
    said(&["class", "withdraw", "finance/expenses"], "");
    assert!(said(&["class", "diff", "finance/expenses", "--revision", "1", "--with", "2"], "").contains("narrower"));
}
