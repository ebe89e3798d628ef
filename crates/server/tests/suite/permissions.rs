//! Delegations and decisions over HTTP: AuthZEN, and what bad questions get.

use crate::house::House;
use crate::node_client::{Node, ended, held};
use serde_json::{Value, json};

const ADA: &str = "https://login.example.org";

/// A class that may submit 500 and spawn itself, with actors of Ada and Bob.
async fn house() -> House {
    let house = House::furnished().await;
    let admin = house.admin();
    let spec = json!({
        "owner": "finance@example.org", "runtime": { "command": ["agent"] },
        "permissions": {
            "allow": ["tool expenses/submit when amount <= 500 EUR", "spawn finance/expenses"],
            "delegation": { "required": true }, "spawn": { "maxDepth": 2, "maxChildren": 1 },
        },
    });
    let class = json!({ "metadata": { "namespace": "finance", "name": "expenses" }, "spec": spec });
    admin.put("/v1/classes/finance/expenses", &class).await.ok();
    admin.post("/v1/classes/finance/expenses/consent", &json!({})).await.ok();
    for (id, subject) in [("ada-1", "ada"), ("bob-1", "bob")] {
        let user = json!({ "issuer": ADA, "subject": subject });
        let body = json!({ "namespace": "finance", "class": "expenses", "id": id, "user": user });
        admin.post("/v1/actors", &body).await.ok();
    }
    house
}

async fn grant(house: &House, allow: &[&str], more: Value) -> Value {
    let mut body = json!({
        "to": { "actor": { "namespace": "finance", "actor": "ada-1" } },
        "allow": allow, "user": { "issuer": ADA, "subject": "ada" },
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    house.admin().post("/v1/delegations", &body).await.ok()
}

fn submit(actor: &str, amount: Value) -> Value {
    json!({
        "subject": { "type": "actor", "id": actor }, "action": { "name": "call" },
        "resource": { "type": "tool", "id": "expenses/submit" },
        "context": { "amount": amount, "currency": "EUR" },
    })
}

async fn decided(house: &House, question: &Value) -> Value {
    house.admin().post("/access/v1/evaluation", question).await.ok()
}

#[tokio::test]
async fn a_question_is_decided_recorded_and_found_again() {
    let house = house().await;
    grant(&house, &["tool expenses/submit when amount <= 200 EUR"], json!({})).await;
    assert_eq!(decided(&house, &submit("finance/ada-1", json!(150))).await["decision"], true);
    let spiffe_id = "spiffe://test.internal/ns/finance/agent/expenses/actor/ada-1";
    assert_eq!(decided(&house, &submit(spiffe_id, json!(150))).await["decision"], true, "by its SPIFFE ID");
    let denied = decided(&house, &submit("finance/ada-1", json!(300))).await;
    assert_eq!(denied["decision"], false, "{denied}");
    let denying: Vec<_> =
        denied["context"]["verdicts"].as_array().unwrap().iter().filter(|v| v["allowed"] == false).collect();
    assert_eq!(denying[0]["layer"], "delegation");
    assert_eq!(denying[0]["missing"]["permission"], "tool expenses/submit when amount <= 300 EUR");
    let id = denied["context"]["decision_id"].as_str().unwrap();
    let found = house.admin().get(&format!("/v1/decisions/{id}")).await.ok();
    assert_eq!(
        (found["decided"]["allowed"].clone(), found["decided"]["resource"].clone()),
        (json!(false), json!("tool/expenses/submit"))
    );
    assert!(!found.to_string().contains("300,"), "what the request said beside it is not recorded");
    let entry = house.log().await.pop().unwrap();
    assert_eq!(
        (entry["event"]["type"].clone(), entry["caller"].clone()),
        (json!("decided"), json!({ "local": { "uid": 0 } })),
        "{entry}"
    );
    assert_eq!(house.admin().get("/v1/decisions/01jdvarh8000000000000000ab").await.refused()["kind"], "not_found");
    house.close().await;
}

#[tokio::test]
async fn a_class_records_as_many_decisions_that_allow_as_it_says() {
    let house = house().await;
    let admin = house.admin();
    let spec =
        json!({ "owner": "x", "permissions": { "allow": ["tool a/b"], "record": { "allowedOneIn": 1_000_000 } } });
    let class = json!({ "metadata": { "namespace": "finance", "name": "quiet" }, "spec": spec });
    admin.put("/v1/classes/finance/quiet", &class).await.ok();
    admin.post("/v1/classes/finance/quiet/consent", &json!({})).await.ok();
    admin.post("/v1/actors", &json!({ "namespace": "finance", "class": "quiet", "id": "q-1" })).await.ok();
    let before = house.log().await.len();
    let question = |tool: &str| {
        json!({
            "subject": { "type": "actor", "id": "finance/q-1" }, "action": { "name": "call" },
            "resource": { "type": "tool", "id": tool },
        })
    };
    assert_eq!(decided(&house, &question("a/b")).await["decision"], true);
    assert_eq!(house.log().await.len(), before, "one in a million");
    assert_eq!(decided(&house, &question("a/c")).await["decision"], false);
    assert_eq!(house.log().await.len(), before + 1, "a denial always");
    house.close().await;
}

#[tokio::test]
async fn what_is_no_question_is_refused_and_who_is_unknown_may_do_nothing() {
    let house = house().await;
    let admin = house.admin();
    let change = |path: &str, value: Value| {
        let mut question = submit("finance/ada-1", json!(1));
        *question.pointer_mut(path).unwrap() = value;
        question
    };
    for (question, field) in [
        (json!({ "action": { "name": "call" }, "resource": { "type": "tool", "id": "a" } }), "body"),
        (change("/subject", json!({ "type": "actor" })), "subject"),
        (change("/action/name", json!(7)), "action.name"),
        (change("/action/name", json!("Call")), "action.name"),
        (change("/resource/id", json!("expenses/../submit")), "resource.id"),
        (change("/resource/id", json!("expenses/*")), "resource.id"),
        (change("/resource/id", json!("expenses/subm\u{0456}t")), "resource.id"),
        (change("/resource/id", json!("expenses%2fsubmit")), "resource.id"),
        (change("/resource/type", json!("Tool")), "resource.type"),
        (change("/context", json!([1])), "context"),
        (change("/context", (0..9).fold(json!({}), |inner, _| json!({ "a": inner }))), "context"),
        (change("/context", json!({ "text": "x".repeat(70_000) })), "context"),
    ] {
        let error = admin.post("/access/v1/evaluation", &question).await.refused();
        assert_eq!((&error["kind"], &error["field"]), (&json!("malformed"), &json!(field)), "{error}");
    }
    let twice = br#"{"subject":{"type":"actor","id":"finance/ada-1","id":"finance/bob-1"},"action":{"name":"call"},"resource":{"type":"tool","id":"a"}}"#;
    let json = [("content-type", "application/json")];
    let error = admin.send("POST", "/access/v1/evaluation", &json, twice).await.refused();
    assert!(error["message"].as_str().unwrap().contains("`id` appears twice"), "{error}");
    for subject in [
        json!({ "type": "user", "id": "ada" }),
        json!({ "type": "actor", "id": "finance/absent" }),
        json!({ "type": "actor", "id": "spiffe://test.internal/ns/finance/agent/other/actor/ada-1" }),
        json!({ "type": "actor", "id": "spiffe://elsewhere/ns/finance/agent/expenses/actor/ada-1" }),
    ] {
        let answer = decided(&house, &change("/subject", subject.clone())).await;
        assert_eq!(
            (&answer["decision"], &answer["context"]["error"]["kind"]),
            (&json!(false), &json!("not_found")),
            "{subject}"
        );
    }
    let with_more = change("/subject", json!({ "type": "actor", "id": "finance/bob-1", "unknown": 1 }));
    assert_eq!(decided(&house, &with_more).await["decision"], false, "members that are not known are ignored");
    house.close().await;
}

#[tokio::test]
async fn policies_that_cannot_be_evaluated_are_refused_with_their_place_and_others_count() {
    let house = house().await;
    let admin = house.admin();
    let put = async |cedar: &str| {
        let permissions = json!({ "cedar": cedar, "attributes": { "amount": "integer" } });
        let spec = json!({ "owner": "x", "permissions": permissions });
        let class = json!({ "metadata": { "namespace": "finance", "name": "raw" }, "spec": spec });
        admin.put("/v1/classes/finance/raw", &class).await
    };
    let before = house.last_index().await;
    for (cedar, message) in [
        ("permit (principal, action, resource) when { context.amount > 5 };", "context has amount"),
        (
            "permit (principal, action, resource)\nwhen { context has amuont && context.amount > 5 };",
            "the policy can never hold",
        ),
        ("permit (principal, action, resource) when { ip(\"10.0.0.1\").isIpv4() };", "at line 1, column"),
        ("permit (principal, action", "at line 1, column"),
    ] {
        let error = put(cedar).await.refused();
        assert_eq!(
            (&error["kind"], &error["field"]),
            (&json!("malformed"), &json!("spec.permissions.cedar")),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    assert_eq!(house.last_index().await, before, "nothing of it is recorded");
    put("@id(\"small\") permit (principal, action, resource is Resource) when { context has amount && context.amount < 5 };").await.ok();
    admin.post("/v1/classes/finance/raw/consent", &json!({})).await.ok();
    admin.post("/v1/actors", &json!({ "namespace": "finance", "class": "raw", "id": "r-1" })).await.ok();
    assert_eq!(decided(&house, &submit("finance/r-1", json!(4))).await["decision"], true);
    assert_eq!(decided(&house, &submit("finance/r-1", json!(5))).await["decision"], false);
    let confused = decided(&house, &submit("finance/r-1", json!("4"))).await;
    assert!(confused.to_string().contains("is not of the type that the class declares"), "{confused}");
    let house = house.restart().await;
    assert_eq!(
        decided(&house, &submit("finance/r-1", json!(4))).await["decision"],
        true,
        "compiled again when it is asked for"
    );
    house.close().await;
}

#[tokio::test]
async fn nobody_is_another_by_saying_so() {
    let house = house().await;
    grant(&house, &["tool expenses/submit"], json!({})).await;
    let body = submit("finance/bob-1", json!(1)).to_string();
    for (name, value) in [
        ("x-forwarded-client-cert", "By=x;URI=spiffe://test.internal/ns/finance/agent/expenses/actor/ada-1"),
        ("x-actor", "finance/ada-1"),
    ] {
        let headers = [("content-type", "application/json"), (name, value)];
        let answer = house.admin().send("POST", "/access/v1/evaluation", &headers, body.as_bytes()).await.ok();
        assert_eq!(answer["decision"], false, "{name}");
    }
    house.close().await;
}

#[tokio::test]
async fn several_questions_are_gone_through_as_they_say() {
    let house = house().await;
    grant(&house, &["tool expenses/submit when amount <= 200 EUR"], json!({})).await;
    let amount = |amount: Value| json!({ "context": { "amount": amount, "currency": "EUR" } });
    let ask = async |semantic: &str, evaluations: Value| {
        let mut question = submit("finance/ada-1", json!(1));
        question["evaluations"] = evaluations;
        question["options"] = json!({ "evaluations_semantic": semantic });
        let answer = house.admin().post("/access/v1/evaluations", &question).await.ok();
        answer["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["decision"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    let mixed = json!([amount(json!(300)), amount(json!(100)), { "resource": { "type": "tool", "id": "a//b" } }, amount(json!("100")), {}]);
    assert_eq!(ask("execute_all", mixed.clone()).await, [false, true, false, false, true]);
    assert_eq!(ask("deny_on_first_deny", mixed.clone()).await, [false]);
    assert_eq!(ask("permit_on_first_permit", mixed).await, [false, true]);
    let single = house.admin().post("/access/v1/evaluations", &submit("finance/ada-1", json!(1))).await.ok();
    assert_eq!((&single["decision"], single.get("evaluations")), (&json!(true), None));
    let many: Vec<_> = (0..65).map(|_| json!({})).collect();
    let error = house.admin().post("/access/v1/evaluations", &json!({ "evaluations": many })).await.refused();
    assert_eq!(error["kind"], "limited");
    let metadata = house.admin().get("/.well-known/authzen-configuration").await.ok();
    assert!(metadata["access_evaluation_endpoint"].as_str().unwrap().ends_with("/access/v1/evaluation"));
    house.close().await;
}

#[tokio::test]
async fn authorization_details_are_delegated_and_shown_beside_the_lines_that_they_are() {
    let house = house().await;
    let admin = house.admin();
    let detail = |max: &str| {
        json!({
            "type": "credence_permission", "actions": ["call"], "identifier": "tool/expenses/submit",
            "conditions": { "amount": { "max": max, "currency": "EUR" } },
        })
    };
    let granted = grant(&house, &[], json!({ "authorization_details": [detail("200")] })).await;
    assert_eq!(granted["terms"]["allow"], json!(["tool expenses/submit when amount <= 200 EUR"]));
    assert_eq!(granted["authorization_details"], json!([detail("200")]));
    assert_eq!(decided(&house, &submit("finance/ada-1", json!(150))).await["decision"], true);
    let narrow = format!("/v1/delegations/{}/narrow", granted["id"].as_str().unwrap());
    let error = admin.post(&narrow, &json!({ "authorization_details": [detail("201")] })).await.refused();
    assert_eq!((&error["kind"], &error["field"]), (&json!("denied"), &json!("allow")), "{error}");
    let mut unlimited = detail("1");
    unlimited.as_object_mut().unwrap().remove("conditions");
    let error = admin.post(&narrow, &json!({ "authorization_details": [unlimited] })).await.refused();
    assert_eq!(error["kind"], "denied", "what is left out is wider: {error}");
    let narrower = admin.post(&narrow, &json!({ "authorization_details": [detail("100")] })).await.ok();
    assert_eq!(narrower["terms"]["allow"], json!(["tool expenses/submit when amount <= 100 EUR"]));
    let change = |member: &str, value: Value| {
        let mut changed = detail("100");
        changed[member] = value;
        json!({ "authorization_details": [changed] })
    };
    for (body, field) in [
        (change("type", json!("payment_initiation")), "authorization_details[0].type"),
        (change("locations", json!(["https://x.example"])), "authorization_details[0].locations"),
        (change("actions", json!(["call", "read"])), "authorization_details[0].actions"),
        (change("identifier", json!("tool/a when x = 1")), "authorization_details[0].identifier"),
        (change("conditions", json!({ "amount": { "max": "1e3" } })), "authorization_details[0].conditions.amount.max"),
    ] {
        let error = house.refuses("POST", &narrow, &body).await;
        assert_eq!((&error["kind"], &error["field"]), (&json!("malformed"), &json!(field)), "{error}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_use_is_counted_once_however_many_ask_at_once() {
    let house = house().await;
    grant(&house, &["tool expenses/submit"], json!({ "uses": 5 })).await;
    let question = submit("finance/ada-1", json!(1));
    let (asked, question) = (&house, &question);
    let all = futures_util::future::join_all((0..20).map(|_| async move {
        let answer = asked.admin().post("/access/v1/evaluation", question).await;
        if answer.status == 200 { answer.ok()["decision"] == true } else { false }
    }));
    assert_eq!(all.await.into_iter().filter(|allowed| *allowed).count(), 5);
    let list = house.admin().get("/v1/delegations").await.ok();
    assert_eq!((&list["items"][0]["used"], &list["items"][0]["lapse"]), (&json!(5), &json!("used_up")));
    house.close().await;
}

#[tokio::test]
async fn an_actor_asks_about_itself_and_about_those_that_its_class_may_decide_about() {
    let house = house().await;
    let spec = json!({
        "owner": "x", "runtime": { "command": ["agent"] },
        "permissions": { "allow": ["decide agent/finance/expenses"] },
    });
    let class = json!({ "metadata": { "namespace": "finance", "name": "gateway" }, "spec": spec });
    house.admin().put("/v1/classes/finance/gateway", &class).await.ok();
    house.admin().post("/v1/classes/finance/gateway/consent", &json!({})).await.ok();
    house.admin().post("/v1/actors", &json!({ "namespace": "finance", "class": "gateway", "id": "gate" })).await.ok();
    grant(&house, &["tool expenses/submit"], json!({})).await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1", "w2"], Vec::new()).await;
    let mut clients = Vec::new();
    for id in ["bob-1", "gate"] {
        house.admin().post(&format!("/v1/actors/finance/{id}/resume"), &json!({})).await.ok();
        let bind = line.run().await;
        clients.push(house.showing(&line.identity(&house, &bind).1));
    }
    let [bob, gate] = &clients[..] else { panic!("two actors") };
    let about = submit("finance/ada-1", json!(1));
    let error = bob.post("/access/v1/evaluation", &about).await.refused();
    assert_eq!(error["kind"], "denied");
    assert!(error["hint"].as_str().unwrap().contains("`decide agent/finance/expenses`"), "{error}");
    let several = bob.post("/access/v1/evaluations", &json!({ "evaluations": [about] })).await.ok();
    assert_eq!(several["evaluations"][0]["context"]["error"]["kind"], "denied", "{several}");
    assert_eq!(bob.post("/access/v1/evaluation", &submit("finance/bob-1", json!(1))).await.ok()["decision"], false);
    assert_eq!(gate.post("/access/v1/evaluation", &about).await.ok()["decision"], true);
    let search = json!({
        "subject": { "type": "actor" }, "action": { "name": "call" },
        "resource": { "type": "tool", "id": "expenses/submit" }, "context": { "amount": 1, "currency": "EUR" },
    });
    let found = gate.post("/access/v1/search/subject", &search).await.ok();
    assert_eq!(found["results"], json!([{ "type": "actor", "id": "finance/ada-1" }]));
    let found = bob.post("/access/v1/search/subject", &search).await.ok();
    assert_eq!(found["results"], json!([]), "of others it is not even told that they are there");
    let actions = json!({ "subject": { "type": "actor", "id": "finance/ada-1" }, "resource": search["resource"] });
    assert_eq!(bob.post("/access/v1/search/action", &actions).await.refused()["kind"], "denied");
    house.close().await;
}

#[tokio::test]
async fn an_actor_spawns_within_its_permission_and_its_child_has_less() {
    let house = house().await;
    grant(&house, &["tool expenses/submit when amount <= 200 EUR", "spawn finance/expenses"], json!({})).await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1", "w2"], Vec::new()).await;
    let mut clients = Vec::new();
    for id in ["ada-1", "bob-1"] {
        house.admin().post(&format!("/v1/actors/finance/{id}/resume"), &json!({})).await.ok();
        let bind = line.run().await;
        let (_, identity) = line.identity(&house, &bind);
        clients.push((house.showing(&identity), bind));
    }
    let [(ada, bound), (bob, _)] = &clients[..] else { panic!("two actors") };
    let child = json!({
        "namespace": "finance", "class": "expenses", "id": "child",
        "allow": ["tool expenses/submit when amount <= 50 EUR"],
    });
    let error = bob.post("/v1/children", &child).await.refused();
    assert_eq!(error["kind"], "denied");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("what bob of https://login.example.org delegated does not allow `spawn finance/expenses`"),
        "{error}"
    );
    ada.post("/v1/children", &child).await.ok();
    assert_eq!(decided(&house, &submit("finance/child", json!(50))).await["decision"], true);
    let denied = decided(&house, &submit("finance/child", json!(60))).await;
    assert_eq!(denied["decision"], false, "{denied}");
    let again = json!({ "namespace": "finance", "class": "expenses", "id": "second" });
    assert_eq!(ada.post("/v1/children", &again).await.refused()["kind"], "limited", "one child at a time");
    let other = json!({ "namespace": "other", "class": "expenses" });
    assert_eq!(ada.post("/v1/children", &other).await.refused()["kind"], "denied");
    assert_eq!(
        house.admin().post("/v1/children", &child).await.refused()["kind"],
        "denied",
        "an administrator is no actor"
    );
    let delegation = house.admin().get("/v1/delegations?subject=ada").await.ok()["items"][0]["id"].clone();
    let revoke = format!("/v1/delegations/{}/revoke", delegation.as_str().unwrap());
    house.admin().post(&revoke, &json!({})).await.ok();
    assert_eq!(decided(&house, &submit("finance/child", json!(1))).await["decision"], false, "at once");
    line.say(ended(held(bound), Vec::new())).await;
    line.heartbeat().await;
    assert_eq!(ada.post("/access/v1/evaluation", &submit("finance/ada-1", json!(1))).await.refused()["kind"], "stale");
    house.close().await;
}
