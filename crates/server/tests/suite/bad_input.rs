//! What is wrong in a request: each is refused with the field and what to do, and changes nothing.

use crate::house::{House, actor, class, pool};
use serde_json::{Value, json};

const CLASS: &str = "/v1/classes/finance/expense-agent";

/// `base` with one value put in.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    base.pointer_mut(parent).unwrap()[name] = value;
    base
}

#[track_caller]
fn check(error: &Value, kind: &str, field: &str, message: &str) {
    assert_eq!((error["kind"].as_str(), error["field"].as_str()), (Some(kind), Some(field)), "{error}");
    assert!(error["message"].as_str().unwrap().contains(message), "{message}: {error}");
}

#[tokio::test]
async fn unknown_fields_and_wrong_types_are_named_by_their_path() {
    let house = House::furnished().await;
    let pool_path = "/v1/pools/finance/standard";
    for (method, path, body, field, message) in [
        ("PUT", CLASS, with(class(), "/colour", json!(1)), "colour", "unknown field"),
        ("PUT", CLASS, with(class(), "/spec/onwer", json!("x")), "spec.onwer", "unknown field"),
        ("PUT", CLASS, with(class(), "/spec/runtime/comand", json!([])), "spec.runtime.comand", "unknown field"),
        ("PUT", CLASS, with(class(), "/spec/owner", json!(7)), "spec.owner", "expected a string"),
        ("PUT", CLASS, with(class(), "/spec/models", json!({})), "spec.models", "invalid type"),
        ("PUT", CLASS, with(class(), "/metadata/version", json!("1")), "metadata.version", "expected u64"),
        ("PUT", CLASS, with(class(), "/metadata/version", json!(-1)), "metadata.version", "expected u64"),
        ("PUT", CLASS, with(class(), "/spec/owner", json!("")), "spec.owner", "owner"),
        ("PUT", CLASS, with(class(), "/spec/credentials", json!({ "x509TtlSecs": 901 })), "", "10 to 900"),
        ("PUT", CLASS, with(class(), "/metadata/name", json!("other")), "metadata.name", "not what the path says"),
        ("PUT", pool_path, with(pool(), "/spec/shareWith", json!(["A"])), "spec.shareWith[0]", "namespace"),
        ("PUT", pool_path, with(pool(), "/spec/direct", json!("yes")), "spec.direct", "expected a boolean"),
        ("POST", "/v1/actors", with(actor("a"), "/state", json!("running")), "state", "unknown field"),
        ("POST", "/v1/actors", with(actor("a"), "/labels", json!(["a"])), "labels", "invalid type"),
        ("POST", "/v1/actors", with(actor("a"), "/labels", json!({ "a": 1 })), "labels.a", "expected a string"),
        ("POST", "/v1/actors", json!({ "namespace": "finance" }), "body", "missing field `class`"),
        ("POST", "/v1/actors/finance/a/resume", json!({ "wait_ms": -1 }), "wait_ms", "expected u64"),
        (
            "POST",
            "/v1/actors/finance/a/resume",
            json!({ "until_running_ms": 9e9 as u64 }),
            "until_running_ms",
            "120000",
        ),
        ("POST", "/v1/actors/finance/a/suspend", json!({ "now": true }), "now", "unknown field"),
        ("POST", "/v1/join-tokens", json!({ "pools": [], "ttl_secs": 60 }), "pools", "grants"),
        ("POST", "/v1/join-tokens", json!({ "pools": [{ "pool": "finance" }], "ttl_secs": 60 }), "pools[0].pool", "/"),
        ("GET", "/v1/actors?colour=red", Value::Null, "colour", "unknown field"),
        ("GET", "/v1/actors?limit=0", Value::Null, "limit", "1 to 1000"),
        ("GET", "/v1/actors?limit=many", Value::Null, "limit", "invalid digit"),
        ("GET", "/v1/actors?state=happy", Value::Null, "state", "unknown variant"),
        ("GET", "/v1/actors?after=%00", Value::Null, "after", ""),
        ("GET", "/v1/log?wait_ms=60001", Value::Null, "wait_ms", "60000"),
    ] {
        let field = if field.is_empty() { "spec.credentials.x509TtlSecs" } else { field };
        check(&house.refuses(method, path, &body).await, "malformed", field, message);
    }
    house.close().await;
}

/// Threats T11 and T13: what would mean something in a path, a file name or a URL is no identifier.
#[tokio::test]
async fn identifiers_that_are_not_dns_labels_are_refused_wherever_they_are_read() {
    let house = House::furnished().await;
    let long = "a".repeat(64);
    for id in ["a/b", "..", "a%2fb", "A", "a\0b", "", "-a", "a_b", "ä", " a", &long] {
        let error = house.refuses("POST", "/v1/actors", &actor(id)).await;
        check(&error, "malformed", "id", "actor id");
        assert!(error["message"].as_str().unwrap().len() < 300);
        let body = with(actor("a"), "/namespace", json!(id));
        check(&house.refuses("POST", "/v1/actors", &body).await, "malformed", "namespace", "namespace");
        let body = with(actor("a"), "/class", json!(id));
        check(&house.refuses("POST", "/v1/actors", &body).await, "malformed", "class", "class name");
    }
    // In the path, where %2f is decoded once and is then a slash.
    for id in ["..", "%2e%2e", "a%2fb", "a%252fb", "A", "a%00", "-a", "%C3%A4", &long] {
        for (method, rest, kind) in [
            ("GET", "", "actor id"),
            ("DELETE", "", "actor id"),
            ("POST", "/resume", "actor id"),
            ("POST", "/terminate", "actor id"),
        ] {
            let path = format!("/v1/actors/finance/{id}{rest}");
            check(&house.refuses(method, &path, &Value::Null).await, "malformed", "id", kind);
        }
        let error = house.refuses("PUT", &format!("/v1/classes/finance/{id}"), &class()).await;
        check(&error, "malformed", "name", "class name");
        let error = house.refuses("PUT", &format!("/v1/pools/{id}/standard"), &pool()).await;
        check(&error, "malformed", "namespace", "namespace");
        let error = house.refuses("GET", &format!("/v1/nodes/{id}"), &Value::Null).await;
        check(&error, "malformed", "name", "node name");
        let error = house.refuses("POST", &format!("/v1/workers/finance/standard/{id}/drain"), &Value::Null).await;
        check(&error, "malformed", "id", "worker id");
    }
    let error = house.refuses("GET", "/v1/actors/finance/%ff", &Value::Null).await;
    check(&error, "malformed", "path", "UTF-8");
    house.close().await;
}

#[tokio::test]
async fn a_spiffe_id_of_2049_bytes_is_refused_and_not_repeated_in_full() {
    let house = House::furnished().await;
    let id = |bytes: usize| {
        let prefix = "spiffe://test.internal/";
        format!("{prefix}{}", "a".repeat(bytes - prefix.len()))
    };
    let body = |id: &str| json!({ "spiffe_id": id, "epoch": 1, "binding": "01arz3ndektsv4rrffq69g5fav" });
    for (text, message) in [
        (id(2049), "longer than 2048 bytes"),
        ("spiffe://test.internal/%2f".into(), "percent-encoded"),
        ("spiffe://test.internal/../a".into(), "dot segment"),
        ("spiffe://Test.internal/a".into(), "a-z"),
        ("spiffe://test.internal/a\0".into(), "only letters"),
    ] {
        let error = house.refuses("POST", "/v1/verify", &body(&text)).await;
        check(&error, "malformed", "spiffe_id", message);
        assert!(error["message"].as_str().unwrap().len() < 300, "{error}");
    }
    let verdict = house.admin().post("/v1/verify", &body(&id(2048))).await.ok();
    assert_eq!(verdict["live"], false);
    house.close().await;
}

#[tokio::test]
async fn what_does_not_exist_is_said_to_be_missing_with_what_to_do() {
    let house = House::furnished().await;
    let token = |pool: &str| json!({ "pools": [{ "pool": pool, "workers_max": 1 }], "ttl_secs": 60 });
    for (method, path, body, field, hint) in [
        ("POST", "/v1/actors", with(actor("a"), "/class", json!("unknown")), "class", "credence apply"),
        ("POST", "/v1/actors", with(actor("a"), "/namespace", json!("unknown")), "class", "credence apply"),
        ("POST", "/v1/join-tokens", token("finance/unknown"), "pools[0].pool", "credence apply"),
        ("POST", "/v1/classes/finance/unknown/disable", Value::Null, "class", "credence apply"),
        ("POST", "/v1/classes/finance/expense-agent/disable", json!({ "revision": 9 }), "revision", ""),
    ] {
        let error = house.refuses(method, path, &body).await;
        check(&error, "not_found", field, "");
        assert!(error["hint"].as_str().unwrap_or_default().contains(hint), "{path}: {error}");
    }
    for (method, path) in [
        ("GET", "/v1/classes/finance/unknown"),
        ("DELETE", "/v1/classes/finance/unknown"),
        ("GET", "/v1/pools/finance/unknown"),
        ("DELETE", "/v1/pools/finance/unknown"),
        ("GET", "/v1/actors/finance/unknown"),
        ("DELETE", "/v1/actors/finance/unknown"),
        ("POST", "/v1/actors/finance/unknown/resume"),
        ("POST", "/v1/actors/finance/unknown/suspend"),
        ("GET", "/v1/actors/finance/unknown/logs"),
        ("GET", "/v1/nodes/unknown"),
        ("DELETE", "/v1/nodes/unknown"),
        ("POST", "/v1/workers/finance/standard/unknown/drain"),
        ("GET", "/v2/actors"),
        ("GET", "/"),
    ] {
        let error = house.refuses(method, path, &Value::Null).await;
        assert_eq!(error["kind"], "not_found", "{path}: {error}");
    }
    house.close().await;
}

#[tokio::test]
async fn an_object_that_changed_since_it_was_read_is_not_overwritten() {
    let house = House::furnished().await;
    let admin = house.admin();
    let read = admin.get(CLASS).await.ok()["version"].clone();
    admin.put(CLASS, &with(class(), "/spec/purpose", json!("of somebody else"))).await.ok();
    let mine = with(class(), "/spec/purpose", json!("mine"));
    let error = house.refuses("PUT", CLASS, &with(mine.clone(), "/metadata/version", read.clone())).await;
    check(&error, "conflict", "metadata.version", "changed since you read it");
    assert!(error["hint"].as_str().unwrap().starts_with("Read it again"));
    let stale = format!("\"{read}\"");
    let error = house.refuses_bytes("PUT", CLASS, &[("if-match", &stale)], mine.to_string().as_bytes()).await;
    check(&error, "conflict", "metadata.version", "changed since you read it");
    let error = house.refuses("PUT", CLASS, &with(mine.clone(), "/metadata/version", json!(0))).await;
    check(&error, "conflict", "metadata.version", "exists already");
    let both = with(mine, "/metadata/version", json!(1)).to_string();
    let error = house.refuses_bytes("PUT", CLASS, &[("if-match", &stale)], both.as_bytes()).await;
    check(&error, "malformed", "If-Match", "differs");
    let fresh = with(with(pool(), "/metadata/name", json!("fresh")), "/metadata/version", json!(7));
    let error = house.refuses("PUT", "/v1/pools/finance/fresh", &fresh).await;
    check(&error, "conflict", "metadata.version", "does not exist");
    house.close().await;
}

#[tokio::test]
async fn an_actor_that_waits_or_is_over_is_not_resumed() {
    let house = House::furnished().await;
    let admin = house.admin();
    let path = "/v1/actors/finance/a-1/resume";
    admin.post("/v1/actors", &actor("a-1")).await.ok();
    let error = house.refuses("POST", path, &json!({ "wait_ms": 0 })).await;
    assert_eq!(error["kind"], "unavailable", "{error}");
    assert!(error["retry_after_ms"].as_u64().unwrap() > 0);
    let error = house.refuses("POST", path, &json!({ "wait_ms": 600_001 })).await;
    check(&error, "malformed", "wait_ms", "600000");
    let error = house.refuses("POST", path, &json!({ "worker": "finance/standard/none" })).await;
    check(&error, "not_found", "worker", "there is no worker");
    let waiting = admin.post(path, &json!({})).await.ok();
    assert_eq!(waiting["waiting"]["place"], 1, "{waiting}");
    let error = house.refuses("POST", path, &json!({})).await;
    assert_eq!(error["kind"], "conflict", "{error}");
    assert!(error["message"].as_str().unwrap().contains("waits for a worker already"), "{error}");
    admin.post("/v1/actors/finance/a-1/terminate", &json!({ "reason": "done" })).await.ok();
    for verb in ["resume", "suspend", "terminate", "quarantine"] {
        let error = house.refuses("POST", &format!("/v1/actors/finance/a-1/{verb}"), &json!({})).await;
        assert_eq!(error["kind"], "conflict", "{verb}: {error}");
        assert!(error["hint"].as_str().unwrap().contains("create a new one"), "{verb}: {error}");
    }
    admin.post("/v1/actors", &actor("a-2")).await.ok();
    admin.post("/v1/actors/finance/a-2/quarantine", &json!({})).await.ok();
    let error = house.refuses("POST", "/v1/actors/finance/a-2/resume", &json!({})).await;
    assert_eq!(error["kind"], "revoked", "{error}");
    let error = house.refuses("DELETE", CLASS, &Value::Null).await;
    assert_eq!(error["kind"], "conflict", "{error}");
    house.close().await;
}

#[tokio::test]
async fn a_body_is_json_of_a_bounded_size_and_says_so() {
    let house = House::furnished().await;
    let good = actor("a-1").to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/yaml", "", "application/jsonx"]
    {
        let headers = [("content-type", content_type)];
        let error = house.refuses_bytes("POST", "/v1/actors", &headers, good.as_bytes()).await;
        check(&error, "malformed", "Content-Type", "application/json");
    }
    let trailing = format!("{good} {good}");
    let twice = good.replace('{', r#"{"id":"b","#);
    for (body, message) in [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ("null", "expected a JSON object"),
        (trailing.as_str(), "trailing characters"),
        (twice.as_str(), "`id` appears twice"),
        ("\u{feff}{}", "not JSON"),
    ] {
        check(&house.refuses_bytes("POST", "/v1/actors", &[], body.as_bytes()).await, "malformed", "body", message);
    }
    let deep = format!("{}{}", r#"{"labels":"#.repeat(200), "}".repeat(200));
    check(&house.refuses_bytes("POST", "/v1/actors", &[], deep.as_bytes()).await, "malformed", "body", "recursion");
    let large = with(actor("a-1"), "/labels", json!({ "a": "x".repeat(1024 * 1024) })).to_string();
    check(&house.refuses_bytes("POST", "/v1/actors", &[], large.as_bytes()).await, "limited", "body", "1048576 bytes");
    // What fits into a body and not into one entry of the journal is refused alone.
    let command = |last: usize| {
        let mut words = vec!["x".repeat(16_000); 65];
        words.push("x".repeat(last));
        with(class(), "/spec/runtime/command", json!(words))
    };
    let large = command(1024 * 1024 - command(0).to_string().len());
    let error = house.refuses("PUT", CLASS, &large).await;
    assert_eq!(error["kind"], "limited", "{error}");
    assert!(error["message"].as_str().unwrap().contains("at most 1048576 are recorded"), "{error}");
    let json = [("content-type", "application/json; charset=utf-8")];
    house.admin().send("POST", "/v1/actors", &json, good.as_bytes()).await.ok();
    house.close().await;
}

#[tokio::test]
async fn headers_that_mean_something_are_read_strictly() {
    let house = House::furnished().await;
    let body = class().to_string();
    let long = "k".repeat(129);
    for (header, value) in
        [("idempotency-key", ""), ("idempotency-key", long.as_str()), ("if-match", "*"), ("if-match", "W/\"1\"")]
    {
        let error = house.refuses_bytes("PUT", CLASS, &[(header, value)], body.as_bytes()).await;
        assert_eq!(error["kind"], "malformed", "{header}: {error}");
        assert!(error["field"].as_str().unwrap().eq_ignore_ascii_case(header), "{error}");
    }
    let error = house.refuses_bytes("PUT", CLASS, &[("if-match", "1"), ("if-match", "2")], body.as_bytes()).await;
    check(&error, "malformed", "If-Match", "");
    let reply = house.admin().send("PATCH", CLASS, &[], body.as_bytes()).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (405, &"application/json".parse().unwrap()));
    house.close().await;
}
