//! Published clients and tools, unmodified, against an actor's socket: what they fetch, stream and validate.

use crate::harness::{BRIEF, Dev, STEADY, arg, python, python_script, text, workload};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// SPIFFE ID of an actor of these tests.
fn id(class: &str, actor: &str) -> String {
    format!("spiffe://dev.internal/ns/default/agent/{class}/actor/{actor}")
}

/// Checks two certificates of one actor, the second of which replaced the first.
fn check_rotated(dev: &Dev, certificates: [&str; 2], id: &str) {
    assert_ne!(certificates[0], certificates[1], "nothing was rotated");
    let verdicts = certificates.map(|pem| dev.cli.verdict(pem));
    for verdict in &verdicts {
        assert_eq!((&verdict["live"], text(verdict, "spiffe_id")), (&json!(true), id), "{verdict}");
    }
    assert_eq!(verdicts[0]["binding"], verdicts[1]["binding"]);
    assert_eq!(verdicts[0]["epoch"], verdicts[1]["epoch"]);
}

#[test]
fn the_spiffe_crate_fetches_and_sees_a_rotation_on_its_open_stream() {
    let dev = Dev::start();
    let mut actor = dev.cli.actor(BRIEF, Some("rust"), &[workload(), "stream", "--until-stdin-closes"]);
    let (first, second) = (actor.object(), actor.object());
    let id = id(BRIEF, "rust");
    assert_eq!([text(&first, "spiffe_id"), text(&second, "spiffe_id")], [&id, &id]);
    assert_eq!(first["authorities"], second["authorities"]);
    check_rotated(&dev, [text(&first, "certificates"), text(&second, "certificates")], &id);
}

#[test]
fn the_spiffe_crate_fetches_a_token_and_validates_it_for_its_audience_only() {
    let dev = Dev::start();
    let said = dev.cli.actor(STEADY, Some("rust"), &[workload(), "token", "tests"]).object();
    let id = id(STEADY, "rust");
    for member in ["spiffe_id", "validated_by_endpoint", "validated_by_client"] {
        assert_eq!(text(&said, member), id, "{member}");
    }
    assert_eq!(said["other_audience_by_endpoint"], false);
    assert_eq!(said["other_audience_by_client"], false);
}

#[test]
fn py_spiffe_fetches_streams_and_validates() {
    let dev = Dev::start();
    let mut actor = dev.cli.actor(BRIEF, Some("python"), &[&python(), &python_script("clients.py")]);
    let said = actor.object();
    let id = id(BRIEF, "python");
    for member in ["spiffe_id", "token_of", "validated_by_endpoint", "validated_by_client"] {
        assert_eq!(text(&said, member), id, "{member}");
    }
    assert_eq!(said["streamed_ids"], json!([id, id]));
    assert_eq!(said["other_audience_refused"], true);
    assert_eq!(text(&said, "authorities"), dev.cli.done(&["bundle", "show", "--form", "pem"]));
    let streamed = |number: usize| said["streamed"][number].as_str().expect("certificates");
    check_rotated(&dev, [streamed(0), streamed(1)], &id);
}

#[test]
fn openssl_accepts_the_chain_for_both_ends_of_a_connection() {
    let dev = Dev::start();
    let said = dev.cli.actor(STEADY, Some("chain"), &[workload(), "stream", "--count", "1"]).object();
    let chain = dev.cli.file("chain.pem", text(&said, "certificates"));
    let served = dev.cli.file("served.pem", text(&said, "authorities"));
    let shown = dev.cli.file("shown.pem", &dev.cli.done(&["bundle", "show", "--form", "pem"]));
    for authorities in [&served, &shown] {
        for purpose in ["sslclient", "sslserver"] {
            let verify = ["verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose];
            let files = ["-CAfile", arg(authorities), "-untrusted", arg(&chain), arg(&chain)];
            let output = Command::new("openssl").args(verify).args(files).output().expect("openssl starts");
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{purpose}: {}", String::from_utf8_lossy(&said));
        }
    }
}

/// What PyJWT finds in a token, or `None` if it does not accept it.
fn pyjwt(token: &str, jwks: &Value, audience: &str) -> Option<Value> {
    let mut child = Command::new(python())
        .arg(python_script("pyjwt.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Python starts");
    let asked = json!({ "token": token, "jwks": jwks, "audience": audience });
    serde_json::to_writer(child.stdin.take().expect("a pipe"), &asked).expect("Python reads");
    let output = child.wait_with_output().expect("Python ends");
    output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("claims"))
}

#[test]
fn pyjwt_verifies_a_token_from_the_served_keys() {
    let dev = Dev::start();
    let said = dev.cli.actor(STEADY, Some("token"), &[workload(), "token", "tests"]).object();
    let token = text(&said, "token");
    let shown: Value =
        serde_json::from_str(&dev.cli.done(&["bundle", "show", "--form", "spiffe"])).expect("a bundle document");
    for jwks in [&said["jwks"], &shown] {
        let claims = pyjwt(token, jwks, "tests").expect("PyJWT accepts the token");
        assert_eq!(text(&claims, "sub"), id(STEADY, "token"));
        assert_eq!(pyjwt(token, jwks, "somebody-else"), None);
    }
    let (rest, signature) = token.rsplit_once('.').expect("a signature");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{rest}.{first}{}", &signature[1..]);
    assert_eq!(pyjwt(&forged, &shown, "tests"), None);
}
