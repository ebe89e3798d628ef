//! What would have been decided at an earlier time: the same as was decided then.

use crate::house::House;
use serde_json::{Value, json};

const CLASS: &str = "/v1/classes/finance/expenses";

async fn house() -> House {
    let house = House::furnished().await;
    let admin = house.admin();
    for (allow, method) in
        [("tool expenses/submit when amount <= 500 EUR", "consent"), ("tool expenses/list", "consent")]
    {
        apply(&house, allow).await;
        admin.post(&format!("{CLASS}/{method}"), &json!({})).await.ok();
    }
    apply(&house, "tool expenses/submit when amount <= 500 EUR").await;
    admin.post(&format!("{CLASS}/consent"), &json!({})).await.ok();
    let user = json!({ "issuer": "https://login.example.org", "subject": "ada" });
    let body = json!({ "namespace": "finance", "class": "expenses", "id": "a-1", "user": user });
    admin.post("/v1/actors", &body).await.ok();
    house
}

async fn apply(house: &House, allow: &str) {
    let cedar = "forbid (principal, action, resource) when { context has amount && context.amount == 13 };";
    let permissions = json!({ "allow": [allow], "cedar": cedar, "attributes": { "amount": "integer" } });
    let spec = json!({ "owner": "x", "permissions": permissions });
    let class = json!({ "metadata": { "namespace": "finance", "name": "expenses" }, "spec": spec });
    house.admin().put(CLASS, &class).await.ok();
}

fn context(amount: u32) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

/// Asks until the clock of the journal has gone on: what follows is later than everything before.
async fn decided_later(house: &House, amount: u32) -> Value {
    let question = json!({
        "subject": { "type": "actor", "id": "finance/a-1" }, "action": { "name": "call" },
        "resource": { "type": "tool", "id": "expenses/submit" }, "context": context(amount),
    });
    let before = house.log().await.pop().unwrap()["at"].clone();
    loop {
        house.admin().post("/access/v1/evaluation", &question).await.ok();
        let entry = house.log().await.into_iter().rfind(|entry| entry["event"]["type"] == "decided").unwrap();
        if entry["at"] != before {
            return entry;
        }
    }
}

async fn could(house: &House, amount: u32, as_of: &Value) -> Value {
    let body =
        json!({ "action": "call", "resource": "tool/expenses/submit", "context": context(amount), "as_of": as_of });
    house.admin().post("/v1/actors/finance/a-1/can", &body).await.ok()
}

#[tokio::test]
async fn what_was_decided_then_is_decided_again_whatever_changed_since() {
    let house = house().await;
    let admin = house.admin();
    let mut recorded = vec![(150, decided_later(&house, 150).await)];
    let grant = json!({
        "to": { "actor": { "namespace": "finance", "actor": "a-1" } }, "uses": 1_000_000,
        "allow": ["tool expenses/submit when amount <= 200 EUR"],
        "user": { "issuer": "https://login.example.org", "subject": "ada" },
    });
    let id = admin.post("/v1/delegations", &grant).await.ok()["id"].as_str().unwrap().to_owned();
    for amount in [150, 300, 13] {
        recorded.push((amount, decided_later(&house, amount).await));
    }
    admin.post(&format!("/v1/delegations/{id}/revoke"), &json!({})).await.ok();
    recorded.push((150, decided_later(&house, 150).await));
    apply(&house, "tool expenses/list").await;
    recorded.push((150, decided_later(&house, 150).await));
    admin.post("/v1/actors/finance/a-1/terminate", &json!({})).await.ok();
    let house = house.restart().await;
    recorded.push((150, decided_later(&house, 150).await));
    let before = house.last_index().await;

    let mut allowed = Vec::new();
    for (amount, entry) in &recorded {
        let path = format!("/v1/decisions/{}", entry["event"]["decided"]["id"].as_str().expect("an id"));
        let decided = house.admin().get(&path).await.ok()["decided"].clone();
        let again = could(&house, *amount, &entry["at"]).await;
        assert_eq!(again["allowed"], decided["allowed"], "{entry}");
        let layers = |verdicts: &Value| {
            let said = |verdict: &Value| (verdict["layer"].clone(), verdict["allowed"].clone(), verdict["why"].clone());
            verdicts.as_array().unwrap().iter().map(said).collect::<Vec<_>>()
        };
        assert_eq!(layers(&again["verdicts"]), layers(&decided["verdicts"]));
        allowed.push(again["allowed"] == true);
    }
    assert_eq!(allowed, [false, true, false, false, false, false, false]);
    assert_eq!(house.last_index().await, before, "nothing of it is recorded");
    house.close().await;
}

#[tokio::test]
async fn a_past_that_is_not_known_is_refused_and_one_question_is_answered_at_a_time() {
    let house = house().await;
    let first = house.log().await[0]["at"].as_u64().unwrap();
    let ask = async |as_of: u64| {
        let body = json!({ "action": "call", "resource": "tool/a", "as_of": as_of });
        house.admin().post("/v1/actors/finance/a-1/can", &body).await
    };
    for (as_of, why) in [(first - 1, "nothing was recorded before"), (u64::MAX, "still to come")] {
        let error = ask(as_of).await.refused();
        assert_eq!((&error["kind"], &error["field"]), (&json!("not_found"), &json!("as_of")), "{error}");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    assert_eq!(ask(first).await.refused()["message"], "there is no actor finance/a-1", "it was not created yet");
    let now = house.log().await.pop().unwrap()["at"].as_u64().unwrap();
    let replies = futures_util::future::join_all((0..20).map(|_| ask(now))).await;
    let served = replies.iter().filter(|reply| reply.status == 200).count();
    let busy = replies.iter().filter(|reply| reply.body["error"]["kind"] == "unavailable").count();
    assert!(served >= 1 && served + busy == 20, "{replies:?}");
    house.close().await;
}
