//! Permissions as a person writes, compares and consents to them.

use crate::dev::Dev;

const CLASS: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {namespace: finance, name: expenses}\nspec:\n  owner: finance@example.org\n  permissions:\n    allow:\n      - tool expenses/submit when amount <= 500 EUR\n";

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
