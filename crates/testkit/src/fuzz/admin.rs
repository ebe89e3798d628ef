//! What an administrator does before strangers come.

use super::http::{PATIENCE, ask};
use serde_json::{Value, json};
use std::path::Path;

/// A pool and a class.
pub(super) async fn furnish(socket: &Path) {
    let metadata = |name: &str| json!({ "namespace": "finance", "name": name });
    let pool = json!({ "metadata": metadata("standard"), "spec": { "direct": true } });
    let runtime = json!({ "command": ["expense-agent"], "onLost": "suspend" });
    let spec = json!({ "owner": "finance@example.org", "runtime": runtime });
    let class = json!({ "metadata": metadata("expense-agent"), "spec": spec });
    send(socket, "PUT", "/v1/pools/finance/standard", &pool).await;
    send(socket, "PUT", "/v1/classes/finance/expense-agent", &class).await;
}

/// Lets the node `alpha` in, with workers in that pool.
pub(super) async fn join_token(socket: &Path) -> String {
    let body = json!({ "node": "alpha", "pools": [{ "pool": "finance/standard", "workers_max": 4 }], "ttl_secs": 60 });
    send(socket, "POST", "/v1/join-tokens", &body).await["token"].as_str().expect("a token").to_owned()
}

/// Asks for what is granted.
pub(super) async fn send(socket: &Path, method: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let head = "host: a\r\ncontent-type: application/json\r\nconnection: close";
    let request = format!("{method} {path} HTTP/1.1\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let answer = ask(socket, request.as_bytes(), PATIENCE).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).expect("JSON")
}
