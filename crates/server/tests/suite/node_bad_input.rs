//! What a node may not do: each is refused by name, and changes nothing.

use crate::house::{House, actor};
use crate::node_client::{Line, Node, attest, ended, fresh_key, held, key_of, token};
use credence_credential::key::KeyAlgorithm;
use credence_wire::node::{Held, KeyOffer, MintJwt, Refused, RenewNode, RenewX509, Running, from_node, to_node};
use serde_json::{Value, json};

#[track_caller]
fn check(refused: &Refused, kind: &str, field: &str, message: &str) {
    assert_eq!((refused.kind.as_str(), refused.field.as_str()), (kind, field), "{refused:?}");
    assert!(refused.message.contains(message), "{message}: {refused:?}");
}

async fn refuses(house: &House, node: &str, token: &str, csr: Vec<u8>) -> Refused {
    let before = house.last_index().await;
    let refused = attest(house, node, token, csr).await.expect_err("it was let in");
    assert_eq!(house.last_index().await, before, "{refused:?}");
    refused
}

#[tokio::test]
async fn a_join_token_lets_one_node_in_once_and_in_time() {
    let house = House::furnished().await;
    let csr = || fresh_key().1;
    let good = token(&house, json!({ "node": "alpha" })).await;
    check(&refuses(&house, "beta", &good, csr()).await, "unauthenticated", "join_token", "made for another node");
    for name in ["", "a/b", "..", "a%2fb", "A", "a\0"] {
        check(&refuses(&house, name, &good, csr()).await, "malformed", "node", "node name");
    }
    attest(&house, "alpha", &good, csr()).await.unwrap();
    let refused = refuses(&house, "alpha", &good, csr()).await;
    check(&refused, "unauthenticated", "join_token", "used already");
    assert!(refused.hint.contains("credence token create"), "{refused:?}");
    let unknown = format!("cjt1.{}{}", "A".repeat(43), &good[48..]);
    check(&refuses(&house, "alpha", &unknown, csr()).await, "unauthenticated", "join_token", "unknown");
    for text in ["", "cjt1.", "secret", &good[..60]] {
        let refused = refuses(&house, "alpha", text, csr()).await;
        check(&refused, "malformed", "join_token", "not a join token");
        assert!(text.is_empty() || !refused.message.contains(text), "a secret is never repeated: {refused:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn an_expired_join_token_lets_nobody_in() {
    let house = House::furnished().await;
    let expiring = token(&house, json!({ "ttl_secs": 1 })).await;
    // Nothing is recorded meanwhile, so this answers when the token is over.
    let next = house.last_index().await + 1;
    let page = house.admin().get(&format!("/v1/log?from={next}&wait_ms=1100")).await.ok();
    assert_eq!(page["items"], json!([]));
    let refused = refuses(&house, "alpha", &expiring, fresh_key().1).await;
    check(&refused, "unauthenticated", "join_token", "expired");
    house.close().await;
}

fn bad_csrs() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut bad_signature = fresh_key().1;
    let near_end = bad_signature.len() - 5;
    bad_signature[near_end] ^= 1;
    vec![
        (bad_signature, "unauthenticated", "signature does not match its key"),
        (key_of(KeyAlgorithm::Ed25519).1, "malformed", "key type Ed25519 is not accepted; use ECDSA P-256"),
        (key_of(KeyAlgorithm::EcdsaP384).1, "malformed", "not accepted; use ECDSA P-256"),
        (b"not a request".to_vec(), "malformed", "not a PKCS#10 certificate request"),
        (Vec::new(), "malformed", "not a PKCS#10 certificate request"),
        (vec![0; 8 * 1024 + 1], "limited", "at most 8192 are read"),
    ]
}

#[tokio::test]
async fn a_request_that_proves_no_key_of_the_accepted_kind_is_refused_and_the_token_stays_good() {
    let house = House::furnished().await;
    let token = token(&house, json!({})).await;
    for (csr, kind, message) in bad_csrs() {
        check(&refuses(&house, "alpha", &token, csr).await, kind, "csr", message);
    }
    attest(&house, "alpha", &token, fresh_key().1).await.unwrap();
    house.close().await;
}

/// A node on its stream with a running actor, in a furnished house.
async fn running() -> (House, Node, Line, Held) {
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    house.admin().post("/v1/actors", &actor("a-1")).await.ok();
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let bind = line.run().await;
    (house, node, line, held(&bind))
}

#[tokio::test]
async fn offers_and_renewals_with_bad_requests_are_refused_and_the_stream_goes_on() {
    let (house, _node, mut line, held) = running().await;
    let ready = async || house.admin().get("/v1/nodes/alpha").await.ok()["keys_ready"].clone();
    let (before, keys) = (house.last_index().await, ready().await);
    for (csr, kind, message) in bad_csrs() {
        let offer = KeyOffer { csrs: vec![fresh_key().1, csr.clone()] };
        line.say(from_node::Message::KeyOffer(offer)).await;
        check(&line.hear_refused().await, kind, "key_offer.csrs[1]", message);
        let renew = RenewX509 { held: Some(held.clone()), csr: csr.clone() };
        line.say(from_node::Message::RenewX509(renew)).await;
        check(&line.hear_not_renewed().await, kind, "renew_x509.csr", message);
        line.say(from_node::Message::RenewNode(RenewNode { csr })).await;
        check(&line.hear_not_renewed().await, kind, "renew_node.csr", message);
    }
    let twice = fresh_key().1;
    let twice = KeyOffer { csrs: vec![twice.clone(), twice] };
    line.say(from_node::Message::KeyOffer(twice)).await;
    check(&line.hear_refused().await, "malformed", "key_offer.csrs[1]", "offered already");
    let many = KeyOffer { csrs: vec![Vec::new(); 65] };
    line.say(from_node::Message::KeyOffer(many)).await;
    check(&line.hear_refused().await, "limited", "key_offer.csrs", "at most 64 keys at once");
    assert_eq!((house.last_index().await, ready().await), (before, keys));
    line.heartbeat().await;
    house.close().await;
}

#[tokio::test]
async fn a_node_that_presents_an_old_epoch_is_stale_and_changes_nothing() {
    let (house, _node, mut line, first) = running().await;
    line.say(ended(first.clone(), Vec::new())).await;
    line.heartbeat().await;
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let bind = line.hear_bind().await;
    assert_eq!(bind.epoch, 2);
    let before = house.last_index().await;
    let actor = house.admin().get("/v1/actors/finance/a-1").await.ok();
    let older = Held { binding: bind.binding.clone(), epoch: 1 };
    let newer = Held { binding: bind.binding.clone(), epoch: 3 };
    for held in [&first, &older, &newer] {
        line.say(from_node::Message::Running(Running { held: Some(held.clone()) })).await;
        check(&line.hear_refused().await, "stale", "binding", "is over");
        line.say(ended(held.clone(), Vec::new())).await;
        check(&line.hear_refused().await, "stale", "binding", "is over");
        let renew = RenewX509 { held: Some(held.clone()), csr: fresh_key().1 };
        line.say(from_node::Message::RenewX509(renew)).await;
        check(&line.hear_not_renewed().await, "stale", "binding", "is over");
        let mint = MintJwt { request: 1, held: Some(held.clone()), audience: vec!["tool".into()] };
        line.say(from_node::Message::MintJwt(mint)).await;
        let to_node::Message::JwtSvid(jwt) = line.hear_else().await else { panic!("expected JwtSvid") };
        check(&jwt.refused.unwrap(), "stale", "binding", "is over");
        assert_eq!(jwt.svid, "");
    }
    assert_eq!(house.last_index().await, before);
    assert_eq!(house.admin().get("/v1/actors/finance/a-1").await.ok(), actor);
    line.say(from_node::Message::Running(Running { held: Some(held(&bind)) })).await;
    line.heartbeat().await;
    assert_eq!(house.admin().get("/v1/actors/finance/a-1").await.ok()["state"], "running");
    house.close().await;
}

#[tokio::test]
async fn a_running_actor_is_not_resumed_again() {
    let (house, _node, mut line, _held) = running().await;
    let error = house.refuses("POST", "/v1/actors/finance/a-1/resume", &json!({})).await;
    assert_eq!(error["kind"], "conflict", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("is running already, epoch 1 on worker finance/standard/w1"), "{error}");
    for (method, path) in
        [("DELETE", "/v1/actors/finance/a-1"), ("DELETE", "/v1/nodes/alpha"), ("DELETE", "/v1/pools/finance/standard")]
    {
        let error = house.refuses(method, path, &Value::Null).await;
        assert_eq!(error["kind"], "conflict", "{path}: {error}");
    }
    line.heartbeat().await;
    house.close().await;
}

#[tokio::test]
async fn of_two_resumes_that_race_one_wins_and_the_other_is_told_so() {
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1", "w2"], Vec::new()).await;
    let admin = house.admin();
    admin.post("/v1/actors", &actor("a-1")).await.ok();
    let (path, body) = ("/v1/actors/finance/a-1/resume", json!({}));
    let (one, two) = tokio::join!(admin.post(path, &body), admin.post(path, &body));
    let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
    assert_eq!(won.ok()["epoch"], 1);
    let lost = lost.refused();
    assert_eq!(lost["kind"], "conflict", "{lost}");
    assert_eq!(line.run().await.epoch, 1);
    let bound = house.log().await.iter().filter(|entry| entry["event"]["type"] == "actor_bound").count();
    assert_eq!(bound, 1);
    house.close().await;
}

#[tokio::test]
async fn a_node_offers_no_more_than_it_was_granted() {
    let house = House::furnished().await;
    let alpha = Node::join(&house, "alpha").await;
    let beta = Node::join(&house, "beta").await;
    let _line = alpha.attach(&house, &["w1"], Vec::new()).await;
    let before = house.last_index().await;
    let held = Held { binding: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), epoch: 1 };
    for (workers, held, kind, field, message) in [
        (&["b1", "b2", "b3"][..], vec![], "denied", "workers", "its join token granted 2"),
        (&["b1", "b1"], vec![], "denied", "workers", "named twice"),
        (&["w1"], vec![], "denied", "workers", "belongs to node alpha"),
        (&["b1/x"], vec![], "malformed", "hello.workers[0]", "is not valid"),
        (&["b1", ".."], vec![], "malformed", "hello.workers[1]", "only a-z"),
        (&["b1"], vec![held], "malformed", "hello.held[0].binding", "binding"),
    ] {
        let refused = beta.open(&house, workers, held).await.end().await;
        check(&refused, kind, field, message);
    }
    assert_eq!(house.last_index().await, before);
    house.close().await;
}
