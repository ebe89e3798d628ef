use super::*;
use crate::golden;
use credence_model::actor::{ActorState, Outcome};
use credence_server::api::actor::ActorView;
use credence_server::api::class::ClassView;
use credence_server::api::guard::GuardView;
use credence_server::api::node::NodeView;
use credence_server::api::pool::PoolView;
use credence_server::api::worker::WorkerView;
use serde_json::json;

const NOW: Timestamp = Timestamp(1_764_000_000_000);

fn actor(id: &str, state: ActorState, more: serde_json::Value) -> ActorView {
    let mut object = json!({
        "namespace": "finance", "id": id, "class": "expense-agent", "state": state, "epoch": 2, "labels": {"tier": "standard"},
        "spiffe_id": format!("spiffe://demo.internal/ns/finance/agent/expense-agent/actor/{id}"),
        "created_at": NOW.0 - 3_700_000, "changed_at": NOW.0 - 14_200, "changed_by": {"local": {"uid": 0}},
    });
    object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    serde_json::from_value(object).expect("an actor")
}

fn actors() -> Vec<ActorView> {
    let bound = |worker: &str, node: &str| {
        json!({
            "worker": format!("default/{worker}"), "node": node, "revision": 1,
            "binding": "01jdvarh8000000000000000aa", "lease_ends_at": NOW.0 + 6_849,
        })
    };
    let wait = json!({"waiting": {"since": NOW.0 - 4_100, "until": NOW.0 + 25_900, "place": 2}, "epoch": 0});
    vec![
        actor("actor-01", ActorState::Running, bound("beta/w1", "beta")),
        actor("actor-04", ActorState::Lost, bound("alpha/w2", "alpha")),
        actor("actor-07", ActorState::Suspended, wait),
        actor(
            "actor-08",
            ActorState::Suspended,
            json!({"outcome": Outcome::Failed { reason: "no program `x`".into() }}),
        ),
        actor("actor-09", ActorState::Suspended, json!({"outcome": Outcome::Stopped})),
        actor("actor-10", ActorState::Terminated, json!({"reason": "done \u{1b}[2J with it"})),
    ]
}

fn class() -> ClassView {
    let revision = |number: u32| {
        json!({
            "number": number, "digest": format!("sha256:{}", "9f2c".repeat(16)), "allowed": number != 3,
            "consent": (["not_needed", "given", "wanted"][number as usize - 1]),
            "created_at": NOW.0 - 60_000, "created_by": {"local": {"uid": 1000}},
        })
    };
    serde_json::from_value(json!({
        "namespace": "finance", "name": "expense-agent", "labels": {}, "version": 31, "enabled": true, "revision": 3,
        "spiffe_id": "spiffe://demo.internal/ns/finance/agent/expense-agent",
        "in_force": 2, "revisions": [revision(1), revision(2), revision(3)], "actors": 12, "created_at": NOW.0 - 90_000_000,
        "spec": {
            "displayName": "Expense agent", "owner": "finance@example.org", "purpose": "files expense reports",
            "description": "Reads receipts.\nFiles reports.", "models": [{"model": "sonnet", "provider": "anthropic"}, {"model": "small"}],
            "tools": [{"name": "expenses/file", "description": "files one"}],
            "runtime": {
                "command": ["python3", "agent.py"], "env": [{"name": "MODE", "value": "fast"}], "passEnv": ["TZ"],
                "poolSelector": {"matchLabels": {"tier": "standard"}},
            },
            "permissions": {
                "allow": ["model anthropic/*", "tool expenses/file when amount <= 500 EUR with step-up"],
                "forbid": ["tool expenses/file when day in (sat, sun)"], "delegation": {"required": true},
            },
        },
    }))
    .expect("a class")
}

fn guard() -> GuardView {
    serde_json::from_value(json!({
        "namespace": "tools", "name": "expenses", "labels": {"tier": "standard"}, "version": 40, "created_at": NOW.0 - 90_000_000,
        "spec": {
            "owner": "expenses@example.org", "description": "the expense tool", "resource": "tool/expenses/**",
            "allow": ["tool expenses/list", "tool expenses/submit when actor.class = finance/expense-agent with log"],
            "forbid": ["tool expenses/submit when actor.namespace != finance"],
        },
    }))
    .expect("a guard")
}

fn pool() -> PoolView {
    serde_json::from_value(json!({
        "namespace": "default", "name": "beta", "labels": {"tier": "standard"}, "version": 4, "workers": 2, "workers_idle": 1,
        "spec": {"description": "for everybody", "shareWith": ["finance"], "direct": true}, "created_at": NOW.0 - 7_200_000,
    }))
    .expect("a pool")
}

fn node() -> NodeView {
    serde_json::from_value(json!({
        "name": "alpha", "spiffe_id": "spiffe://demo.internal/node/alpha", "state": "lost",
        "pools": [{"pool": "default/alpha", "workers_max": 2}, {"pool": "default/direct", "workers_max": 0}],
        "workers": ["default/alpha/w1", "default/alpha/w2"], "keys_ready": 8, "session": 3,
        "attested_at": NOW.0 - 600_000, "heard_at": NOW.0 - 3_151, "lease_ends_at": NOW.0 + 6_849,
    }))
    .expect("a node")
}

fn workers() -> Vec<WorkerView> {
    let worker = |id: &str, more: serde_json::Value| -> WorkerView {
        let mut object = json!({
            "namespace": "default", "pool": "beta", "id": id, "node": "beta", "kind": "slot", "state": "ready",
            "spiffe_id": format!("spiffe://demo.internal/ns/default/pool/beta/worker/{id}"), "idle_since": NOW.0 - 31_000,
        });
        object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(object).expect("a worker")
    };
    let bound = json!({"actor": "finance/actor-01", "binding": "01jdvarh8000000000000000aa"});
    vec![worker("w1", bound), worker("w2", json!({})), worker("w3", json!({"state": "draining"}))]
}

fn check_kind<V: View>(name: &str, items: &[V]) {
    let style = Style::default();
    let described: Vec<_> = items.iter().map(|item| item.describe(NOW, style)).collect();
    let parts = [table(items, NOW, false).render(style), table(items, NOW, true).render(style), described.join("\n\n")];
    golden::check(&format!("view/{name}.txt"), &parts.join("\n\n"));
}

#[test]
fn every_kind_of_object_looks_as_it_did() {
    check_kind("actors", &actors());
    check_kind("classes", &[class()]);
    check_kind("pools", &[pool()]);
    check_kind("guards", &[guard()]);
    check_kind("nodes", &[node()]);
    check_kind("workers", &workers());
}

#[test]
fn no_object_prints_a_control_character() {
    let text = table(&actors(), NOW, true).render(Style::default());
    assert!(!text.replace('\n', "").contains(char::is_control), "{text}");
}

#[test]
fn a_state_is_a_word_and_not_only_a_colour() {
    let painted = table(&actors(), NOW, false).render(Style::new(true));
    for word in ["running", "lost", "waiting", "suspended", "terminated"] {
        assert!(painted.contains(word), "{word}");
    }
}
