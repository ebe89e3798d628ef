//! AuthZEN searches over HTTP: what is found is what a question would be answered, page by page, and nothing is recorded.

use crate::house::{Client, House};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ACTORS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const ACTIONS: [&str; 4] = ["call", "read", "write", "x"];
const RESOURCES: [(&str, &str); 6] =
    [("tool", "m/a"), ("tool", "m/b"), ("tool", "n/a"), ("report", "1"), ("report", "2"), ("host", "a.example")];
/// What layers allow in a world that is drawn.
const LINES: [&str; 14] = [
    "tool m/a",
    "tool m/b",
    "tool n/a",
    "tool **",
    "tool m/*",
    "* tool/m/a",
    "tool m/a when amount <= 50",
    "read report/1",
    "read report/2 when label team = red",
    "* report/*",
    "write report/1 with budget 2 calls per life",
    "write report/2 when resource.state = open",
    "* host/a.example",
    "spawn w/**",
];
const CEDAR: &str = "permit (principal, action == Action::\"x\", resource == Resource::\"report/1\");
    forbid (principal, action == Action::\"write\", resource) when { context has amount && context.amount > 50 };";

/// Numbers that look random, and are the same for the same seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn lines(&mut self, most: usize) -> Vec<&'static str> {
        let count = 1 + self.below(most);
        (0..count).map(|_| LINES[self.below(LINES.len())]).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn user(subject: &str) -> Value {
    json!({ "issuer": "https://login.example.org", "subject": subject })
}

async fn house() -> House {
    House::furnished_with(|config| {
        config.subject_types.insert("person".into(), "w".parse().unwrap());
    })
    .await
}

/// Classes, actors and delegations, as they are drawn.
async fn world(admin: &Client, draw: &mut Draw) {
    for class in 0..3 {
        let mut permissions = json!({ "allow": draw.lines(8), "spawn": { "maxDepth": 3 } });
        if draw.below(2) == 0 {
            permissions["forbid"] = json!(["read report/1 when amount > 50"]);
        }
        if draw.below(2) == 0 {
            permissions["cedar"] = CEDAR.into();
            permissions["attributes"] = json!({ "amount": "integer" });
        }
        let body = json!({
            "metadata": { "namespace": "w", "name": format!("c{class}") },
            "spec": { "owner": "x", "permissions": permissions },
        });
        admin.put(&format!("/v1/classes/w/c{class}"), &body).await.ok();
        let only = if draw.below(3) == 0 { json!({ "only": [permissions["allow"][0]] }) } else { json!({}) };
        admin.post(&format!("/v1/classes/w/c{class}/consent"), &only).await.ok();
    }
    for (nth, id) in ACTORS.into_iter().enumerate() {
        let mut body = json!({ "namespace": "w", "class": format!("c{}", draw.below(3)), "id": id });
        if draw.below(2) == 0 {
            body["labels"] = json!({ "team": "red" });
        }
        let subject = ["", "ada", "bob"][draw.below(3)];
        if !subject.is_empty() {
            body["user"] = user(subject);
            for _ in 0..2 {
                let to = json!({ "class": { "namespace": "w", "class": format!("c{}", draw.below(3)) } });
                let mut grant = json!({ "to": to, "allow": draw.lines(5), "user": user(subject) });
                if draw.below(3) == 0 {
                    grant["uses"] = json!(1);
                }
                admin.post("/v1/delegations", &grant).await.ok();
            }
        }
        admin.post("/v1/actors", &body).await.ok();
        if nth > 4 && draw.below(2) == 0 {
            admin.post(&format!("/v1/actors/w/{id}/terminate"), &json!({})).await.ok();
        }
    }
    // Something is used up.
    for id in ACTORS {
        let question = json!({
            "subject": { "type": "actor", "id": format!("w/{id}") }, "action": { "name": ACTIONS[draw.below(4)] },
            "resource": { "type": "report", "id": "1" },
        });
        for _ in 0..2 {
            admin.post("/access/v1/evaluation", &question).await.ok();
        }
    }
}

/// All pages of a search, and what is in them.
async fn found(admin: &Client, what: &str, mut body: Value, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        body["page"]["limit"] = json!(limit);
        let answer = admin.post(&format!("/access/v1/search/{what}"), &body).await.ok();
        let results = answer["results"].as_array().unwrap();
        assert!(results.len() <= limit && answer["page"]["count"] == results.len(), "{answer}");
        all.extend(results.iter().map(|one| one.get("id").unwrap_or(&one["name"]).as_str().unwrap().to_owned()));
        match answer["page"]["next_token"].as_str().unwrap() {
            "" => return all,
            token => body["page"] = json!({ "token": token }),
        }
    }
}

fn entity(kind: &str, id: &str, state: &str) -> Value {
    json!({ "type": kind, "id": id, "properties": { "state": state } })
}

/// What the layers of an actor allow, as it stands there.
async fn named(admin: &Client, id: &str) -> String {
    let permissions = admin.get(&format!("/v1/actors/w/{id}/permissions")).await.ok();
    let layers = permissions["actors"].as_array().unwrap();
    layers.iter().map(|one| json!([one["allow"], one["only"], one["delegated"]]).to_string()).collect()
}

async fn agree(admin: &Client, draw: &mut Draw, context: &Value, state: &str) {
    let mut allowed = BTreeMap::new();
    for id in ACTORS {
        for action in ACTIONS {
            for (kind, name) in RESOURCES {
                let body = json!({
                    "action": action, "resource": format!("{kind}/{name}"), "context": context,
                    "properties": { "state": state },
                });
                let can = admin.post(&format!("/v1/actors/w/{id}/can"), &body).await.ok();
                allowed.insert((id, action, (kind, name)), can["allowed"] == true);
            }
        }
    }
    let permitted = allowed.values().filter(|allowed| **allowed).count();
    assert!(permitted > 10 && permitted < allowed.len() / 2, "{permitted} of {} prove little", allowed.len());
    let limit = 1 + draw.below(4);
    for action in ACTIONS {
        for (kind, name) in RESOURCES {
            let expected: Vec<_> = ACTORS.into_iter().filter(|id| allowed[&(*id, action, (kind, name))]).collect();
            let search = |subject: &str| json!({ "subject": { "type": subject }, "action": { "name": action }, "resource": entity(kind, name, state), "context": context });
            assert_eq!(found(admin, "subject", search("person"), limit).await, expected, "{action} {kind}/{name}");
            let whole: Vec<_> = expected.iter().map(|id| format!("w/{id}")).collect();
            assert_eq!(found(admin, "subject", search("actor"), limit).await, whole, "{action} {kind}/{name}");
        }
    }
    for id in ACTORS {
        let named = named(admin, id).await;
        for (kind, name) in RESOURCES {
            let search = json!({ "subject": { "type": "person", "id": id }, "resource": entity(kind, name, state), "context": context });
            let actions = found(admin, "action", search, limit).await;
            let expected: Vec<_> = ACTIONS.into_iter().filter(|action| allowed[&(id, *action, (kind, name))]).collect();
            assert!(
                actions.iter().all(|action| expected.contains(&action.as_str())),
                "{id} {kind}/{name}: {actions:?}"
            );
            let is_named = |action: &&str| match *action {
                "call" => kind == "tool" && named.contains("\"tool "),
                action => named.contains(&format!("\"{action} {kind}/")),
            };
            let missed = expected.into_iter().filter(is_named).find(|action| !actions.contains(&(*action).to_owned()));
            assert_eq!(missed, None, "{id} {kind}/{name}: {actions:?} of {named}");
        }
        for action in ACTIONS {
            for kind in ["tool", "report", "host"] {
                let wanted = json!({ "type": kind, "properties": { "state": state } });
                let search = json!({ "subject": { "type": "actor", "id": format!("w/{id}") }, "action": { "name": action }, "resource": wanted, "context": context });
                let resources = found(admin, "resource", search, limit).await;
                let of_kind = RESOURCES.into_iter().filter(|(of, _)| *of == kind);
                let expected: Vec<_> =
                    of_kind.filter(|resource| allowed[&(id, action, *resource)]).map(|(_, name)| name).collect();
                assert!(
                    resources.iter().all(|name| expected.contains(&name.as_str())),
                    "{id} {action} {kind}: {resources:?}"
                );
                let is_named = |name: &&str| {
                    let ends = ["\"", " "].map(|end| format!("{kind}/{name}{end}"));
                    let short = ["\"", " "].map(|end| format!("\"{kind} {name}{end}"));
                    ends.iter().chain(&short).any(|text| named.contains(text))
                };
                let missed =
                    expected.into_iter().filter(is_named).find(|name| !resources.contains(&(*name).to_owned()));
                assert_eq!(missed, None, "{id} {action} {kind}: {resources:?} of {named}");
            }
        }
    }
}

#[tokio::test]
async fn a_search_finds_exactly_what_a_question_would_be_answered() {
    for seed in 0..3 {
        let house = house().await;
        let (admin, mut draw) = (house.admin(), Draw(seed));
        world(&admin, &mut draw).await;
        let before = house.last_index().await;
        agree(&admin, &mut draw, &json!({}), "open").await;
        agree(&admin, &mut draw, &json!({ "amount": 60 }), "shut").await;
        assert_eq!(house.last_index().await, before, "a search records nothing and uses nothing up");
        house.close().await;
    }
}

#[tokio::test]
async fn a_page_goes_on_with_its_own_search_and_no_other() {
    let house = house().await;
    let admin = house.admin();
    let class = json!({ "metadata": { "namespace": "w", "name": "c" }, "spec": { "owner": "x", "permissions": { "allow": ["tool m/a"] } } });
    admin.put("/v1/classes/w/c", &class).await.ok();
    admin.post("/v1/classes/w/c/consent", &json!({})).await.ok();
    for nth in 0..150 {
        let id = format!("p-{nth:03}");
        admin.post("/v1/actors", &json!({ "namespace": "w", "class": "c", "id": id })).await.ok();
    }
    let search = |page: Value| json!({ "subject": { "type": "person", "id": "ignored" }, "action": { "name": "call" }, "resource": { "type": "tool", "id": "m/a" }, "page": page });
    assert_eq!(found(&admin, "subject", search(json!({})), 7).await.len(), 150);
    let whole = admin.post("/access/v1/search/subject", &search(json!({}))).await.ok();
    assert_eq!((&whole["page"]["next_token"], &whole["page"]["count"]), (&json!(""), &json!(150)));
    let first = admin.post("/access/v1/search/subject", &search(json!({ "limit": 7 }))).await.ok();
    let token = first["page"]["next_token"].clone();
    let mut other = search(json!({ "token": token }));
    other["action"]["name"] = json!("read");
    for (body, what) in [
        (other, "of another search"),
        (search(json!({ "token": token, "limit": 8 })), "of another search"),
        (search(json!({ "token": "%" })), "page.token"),
        (search(json!({ "token": "e30" })), "it is not one of this server"),
        (search(json!({ "token": "x".repeat(3_000) })), "longer than 2048 bytes"),
        (search(json!({ "limit": 0 })), "room for one result"),
    ] {
        let error = admin.post("/access/v1/search/subject", &body).await.refused();
        assert!(error["kind"] == "malformed" && error.to_string().contains(what), "{error}");
    }
    let error = house.anonymous().post("/access/v1/search/subject", &search(json!({}))).await.refused();
    assert_eq!(error["kind"], "unauthenticated");
    house.close().await;
}
