use super::*;
use crate::golden;
use serde_json::json;

const NOW: Timestamp = Timestamp(1_764_000_000_000);

/// One entry of every sort of event, as the API writes them.
fn entries() -> Vec<Entry> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let class = json!({"namespace": "finance", "class": "expense-agent"});
    let pool = json!({"namespace": "default", "pool": "beta"});
    let worker = json!({"pool": pool, "worker": "w1"});
    let actor = json!({"namespace": "finance", "actor": "actor-01"});
    let binding = "01jdvarh8000000000000000aa";
    let grants = json!([{"pool": pool, "workersMax": 2}, {"pool": pool, "workersMax": 0}]);
    let at = NOW.0;
    let events = [
        json!({"type": "cell_started"}),
        json!({"type": "command_answered", "key": digest, "command": digest, "answer": {"done": {}}}),
        json!({"type": "class_revised", "class": class, "labels": {}, "revision": 2, "spec": {"owner": "o"}}),
        json!({"type": "class_labelled", "class": class, "labels": {}}),
        json!({"type": "class_enabled", "class": class, "enabled": false}),
        json!({"type": "revision_allowed", "class": class, "revision": 2, "allowed": false}),
        json!({"type": "class_deleted", "class": class}),
        json!({"type": "pool_applied", "pool": pool, "labels": {}, "spec": {}}),
        json!({"type": "pool_deleted", "pool": pool}),
        json!({"type": "join_token_created", "token": digest, "node": null, "grants": grants, "expires_at": at}),
        json!({"type": "node_attested", "node": "beta", "token": digest, "grants": grants, "key": digest, "not_after": at}),
        json!({"type": "node_renewed", "node": "beta", "key": digest, "not_after": at}),
        json!({"type": "node_attached", "node": "beta", "session": 1, "workers": [worker], "kept": [binding]}),
        json!({"type": "node_heard", "node": "beta"}),
        json!({"type": "node_lost", "node": "beta"}),
        json!({"type": "node_deleted", "node": "beta"}),
        json!({"type": "keys_offered", "node": "beta", "keys": [digest, digest]}),
        json!({"type": "worker_registered", "worker": worker, "node": "beta", "kind": "process"}),
        json!({"type": "worker_draining", "worker": worker}),
        json!({"type": "worker_gone", "worker": worker}),
        json!({"type": "actor_created", "actor": actor, "class": "expense-agent", "labels": {}}),
        json!({"type": "actor_queued", "actor": actor, "until": at}),
        json!({"type": "actor_unqueued", "actor": actor, "reason": "no worker\nwas \u{1b}[31m free"}),
        json!({"type": "actor_bound", "actor": actor, "binding": binding, "epoch": 2, "worker": worker, "node": "beta",
            "revision": 1, "key": digest, "not_after": at}),
        json!({"type": "actor_running", "actor": actor, "binding": binding}),
        json!({"type": "actor_unbinding", "actor": actor, "binding": binding, "mode": "suspend", "wanted": false}),
        json!({"type": "binding_ended", "actor": actor, "binding": binding, "epoch": 2, "outcome": {"exited": {"code": 3}}, "archive": null}),
        json!({"type": "actor_terminated", "actor": actor, "reason": "done"}),
        json!({"type": "actor_quarantined", "actor": actor, "reason": null}),
        json!({"type": "actor_deleted", "actor": actor}),
        json!({"type": "x509_svid_ordered", "actor": actor, "binding": binding, "epoch": 2, "key": digest, "not_after": at}),
        json!({"type": "jwt_svid_ordered", "actor": actor, "binding": binding, "epoch": 2, "audience": ["tools"], "expires_at": at}),
    ];
    let callers = [json!("system"), json!({"local": {"uid": 0}}), json!({"node": {"name": "beta"}})];
    let entry = |(index, event): (usize, serde_json::Value)| {
        let caller = callers[index % callers.len()].clone();
        let entry =
            json!({"format": 1, "index": index + 1, "at": at + index as u64 * 118, "caller": caller, "event": event});
        serde_json::from_value(entry.clone()).unwrap_or_else(|error| panic!("{error}: {entry}"))
    };
    events.into_iter().enumerate().map(entry).collect()
}

#[test]
fn every_event_is_one_readable_line() {
    let lines: Vec<_> = entries().iter().map(|entry| line(entry, NOW, Style::default())).collect();
    assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    assert!(lines.iter().all(|line| !line.contains("no words for")));
    golden::check("log.txt", &lines.join("\n"));
}
