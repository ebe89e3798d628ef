//! The control API as it is meant to be used.

use crate::house::{House, actor, class, pool};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CLASS: &str = "/v1/classes/finance/expense-agent";

#[tokio::test]
async fn a_class_has_revisions_and_a_version_that_guards_it() {
    let house = House::furnished().await;
    let admin = house.admin();
    let seen = admin.get(CLASS).await.ok();
    assert_eq!(seen["spiffe_id"], "spiffe://test.internal/ns/finance/agent/expense-agent");
    assert_eq!((&seen["revision"], &seen["in_force"], &seen["enabled"]), (&json!(1), &json!(1), &json!(true)));
    let again = admin.put(CLASS, &class()).await.ok();
    assert_eq!(again, json!({ "version": seen["version"], "revision": 1, "changed": false }));
    let mut changed = class();
    changed["spec"]["purpose"] = "files expense reports".into();
    changed["metadata"]["version"] = seen["version"].clone();
    let applied = admin.put(CLASS, &changed).await.ok();
    assert_eq!((&applied["revision"], &applied["changed"]), (&json!(2), &json!(true)));
    let digests: BTreeSet<_> =
        admin.get(CLASS).await.ok()["revisions"].as_array().unwrap().iter().map(digest).collect();
    assert_eq!(digests.len(), 2);
    // The same precondition as a header.
    let version = format!("\"{}\"", applied["version"]);
    let body = class().to_string();
    admin.send("PUT", CLASS, &[("if-match", &version)], body.as_bytes()).await.ok();
    for (path, revision) in [("disable", json!({ "revision": 1 })), ("disable", json!({})), ("enable", json!({}))] {
        admin.post(&format!("{CLASS}/{path}"), &revision).await.ok();
    }
    let seen = admin.get(CLASS).await.ok();
    assert_eq!((&seen["enabled"], &seen["revisions"][0]["allowed"]), (&json!(true), &json!(false)));
    admin.delete(CLASS).await.ok();
    assert_eq!(admin.get(CLASS).await.refused()["kind"], "not_found");
    house.close().await;
}

fn digest(revision: &Value) -> String {
    revision["digest"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pool_is_applied_shown_listed_and_deleted() {
    let house = House::furnished().await;
    let admin = house.admin();
    let seen = admin.get("/v1/pools/finance/standard").await.ok();
    assert_eq!((&seen["spec"]["direct"], &seen["workers"]), (&json!(true), &json!(0)));
    let mut other = pool();
    other["metadata"]["name"] = "spare".into();
    other["metadata"]["version"] = 0.into();
    admin.put("/v1/pools/finance/spare", &other).await.ok();
    let names = |list: Value| list["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    let all: Vec<_> = names(admin.get("/v1/pools?namespace=finance").await.ok());
    assert_eq!(all, ["spare", "standard"]);
    admin.delete("/v1/pools/finance/spare").await.ok();
    let all: Vec<_> = names(admin.get("/v1/pools").await.ok());
    assert_eq!(all, ["standard"]);
    house.close().await;
}

#[tokio::test]
async fn actors_are_created_listed_in_pages_and_deleted_for_ever() {
    let house = House::furnished().await;
    let admin = house.admin();
    for number in 1..=7 {
        let created = admin.post("/v1/actors", &actor(&format!("a-{number}"))).await.ok();
        assert_eq!((&created["state"], &created["epoch"]), (&json!("suspended"), &json!(0)));
        assert_eq!(
            created["spiffe_id"],
            format!("spiffe://test.internal/ns/finance/agent/expense-agent/actor/a-{number}")
        );
        assert_eq!(admin.get(&format!("/v1/actors/finance/a-{number}")).await.ok(), created);
    }
    let (mut ids, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = admin.get(&format!("/v1/actors?namespace=finance&limit=3{after}")).await.ok();
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={}", next.replace('/', "%2F"));
    }
    assert_eq!((pages, ids.join(" ").as_str()), (3, "a-1 a-2 a-3 a-4 a-5 a-6 a-7"));
    for query in ["state=running", "class=other", "namespace=other"] {
        assert_eq!(admin.get(&format!("/v1/actors?{query}")).await.ok()["items"], json!([]), "{query}");
    }
    assert_eq!(admin.get("/v1/actors?state=suspended&class=expense-agent").await.ok()["items"][6]["id"], "a-7");
    admin.delete("/v1/actors/finance/a-1").await.ok();
    let gone = admin.get("/v1/actors/finance/a-1").await.refused();
    assert!(gone["message"].as_str().unwrap().ends_with("its id is never used again"), "{gone}");
    let error = house.refuses("POST", "/v1/actors", &actor("a-1")).await;
    assert_eq!((&error["kind"], &error["field"]), (&json!("conflict"), &json!("id")));
    let generated = admin.post("/v1/actors", &json!({ "namespace": "finance", "class": "expense-agent" })).await.ok();
    assert_eq!(generated["id"].as_str().unwrap().len(), 26);
    house.close().await;
}

#[tokio::test]
async fn a_retry_under_the_same_key_gets_the_first_answer_and_changes_nothing() {
    let house = House::furnished().await;
    let admin = house.admin();
    let body = json!({ "namespace": "finance", "class": "expense-agent" }).to_string();
    let key = [("idempotency-key", "k-1")];
    let first = admin.send("POST", "/v1/actors", &key, body.as_bytes()).await.ok();
    let token = json!({ "pools": [{ "pool": "finance/standard", "workers_max": 1 }], "ttl_secs": 60 }).to_string();
    let token_key = [("idempotency-key", "k-2")];
    let first_token = admin.send("POST", "/v1/join-tokens", &token_key, token.as_bytes()).await.ok();
    let before = house.last_index().await;
    assert_eq!(admin.send("POST", "/v1/actors", &key, body.as_bytes()).await.ok(), first);
    assert_eq!(admin.send("POST", "/v1/join-tokens", &token_key, token.as_bytes()).await.ok(), first_token);
    assert_eq!(house.last_index().await, before);
    let error = house.refuses_bytes("POST", "/v1/actors", &key, actor("other").to_string().as_bytes()).await;
    assert_eq!(error["kind"], "conflict", "{error}");
    // The answers are recorded, so they outlive the process.
    let house = house.restart().await;
    let before = house.last_index().await;
    assert_eq!(house.admin().send("POST", "/v1/actors", &key, body.as_bytes()).await.ok(), first);
    assert_eq!(house.admin().send("POST", "/v1/join-tokens", &token_key, token.as_bytes()).await.ok(), first_token);
    assert_eq!(house.last_index().await, before);
    let other = house.admin().send("POST", "/v1/actors", &[], body.as_bytes()).await.ok();
    assert_ne!(other["id"], first["id"]);
    house.close().await;
}

#[tokio::test]
async fn retries_that_race_make_one_actor() {
    let house = House::furnished().await;
    let body = json!({ "namespace": "finance", "class": "expense-agent" }).to_string();
    let once = async || {
        let key = [("idempotency-key", "race")];
        house.admin().send("POST", "/v1/actors", &key, body.as_bytes()).await.ok()["id"].clone()
    };
    let (a, b, c, d) = tokio::join!(once(), once(), once(), once());
    assert!(a == b && b == c && c == d, "{a} {b} {c} {d}");
    assert_eq!(house.admin().get("/v1/actors").await.ok()["items"].as_array().unwrap().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn whoever_waits_for_the_log_is_woken_by_the_next_entry() {
    let house = House::furnished().await;
    let admin = house.admin();
    let next = house.last_index().await + 1;
    let path = format!("/v1/log?from={next}&wait_ms=60000");
    let body = actor("a-1");
    let (page, created) = tokio::join!(admin.get(&path), admin.post("/v1/actors", &body));
    created.ok();
    let page = page.ok();
    assert_eq!(page["items"][0]["event"]["type"], "actor_created", "{page}");
    assert_eq!((&page["items"][0]["index"], &page["next"]), (&json!(next), &json!(next + 1)));
    // Nothing comes: an empty page, and the same place to read on from.
    let empty = admin.get(&format!("/v1/log?from={}&wait_ms=1", next + 1)).await.ok();
    assert_eq!(empty, json!({ "items": [], "next": next + 1 }));
    let end = admin.get(&format!("/v1/log?from={}", u64::MAX)).await.ok();
    assert_eq!(end, json!({ "items": [], "next": u64::MAX }));
    house.close().await;
}

#[tokio::test]
async fn the_server_says_what_it_is_and_how_it_is() {
    let house = House::furnished().await;
    let anonymous = house.anonymous();
    assert_eq!(anonymous.get("/healthz").await.ok(), json!({ "status": "ok" }));
    assert_eq!(anonymous.get("/readyz").await.ok(), json!({ "status": "ok" }));
    let shown = anonymous.get("/v1/trust-domain").await.ok();
    assert_eq!(shown["settings"]["trustDomain"], "test.internal");
    let bundle = anonymous.get("/v1/bundle").await.ok();
    let uses: BTreeSet<_> = bundle["keys"].as_array().unwrap().iter().map(|key| key["use"].to_string()).collect();
    assert_eq!(uses, BTreeSet::from(["\"jwt-svid\"".to_owned(), "\"x509-svid\"".to_owned()]));
    assert_eq!(anonymous.get("/openapi.json").await.ok()["openapi"], "3.1.0");
    let invariants = house.admin().get("/v1/invariants").await.ok();
    assert_eq!(invariants["entries"], house.last_index().await);
    let items = invariants["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert!(items.iter().all(|item| item["holds"] == true), "{invariants}");
    house.close().await;
}

#[tokio::test]
async fn a_restart_on_the_same_directory_keeps_everything_that_was_acknowledged() {
    let house = House::furnished().await;
    let admin = house.admin();
    admin.post("/v1/actors", &actor("a-1")).await.ok();
    admin.post("/v1/actors", &actor("a-2")).await.ok();
    admin.post("/v1/actors/finance/a-2/terminate", &json!({ "reason": "done" })).await.ok();
    admin.post("/v1/actors", &actor("a-3")).await.ok();
    admin.delete("/v1/actors/finance/a-3").await.ok();
    let paths = ["/v1/actors", "/v1/classes", "/v1/pools", "/v1/bundle", "/v1/trust-domain"];
    let mut seen = Vec::new();
    for path in paths {
        seen.push(admin.get(path).await.ok());
    }
    let log = house.log().await;
    let house = house.restart().await;
    assert!(!house.server.report().created);
    for (path, before) in paths.into_iter().zip(seen) {
        assert_eq!(house.admin().get(path).await.ok(), before, "{path}");
    }
    let after = house.log().await;
    assert_eq!(after[..log.len()], log);
    assert_eq!(after.len(), log.len() + 1, "only the start is recorded: {after:?}");
    let error = house.refuses("POST", "/v1/actors", &actor("a-3")).await;
    assert_eq!(error["kind"], "conflict");
    house.close().await;
}
