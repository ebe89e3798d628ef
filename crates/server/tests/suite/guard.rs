//! Guards over HTTP: what owners of resources say, and what is no guard.

use crate::house::House;
use serde_json::{Value, json};

const ONE: &str = "/v1/guards/tools/expenses";

fn guard(spec: &Value) -> Value {
    let mut all = json!({ "owner": "tools@example.org", "resource": "tool/expenses/**" });
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({ "metadata": { "namespace": "tools", "name": "expenses" }, "spec": all })
}

/// An actor of a class that may call every tool.
async fn house() -> House {
    let house = House::furnished().await;
    let admin = house.admin();
    let spec = json!({ "owner": "x", "permissions": { "allow": ["tool **"] } });
    let class = json!({ "metadata": { "namespace": "finance", "name": "clerk" }, "spec": spec });
    admin.put("/v1/classes/finance/clerk", &class).await.ok();
    admin.post("/v1/classes/finance/clerk/consent", &json!({})).await.ok();
    admin.post("/v1/actors", &json!({ "namespace": "finance", "class": "clerk", "id": "c-1" })).await.ok();
    house
}

async fn submit(house: &House, context: Value) -> Value {
    let question = json!({
        "subject": { "type": "actor", "id": "finance/c-1" }, "action": { "name": "call" },
        "resource": { "type": "tool", "id": "expenses/submit" }, "context": context,
    });
    house.admin().post("/access/v1/evaluation", &question).await.ok()
}

#[tokio::test]
async fn an_owners_guard_is_asked_and_recorded_and_survives_a_restart() {
    let house = house().await;
    let admin = house.admin();
    assert_eq!(submit(&house, json!({})).await["decision"], true);
    let line = "tool expenses/submit when actor.class = finance/other";
    let applied = admin.put(ONE, &guard(&json!({ "allow": [line] }))).await.ok();
    assert_eq!(applied["changed"], true);
    let denied = submit(&house, json!({ "actor": { "class": "finance/other" }, "actor.class": "finance/other" })).await;
    assert_eq!(denied["decision"], false, "who it is comes from the registry");
    let verdicts = denied["context"]["verdicts"].as_array().unwrap();
    let verdict = verdicts.iter().find(|verdict| verdict["layer"] == "guard").unwrap();
    let missing = &verdict["missing"];
    assert_eq!(missing["permission"], "tool expenses/submit when actor.class = finance/clerk", "{verdict}");
    assert_eq!(missing["who"], "the owner of guard tools/expenses (tools@example.org)");
    let id = denied["context"]["decision_id"].as_str().unwrap();
    let found = admin.get(&format!("/v1/decisions/{id}")).await.ok();
    assert!(found.to_string().contains("guard tools/expenses of tools@example.org allows"), "{found}");
    let house = house.restart().await;
    assert_eq!(submit(&house, json!({})).await["decision"], false);
    let allow = json!({ "allow": ["tool expenses/* when actor.class = finance/clerk with step-up"] });
    house.admin().put(ONE, &guard(&allow)).await.ok();
    let allowed = submit(&house, json!({})).await;
    assert_eq!((&allowed["decision"], &allowed["context"]["obligations"]), (&json!(true), &json!(["step-up"])));
    let view = house.admin().get("/v1/actors/finance/c-1/permissions").await.ok();
    assert_eq!((&view["effective"], &view["guards"][0]["name"]), (&json!(["tool **"]), &json!("expenses")));
    house.admin().delete(ONE).await.ok();
    assert_eq!(submit(&house, json!({})).await["context"]["verdicts"].as_array().unwrap().len(), 3);
    house.close().await;
}

#[tokio::test]
async fn guards_are_listed_shown_changed_and_deleted() {
    let house = house().await;
    let admin = house.admin();
    assert_eq!(admin.get(ONE).await.refused()["kind"], "not_found");
    let version = admin.put(ONE, &guard(&json!({}))).await.ok()["version"].clone();
    assert_eq!(admin.put(ONE, &guard(&json!({}))).await.ok()["changed"], false);
    let mut stale = guard(&json!({ "allow": ["tool expenses/list"] }));
    stale["metadata"]["version"] = json!(0);
    assert_eq!(admin.put(ONE, &stale).await.refused()["kind"], "conflict");
    let found = admin.get(ONE).await.ok();
    assert_eq!((&found["version"], &found["spec"]["resource"]), (&version, &json!("tool/expenses/**")));
    assert_eq!(admin.get("/v1/guards?namespace=tools").await.ok()["items"], json!([found]));
    assert_eq!(admin.get("/v1/guards?namespace=finance").await.ok()["items"], json!([]));
    admin.delete(ONE).await.ok();
    assert_eq!(admin.delete(ONE).await.refused()["kind"], "not_found");
    let anonymous = house.anonymous();
    for refused in [anonymous.put(ONE, &guard(&json!({}))).await, anonymous.delete(ONE).await, anonymous.get(ONE).await]
    {
        assert_eq!(refused.refused()["kind"], "unauthenticated");
    }
    house.close().await;
}

#[tokio::test]
async fn what_is_no_guard_is_refused_with_its_field() {
    let house = house().await;
    let before = house.last_index().await;
    for (spec, field) in [
        (json!({ "resource": "tool/exp%65nses/**" }), "spec.resource"),
        (json!({ "resource": "tool/\u{0435}xpenses/**" }), "spec.resource"),
        (json!({ "resource": "tool/expenses/../**" }), "spec.resource"),
        (json!({ "resource": "Tool/expenses/**" }), "spec.resource"),
        (json!({ "resource": ["tool/expenses/**"] }), "spec.resource"),
        (json!({ "owner": "" }), "spec.owner"),
        (json!({ "allow": "tool expenses/submit" }), "spec.allow"),
        (json!({ "allow": ["tool expenses/submit", "tool \u{0435}xpenses/submit"] }), "spec.allow[1]"),
        (json!({ "allow": ["tool expenses/submit when actor.clаss = x"] }), "spec.allow[0]"),
        (json!({ "allow": ["tool expenses/submit when actor.CLASS = x/y"] }), "spec.allow[0]"),
        (json!({ "forbid": ["tool Expenses/submit"] }), "spec.forbid[0]"),
        (json!({ "forbid": ["tool expenses/submit with log"] }), "spec.forbid[0]"),
        (json!({ "permit": ["tool expenses/submit"] }), "spec.permit"),
    ] {
        let error = house.admin().put(ONE, &guard(&spec)).await.refused();
        assert_eq!((&error["kind"], &error["field"]), (&json!("malformed"), &json!(field)), "{spec}: {error}");
    }
    let another = house.admin().put("/v1/guards/tools/other", &guard(&json!({}))).await.refused();
    assert_eq!(another["field"], "metadata.name");
    assert_eq!(house.last_index().await, before, "nothing of it is recorded");
    house.close().await;
}

#[tokio::test]
async fn a_class_is_deleted_while_something_is_delegated_to_it_and_its_name_gives_nothing_back() {
    let house = house().await;
    let admin = house.admin();
    let user = json!({ "issuer": "https://login.example.org", "subject": "ada" });
    let to = json!({ "class": { "namespace": "finance", "class": "clerk" } });
    let body = json!({ "to": to, "allow": ["tool **"], "user": user });
    admin.post("/v1/delegations", &body).await.ok();
    admin.delete("/v1/actors/finance/c-1").await.ok();
    admin.delete("/v1/classes/finance/clerk").await.ok();
    assert_eq!(admin.get("/v1/delegations").await.ok()["items"].as_array().unwrap().len(), 1);
    assert_eq!(submit(&house, json!({})).await["context"]["error"]["kind"], "not_found");
    let spec = json!({ "owner": "x", "permissions": { "allow": ["tool **"] } });
    let class = json!({ "metadata": { "namespace": "finance", "name": "clerk" }, "spec": spec });
    admin.put("/v1/classes/finance/clerk", &class).await.ok();
    admin.post("/v1/classes/finance/clerk/consent", &json!({})).await.ok();
    admin
        .post("/v1/actors", &json!({ "namespace": "finance", "class": "clerk", "id": "c-2", "user": user }))
        .await
        .ok();
    let question = json!({ "action": "call", "resource": "tool/expenses/submit" });
    let answer = admin.post("/v1/actors/finance/c-2/can", &question).await.ok();
    assert_eq!(answer["allowed"], false, "what was delegated to the class before is not of this one: {answer}");
    house.close().await;
}
