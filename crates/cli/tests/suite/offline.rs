//! Verbs that need nobody: `apply --check`, `svid inspect`.

use crate::program::{run, run_in};

const CLASS: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {namespace: finance, name: expense-agent}\nspec:\n  owner: finance@example.org\n  models:\n    - model: sonnet\n    - modle: small\n";

#[test]
fn a_manifest_is_checked_without_a_server_and_its_error_names_the_line() {
    let ran = run(&["apply", "--check", "-f", "-"], CLASS);
    let error = "error: class finance/expense-agent: spec.models[1]: unknown field `modle`, did you mean `model`?  (standard input:8:7)\n";
    assert_eq!((ran.stderr.as_str(), ran.code), (error, 1));
    let ran = run(&["apply", "--check", "-f", "-"], &CLASS.replace("modle", "model"));
    assert_eq!((ran.stdout.as_str(), ran.code), ("class finance/expense-agent: fine\n", 0));
}

#[test]
fn the_object_form_of_a_manifest_error_has_field_and_place() {
    let ran = run(&["apply", "--check", "-f", "-", "-o", "json"], CLASS);
    let object: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one object");
    assert_eq!(
        (object["field"].as_str(), object["place"].as_str()),
        (Some("spec.models[1]"), Some("standard input:8:7"))
    );
}

#[test]
fn nothing_is_sent_when_one_of_several_files_is_wrong() {
    let home = tempfile::tempdir().expect("a home");
    std::fs::write(home.path().join("good.yaml"), CLASS.replace("modle", "model")).expect("written");
    std::fs::write(home.path().join("bad.yaml"), CLASS).expect("written");
    // There is no server: the error is about the file, so no server was looked for.
    let ran = run_in(home.path(), &["apply", "-f", "good.yaml", "-f", "bad.yaml"], "");
    assert!(ran.code == 1 && ran.stderr.contains("(bad.yaml:8:7)"), "{ran:?}");
}

#[test]
fn what_is_no_credential_is_refused_in_one_line() {
    for (input, error) in [
        (
            "",
            "standard input: it is neither a certificate nor a token. Expected an X.509-SVID in PEM or DER, or a JWT-SVID",
        ),
        (
            "hello",
            "standard input: it is neither a certificate nor a token. Expected an X.509-SVID in PEM or DER, or a JWT-SVID",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
            "standard input: there is no certificate in it. Expected an X.509-SVID in PEM or DER, or a JWT-SVID",
        ),
    ] {
        let ran = run(&["svid", "inspect", "-"], input);
        assert_eq!((ran.stderr, ran.code), (format!("error: {error}\n"), 1));
    }
    let ran = run(&["svid", "inspect", "absent.pem"], "");
    assert_eq!(
        (ran.stderr.as_str(), ran.code),
        ("error: absent.pem cannot be read: No such file or directory (os error 2)\n", 1)
    );
}
