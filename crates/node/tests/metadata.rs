//! The metadata service of an endpoint, over HTTP/1.1.

use crate::door::{Door, exchange};
use crate::identity::ACTOR;
use credence_node::endpoint::Served;
use std::collections::BTreeSet;

/// Status and JSON body of an answer.
fn read(answer: &str) -> (u16, serde_json::Value) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("headers end");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    assert!(head.to_ascii_lowercase().contains("cache-control: no-store"), "{head}");
    (status, serde_json::from_str(body).expect("JSON"))
}

#[tokio::test]
async fn the_identity_is_told_without_a_secret() {
    let door = Door::own().await;
    let answer = door.get("/identity").await;
    let (status, identity) = read(&answer);
    assert_eq!(status, 200);
    assert_eq!((identity["spiffe_id"].as_str(), identity["epoch"].as_u64()), (Some(ACTOR), Some(7)));
    assert_eq!(identity["revision"]["number"], 3);
    let members: BTreeSet<_> = identity.as_object().expect("an object").keys().map(String::as_str).collect();
    let promised =
        ["binding", "class", "epoch", "expires_at", "revision", "spiffe_id", "trust_domain", "worker"].into();
    assert_eq!(members, promised);
}

#[tokio::test]
async fn two_requests_on_one_connection_are_both_answered() {
    let door = Door::own().await;
    let one = "GET /identity HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n";
    let last = "GET /identity HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nConnection: close\r\n\r\n";
    let answers = exchange(door.connect().await, &format!("{one}{last}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}

#[tokio::test]
async fn a_header_given_twice_is_not_the_header() {
    let door = Door::own().await;
    let twice = "GET /identity HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nMetadata: true\r\nConnection: close\r\n\r\n";
    assert_eq!(read(&exchange(door.connect().await, twice).await).0, 400);
}

#[tokio::test]
async fn after_the_end_there_is_no_identity() {
    let door = Door::own().await;
    door.served.send_replace(Served::Ended);
    for path in ["/identity", "/token?audience=a"] {
        let (status, answer) = read(&door.get(path).await);
        assert_eq!((status, answer["error"]["kind"].as_str()), (403, Some("denied")), "{answer}");
    }
}

#[tokio::test]
async fn headers_without_end_are_cut_off() {
    let door = Door::own().await;
    let request = format!("GET /identity HTTP/1.1\r\nHost: x\r\nPadding: {}\r\n\r\n", "a".repeat(64 * 1024));
    let mut stream = door.connect().await;
    // It may hang up before it has heard all.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains(ACTOR));
}
