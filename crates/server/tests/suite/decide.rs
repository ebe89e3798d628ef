//! What nodes know of permissions, what they ask, and what they have recorded.

use crate::house::House;
use crate::node_client::{Line, Node, ended, held};
use credence_wire::node::{Bind, Decide, Held, Question, Record, from_node, to_node};
use serde_json::{Value, json};

/// A class that may list and submit, a gateway's that decides about it, and an actor of each on a node.
async fn house() -> (House, Node, Line, [Bind; 2]) {
    let house = House::furnished().await;
    let classes = [
        ("expenses", json!(["tool expenses/list", "tool expenses/submit with budget 2 calls per life"])),
        ("gateway", json!(["decide agent/finance/expenses"])),
    ];
    for (name, allow) in classes {
        let spec = json!({ "owner": "x", "runtime": { "command": ["agent"] }, "permissions": { "allow": allow } });
        let class = json!({ "metadata": { "namespace": "finance", "name": name }, "spec": spec });
        house.admin().put(&format!("/v1/classes/finance/{name}"), &class).await.ok();
        house.admin().post(&format!("/v1/classes/finance/{name}/consent"), &json!({})).await.ok();
        house.admin().post("/v1/actors", &json!({ "namespace": "finance", "class": name, "id": name })).await.ok();
    }
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1", "w2"], Vec::new()).await;
    let mut binds = Vec::new();
    for id in ["expenses", "gateway"] {
        house.admin().post(&format!("/v1/actors/finance/{id}/resume"), &json!({})).await.ok();
        binds.push(line.run().await);
    }
    (house, node, line, binds.try_into().unwrap())
}

fn question(bind: &Bind, tool: &str) -> Question {
    Question {
        spiffe_id: bind.spiffe_id.clone(),
        held: Some(held(bind)),
        action: "call".into(),
        resource_type: "tool".into(),
        resource_id: tool.into(),
        ..Question::default()
    }
}

/// What the control plane decides, or the kind of its refusal.
async fn ask(line: &mut Line, asker: &Bind, questions: Vec<Question>) -> Result<Vec<Value>, String> {
    line.say(from_node::Message::Decide(Decide { request: 7, held: Some(held(asker)), questions })).await;
    let to_node::Message::Decisions(decisions) = line.hear_else().await else { panic!("expected Decisions") };
    assert_eq!(decisions.request, 7);
    match decisions.refused {
        Some(refused) => Err(refused.kind),
        None => Ok(serde_json::from_slice(&decisions.answers).unwrap()),
    }
}

fn allowed(answers: &[Value]) -> Vec<bool> {
    answers.iter().map(|answer| answer["allowed"].as_bool().unwrap()).collect()
}

#[tokio::test]
async fn a_node_knows_what_its_actors_may_do_before_its_heartbeat_is_acknowledged() {
    let (house, node, mut line, [expenses, gateway]) = house().await;
    let admin = house.admin();
    assert_eq!(line.brief(&expenses)["spec"]["permissions"]["allow"][0], "tool expenses/list");
    assert_eq!(line.brief(&gateway)["class"]["class"], "gateway", "{}", line.brief(&gateway));
    let narrower = json!({
        "metadata": { "namespace": "finance", "name": "expenses" },
        "spec": { "owner": "x", "runtime": { "command": ["agent"] }, "permissions": { "allow": ["tool expenses/list"] } },
    });
    admin.put("/v1/classes/finance/expenses", &narrower).await.ok();
    line.heartbeat().await;
    assert_eq!(line.brief(&expenses)["revision"], 2, "a narrower revision is in force at once");
    admin.post("/v1/classes/finance/expenses/disable", &json!({})).await.ok();
    line.heartbeat().await;
    assert!(line.brief(&expenses)["barred"].as_str().unwrap().contains("is disabled"), "{}", line.brief(&expenses));
    drop(line);
    // On its next stream it is told everything anew.
    let mut line = node.open(&house, &["w1", "w2"], vec![held(&expenses), held(&gateway)]).await;
    line.settle().await;
    assert!(line.brief(&expenses)["barred"].is_string() && line.brief(&gateway)["barred"].is_null());
    house.close().await;
}

#[tokio::test]
async fn a_node_knows_nothing_of_an_actor_that_it_does_not_hold() {
    let (house, _node, mut line, [expenses, _]) = house().await;
    let spawned = json!({ "namespace": "finance", "class": "expenses", "id": "elsewhere" });
    house.admin().post("/v1/actors", &spawned).await.ok();
    line.say(ended(held(&expenses), Vec::new())).await;
    line.heartbeat().await;
    let known = line.brief(&expenses);
    house.admin().post("/v1/classes/finance/expenses/disable", &json!({})).await.ok();
    line.heartbeat().await;
    assert_eq!(line.brief(&expenses), known, "of a binding that is over nothing more is told");
    house.close().await;
}

#[tokio::test]
async fn what_a_node_was_told_of_an_actor_is_taken_back_when_it_is_terminated_however_long_its_end_takes() {
    let (house, _node, mut line, [expenses, _]) = house().await;
    house.admin().post("/v1/actors/finance/expenses/terminate", &json!({})).await.ok();
    let to_node::Message::Unbind(_) = line.hear_else().await else { panic!("expected Unbind") };
    line.heartbeat().await;
    assert!(line.briefs[&expenses.binding].is_empty(), "it is over for the node before it has ended it");
    house.close().await;
}

#[tokio::test]
async fn questions_of_a_gateway_are_decided_recorded_and_use_up_what_is_counted() {
    let (house, _node, mut line, [expenses, gateway]) = house().await;
    let (list, submit) = (question(&expenses, "expenses/list"), question(&expenses, "expenses/submit"));
    let other = question(&expenses, "expenses/other");
    let before = house.log().await.len();
    let mixed = ask(&mut line, &gateway, vec![submit.clone(), other.clone()]).await.unwrap();
    assert_eq!(allowed(&mixed), [true, false]);
    assert_eq!(house.log().await.len(), before + 1, "the denial; what is not done is not used up");
    for _ in 0..2 {
        assert_eq!(allowed(&ask(&mut line, &gateway, vec![list.clone(), submit.clone()]).await.unwrap()), [true, true]);
    }
    assert_eq!(allowed(&ask(&mut line, &gateway, vec![submit.clone()]).await.unwrap()), [false], "it is used up");
    let entry = house.log().await.pop().unwrap();
    let caller = json!({ "svid": { "id": "spiffe://test.internal/ns/finance/agent/gateway/actor/gateway" } });
    assert_eq!((&entry["event"]["type"], &entry["caller"]), (&json!("decided"), &caller), "{entry}");
    let standing = Question { action: String::new(), ..list.clone() };
    let answers = ask(&mut line, &gateway, vec![standing]).await.unwrap();
    assert_eq!((allowed(&answers), &answers[0]["decision"]), (vec![true], &Value::Null));
    house.close().await;
}

#[tokio::test]
async fn who_asks_and_who_is_asked_about_are_live_and_may() {
    let (house, _node, mut line, [expenses, gateway]) = house().await;
    let list = question(&expenses, "expenses/list");
    assert_eq!(allowed(&ask(&mut line, &expenses, vec![list.clone()]).await.unwrap()), [true], "about itself");
    let about_gateway = Question { spiffe_id: gateway.spiffe_id.clone(), held: Some(held(&gateway)), ..list.clone() };
    assert_eq!(ask(&mut line, &expenses, vec![about_gateway]).await.unwrap_err(), "denied");
    let old = Bind { epoch: 7, ..gateway.clone() };
    assert_eq!(ask(&mut line, &old, vec![list.clone()]).await.unwrap_err(), "stale");
    let epoch = Question { held: Some(Held { epoch: 9, ..held(&expenses) }), ..list.clone() };
    let named = Question { spiffe_id: gateway.spiffe_id.clone(), ..list.clone() };
    let foreign = Question { spiffe_id: "spiffe://elsewhere/a".into(), ..list.clone() };
    for wrong in [epoch, named, foreign] {
        assert_eq!(ask(&mut line, &gateway, vec![wrong]).await.unwrap_err(), "stale");
    }
    for wrong in [
        Question { resource_id: "expenses/ѕubmit".into(), ..list.clone() },
        Question { context: b"{\"a\":".to_vec(), ..list.clone() },
        Question { held: None, ..list.clone() },
    ] {
        assert_eq!(ask(&mut line, &gateway, vec![wrong]).await.unwrap_err(), "malformed");
    }
    assert_eq!(ask(&mut line, &gateway, vec![list; 65]).await.unwrap_err(), "malformed");
    house.close().await;
}

#[tokio::test]
async fn decisions_of_a_node_are_recorded_once_and_only_about_its_own_actors() {
    let (house, _node, mut line, [expenses, gateway]) = house().await;
    let answers = ask(&mut line, &gateway, vec![question(&expenses, "expenses/other")]).await.unwrap();
    let id = answers[0]["decision"].as_str().unwrap().to_owned();
    let recorded = house.admin().get(&format!("/v1/decisions/{id}")).await.ok()["decided"].clone();
    let as_of = |id: &str, actor: &str| {
        let mut decided = recorded.clone();
        decided["id"] = json!(id);
        decided["actor"]["actor"] = json!(actor);
        decided.to_string().into_bytes()
    };
    let (first, second) = ("01jdvarh8000000000000000ab", "01jdvarh8000000000000000ac");
    let record = Record { request: 3, decided: vec![as_of(first, "expenses"), as_of(second, "elsewhere")] };
    let before = house.log().await.len();
    for _ in 0..2 {
        line.say(from_node::Message::Record(record.clone())).await;
        let to_node::Message::Recorded(told) = line.hear_else().await else { panic!("expected Recorded") };
        assert_eq!((told.request, told.refused), (3, None));
    }
    let entries = house.log().await;
    let new: Vec<_> = entries[before..].iter().filter(|entry| entry["event"]["type"] == "decided").collect();
    assert_eq!(new.len(), 1, "said twice, recorded once; and nothing about somebody else's actor: {new:?}");
    assert_eq!(new[0]["caller"], json!({ "node": { "name": "alpha" } }));
    line.say(from_node::Message::Record(Record { request: 4, decided: vec![b"{}".to_vec()] })).await;
    assert_eq!(line.end().await.kind, "malformed");
    house.close().await;
}
