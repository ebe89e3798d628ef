//! The node protocol as it is meant to be used: attestation, the stream, identities, archives, questions.

use crate::house::{House, actor};
use crate::node_client::{Line, Node, ended, held, refusal, shortened};
use credence_credential::pem::{self, Label};
use credence_wire::node::{
    ArchiveChunk, Bind, LogPage, MintJwt, ReadArchiveRequest, Reply, Unbind, call, from_node, reply, to_node, unbind,
};
use serde_json::{Value, json};

/// A furnished house, a node with one slot on its stream, and an actor that runs there.
async fn running() -> (House, Node, Line, Bind) {
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    house.admin().post("/v1/actors", &actor("a-1")).await.ok();
    let resume = json!({ "until_running_ms": 60_000 });
    let admin = house.admin();
    let (resumed, bind) = tokio::join!(admin.post("/v1/actors/finance/a-1/resume", &resume), line.run());
    let resumed = resumed.ok();
    assert_eq!((&resumed["state"], &resumed["epoch"]), (&json!("running"), &json!(1)), "{resumed}");
    (house, node, line, bind)
}

async fn end(line: &mut Line, bind: &Bind, archive: Vec<u8>) {
    line.say(ended(held(bind), archive)).await;
}

async fn hear_unbind(line: &mut Line) -> Unbind {
    match line.hear_else().await {
        to_node::Message::Unbind(unbind) => unbind,
        other => panic!("expected Unbind: {}", shortened(&other)),
    }
}

#[tokio::test]
async fn an_actor_keeps_its_identity_over_suspension_and_gets_a_new_epoch() {
    let (house, _node, mut line, bind) = running().await;
    let (svid, _) = line.identity(&house, &bind);
    assert_eq!(svid.id.as_str(), "spiffe://test.internal/ns/finance/agent/expense-agent/actor/a-1");
    assert_eq!(bind.worker, "finance/standard/w1");
    let first = pem::write(Label::Certificate, &bind.x509_svid[0]).to_string();
    let verify = async |pem: &str| house.admin().post("/v1/verify", &json!({ "x509_svid_pem": pem })).await.ok();
    let verdict = verify(&first).await;
    assert_eq!((&verdict["live"], &verdict["epoch"], &verdict["node"]), (&json!(true), &json!(1), &json!("alpha")));
    let suspend = json!({ "until_suspended_ms": 60_000 });
    let admin = house.admin();
    let ending = async {
        let unbind = hear_unbind(&mut line).await;
        assert_eq!((unbind.mode(), &unbind.binding), (unbind::Mode::Suspend, &bind.binding));
        end(&mut line, &bind, Vec::new()).await;
    };
    let (suspended, ()) = tokio::join!(admin.post("/v1/actors/finance/a-1/suspend", &suspend), ending);
    assert_eq!(suspended.ok()["state"], "suspended");
    assert_eq!(verify(&first).await["live"], false);
    admin.post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let again = line.run().await;
    let (second, _) = line.identity(&house, &again);
    assert_eq!((again.epoch, second.id), (2, svid.id));
    let verdict = verify(&first).await;
    assert_eq!((&verdict["live"], &verdict["live_epoch"]), (&json!(false), &json!(2)), "{verdict}");
    let invariants = house.admin().get("/v1/invariants").await.ok();
    assert!(invariants["items"].as_array().unwrap().iter().all(|item| item["holds"] == true), "{invariants}");
    house.close().await;
}

#[tokio::test]
async fn one_request_is_found_again_in_its_answer_and_at_the_node() {
    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    house.admin().post("/v1/actors", &actor("a-1")).await.ok();
    let traceparent = format!("00-{ID}-00f067aa0ba902b7-01");
    let headers = [("traceparent", traceparent.as_str()), ("content-type", "application/json")];
    let resumed = house.admin().send("POST", "/v1/actors/finance/a-1/resume", &headers, b"{}").await;
    assert_eq!((resumed.status, resumed.headers["traceparent"].to_str().unwrap()), (200, traceparent.as_str()));
    loop {
        let (told, message) = line.hear_traced().await;
        if matches!(message, to_node::Message::Bind(_)) {
            assert_eq!(told, traceparent);
            break;
        }
        assert_eq!(told, "", "nothing else was caused by it");
    }
    // What cannot be read is as if it were not there, and a refusal has a name, too.
    let headers = [("traceparent", "00-nonsense"), ("content-type", "application/json")];
    let refused = house.admin().send("POST", "/v1/actors/finance/no-one/resume", &headers, b"{}").await;
    let named = refused.headers["traceparent"].to_str().unwrap();
    assert!(refused.status == 404 && named.len() == 55 && named.starts_with("00-"), "{named}");
    house.close().await;
}

#[tokio::test]
async fn a_token_of_an_actor_is_minted_for_an_audience_and_verified_for_no_other() {
    let (house, _node, mut line, bind) = running().await;
    let mint = MintJwt { request: 7, held: Some(held(&bind)), audience: vec!["tool".into()] };
    line.say(from_node::Message::MintJwt(mint)).await;
    let to_node::Message::JwtSvid(jwt) = line.hear_else().await else { panic!("expected JwtSvid") };
    assert_eq!((jwt.request, jwt.refused), (7, None));
    let body = |audience: &str| json!({ "jwt_svid": jwt.svid, "audience": audience });
    let verdict = house.admin().post("/v1/verify", &body("tool")).await.ok();
    assert_eq!((&verdict["live"], &verdict["actor"]), (&json!(true), &json!("finance/a-1")), "{verdict}");
    let verdict = house.admin().post("/v1/verify", &body("other")).await.ok();
    assert_eq!(verdict["live"], false, "{verdict}");
    for (audience, field) in [(vec![], "audience"), (vec![String::new()], "audience")] {
        let before = house.last_index().await;
        let mint = MintJwt { request: 8, held: Some(held(&bind)), audience };
        line.say(from_node::Message::MintJwt(mint)).await;
        let to_node::Message::JwtSvid(jwt) = line.hear_else().await else { panic!("expected JwtSvid") };
        let refused = jwt.refused.unwrap();
        assert_eq!((jwt.request, refused.kind.as_str(), refused.field.as_str()), (8, "malformed", field));
        assert_eq!(house.last_index().await, before);
    }
    house.close().await;
}

#[tokio::test]
async fn the_state_of_an_actor_travels_with_it() {
    let (house, node, mut line, bind) = running().await;
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let chunks: Vec<_> = bytes
        .chunks(50_000)
        .enumerate()
        .map(|(nth, bytes)| match nth {
            0 => ArchiveChunk { binding: bind.binding.clone(), epoch: bind.epoch, bytes: bytes.to_vec() },
            _ => ArchiveChunk { bytes: bytes.to_vec(), ..Default::default() },
        })
        .collect();
    let mut client = node.client(&house).await;
    let digest = client.put_archive(tokio_stream::iter(chunks)).await.unwrap().into_inner().digest;
    end(&mut line, &bind, digest.clone()).await;
    line.heartbeat().await;
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let again = line.run().await;
    assert_eq!(again.archive, digest);
    let request = ReadArchiveRequest { binding: again.binding.clone(), epoch: again.epoch, digest };
    let mut from = client.read_archive(request.clone()).await.unwrap().into_inner();
    let mut read = Vec::new();
    while let Some(chunk) = from.message().await.unwrap() {
        read.extend(chunk.bytes);
    }
    assert_eq!(read, bytes);
    // Neither another node nor an older epoch reads it.
    let beta = Node::join(&house, "beta").await;
    for (client, epoch) in [(&mut beta.client(&house).await, again.epoch), (&mut client, bind.epoch)] {
        let status = client.read_archive(ReadArchiveRequest { epoch, ..request.clone() }).await.unwrap_err();
        assert_eq!(refusal(&status).kind, "stale");
        let chunk = ArchiveChunk { binding: again.binding.clone(), epoch, bytes: b"evil".to_vec() };
        let status = client.put_archive(tokio_stream::iter([chunk])).await.unwrap_err();
        assert_eq!(refusal(&status).kind, "stale");
    }
    house.close().await;
}

#[tokio::test]
async fn an_archive_that_was_not_stored_is_not_recorded() {
    let (house, _node, mut line, bind) = running().await;
    end(&mut line, &bind, vec![7; 32]).await;
    line.heartbeat().await;
    let seen = house.admin().get("/v1/actors/finance/a-1").await.ok();
    assert_eq!((&seen["state"], &seen["archive"]), (&json!("suspended"), &Value::Null), "{seen}");
    house.close().await;
}

#[tokio::test]
async fn what_only_the_node_has_is_asked_of_it() {
    let (house, _node, mut line, _bind) = running().await;
    let admin = house.admin();
    let node = async {
        let to_node::Message::Call(asked) = line.hear_else().await else { panic!("expected Call") };
        let Some(call::Call::ReadLog(read)) = asked.call else { panic!("expected ReadLog") };
        assert_eq!((read.actor.as_str(), read.offset), ("a-1", 3));
        let page = LogPage { bytes: b"2026-01-01T00:00:00Z out hello\n".to_vec(), next_offset: 34 };
        line.say(from_node::Message::Reply(Reply { id: asked.id, reply: Some(reply::Reply::LogPage(page)) })).await;
    };
    let (page, ()) = tokio::join!(admin.get("/v1/actors/finance/a-1/logs?offset=3"), node);
    assert_eq!(page.ok(), json!({ "text": "2026-01-01T00:00:00Z out hello\n", "next_offset": 34 }));
    for (body, field) in [
        (json!({ "command": [], "timeout_ms": 1 }), "command"),
        (json!({ "command": ["a\0"], "timeout_ms": 1 }), "command[0]"),
        (json!({ "command": ["true"], "timeout_ms": 0 }), "timeout_ms"),
    ] {
        let error = house.refuses("POST", "/v1/actors/finance/a-1/exec", &body).await;
        assert_eq!((&error["kind"], &error["field"]), (&json!("malformed"), &json!(field)));
    }
    admin.post("/v1/actors", &actor("a-2")).await.ok();
    let body = json!({ "command": ["true"], "timeout_ms": 1 });
    let error = house.refuses("POST", "/v1/actors/finance/a-2/exec", &body).await;
    assert_eq!(error["kind"], "conflict");
    drop(line);
    house.close().await;
}

#[tokio::test]
async fn a_node_that_comes_back_after_a_restart_of_the_server_goes_on_with_what_it_holds() {
    let (house, node, mut line, bind) = running().await;
    let house = house.restart().await;
    assert_eq!(line.end().await.kind, "unavailable");
    let seen = house.admin().get("/v1/actors/finance/a-1").await.ok();
    assert_eq!((&seen["state"], &seen["binding"]), (&json!("lost"), &json!(bind.binding)), "{seen}");
    let error = house.refuses("POST", "/v1/actors/finance/a-1/resume", &json!({})).await;
    assert_eq!(error["kind"], "conflict", "{error}");
    let line = node.attach(&house, &["w1"], vec![held(&bind)]).await;
    assert_eq!(line.welcome.unwrap().unbind, []);
    let seen = house.admin().get("/v1/actors/finance/a-1").await.ok();
    assert_eq!((&seen["state"], &seen["epoch"]), (&json!("running"), &json!(1)), "{seen}");
    house.close().await;
}

#[tokio::test]
async fn what_a_node_said_on_an_older_stream_and_comes_late_ends_nothing() {
    let (house, node, _line, bind) = running().await;
    let mut late = node.open_silently(&house).await;
    let mut newer = node.attach(&house, &["w1"], vec![held(&bind)]).await;
    late.hello(&["w1"], Vec::new(), None).await;
    assert_eq!(late.end().await.kind, "stale");
    newer.heartbeat().await;
    assert_eq!(house.admin().get("/v1/actors/finance/a-1").await.ok()["state"], "running");
    house.close().await;
}

#[tokio::test]
async fn a_newer_stream_takes_the_place_of_an_older_one() {
    let (house, node, mut line, bind) = running().await;
    let mut newer = node.attach(&house, &["w1"], vec![held(&bind)]).await;
    assert_eq!(line.end().await.kind, "stale");
    newer.heartbeat().await;
    let seen = house.admin().get("/v1/nodes/alpha").await.ok();
    assert_eq!((&seen["state"], &seen["session"]), (&json!("connected"), &json!(2)), "{seen}");
    assert_eq!(house.admin().get("/v1/actors/finance/a-1").await.ok()["state"], "running");
    house.close().await;
}
