//! Who is let in at which door: certificates, their limits in time, and what each caller may ask.

use crate::house::{House, actor};
use crate::node_client::{Node, connect, ended, held, refusal};
use crate::observe::{observe, page, value};
use credence_credential::tls::LiveIdentity;
use credence_model::spiffe_id::SpiffeId;
use credence_wire::node::{FromNode, ReadArchiveRequest};
use serde_json::{Value, json};

const OPERATOR: &str = "spiffe://test.internal/ns/finance/agent/expense-agent/actor/operator";

#[track_caller]
fn check(error: &Value, kind: &str, message: &str) {
    assert_eq!(error["kind"], kind, "{error}");
    assert!(error["message"].as_str().unwrap().contains(message), "{message}: {error}");
}

#[tokio::test]
async fn without_a_client_certificate_nothing_is_administered() {
    let house = House::furnished().await;
    let before = house.last_index().await;
    let anonymous = house.anonymous();
    let error = anonymous.post("/v1/actors", &actor("a-1")).await.refused();
    check(&error, "unauthenticated", "no client certificate was shown");
    assert!(error["hint"].as_str().unwrap().contains("admin socket"));
    // Who may ask is decided before anything is read: a wrong body is not even looked at.
    let error = anonymous.send("PUT", "/v1/classes/finance/a", &[("content-type", "x")], b"{").await.refused();
    check(&error, "unauthenticated", "administrators");
    let mut client = connect(house.server.addr(), house.tls(&LiveIdentity::empty())).await;
    let status = client.connect(tokio_stream::iter([FromNode::default()])).await.unwrap_err();
    assert_eq!((status.code(), refusal(&status).kind), (tonic::Code::Unauthenticated, "unauthenticated".into()));
    let status = client.read_archive(ReadArchiveRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert_eq!(house.last_index().await, before);
    house.close().await;
}

#[tokio::test]
async fn a_node_is_no_administrator_and_no_workload() {
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let client = house.showing(&node.identity);
    let before = house.last_index().await;
    check(&client.post("/v1/actors", &actor("a-1")).await.refused(), "denied", "administrators; node alpha is not one");
    check(&client.post("/v1/verify", &json!({})).await.refused(), "denied", "live workloads");
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(house.last_index().await, before);
    house.close().await;
}

#[tokio::test]
async fn an_identity_of_another_authority_does_not_pass_the_handshake() {
    let (house, other) = (House::furnished().await, House::furnished().await);
    let stranger = Node::join(&other, "alpha").await;
    // The same trust domain by its name, and yet another one.
    let error = house.showing(&stranger.identity).try_send("GET", "/healthz", &[], b"").await;
    assert!(error.is_err(), "{error:?}");
    other.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_node_that_attested_anew_is_not_known_by_its_older_certificate() {
    let house = House::furnished().await;
    let older = Node::join(&house, "alpha").await;
    let newer = Node::join(&house, "alpha").await;
    let status = older.client(&house).await.connect(tokio_stream::iter([FromNode::default()])).await.unwrap_err();
    let refused = refusal(&status);
    assert_eq!((status.code(), refused.kind.as_str()), (tonic::Code::Aborted, "stale"), "{refused:?}");
    assert!(refused.hint.contains("join token"), "{refused:?}");
    let mut line = newer.attach(&house, &["w1"], Vec::new()).await;
    line.heartbeat().await;
    drop(line);
    house.close().await;
}

#[tokio::test]
async fn a_deleted_node_is_nobody() {
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    house.admin().delete("/v1/nodes/alpha").await.ok();
    assert_eq!(line.end().await.kind, "stale");
    let error = house.showing(&node.identity).get("/v1/actors").await.refused();
    check(&error, "unauthenticated", "there is no node alpha any more");
    house.close().await;
}

/// The whole life of a credential at the door: an actor that is an administrator by its SPIFFE ID.
#[tokio::test]
async fn an_actor_acts_with_its_identity_only_while_its_epoch_is_live() {
    let house = House::furnished_with(|config| {
        observe(config);
        config.admins = vec![SpiffeId::parse(OPERATOR).unwrap()];
    })
    .await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1", "w2"], Vec::new()).await;
    let mut clients = Vec::new();
    for id in ["operator", "worker"] {
        house.admin().post("/v1/actors", &actor(id)).await.ok();
        house.admin().post(&format!("/v1/actors/finance/{id}/resume"), &json!({})).await.ok();
        let bind = line.run().await;
        let (svid, identity) = line.identity(&house, &bind);
        clients.push((house.showing(&identity), bind, svid));
    }
    let [(operator, bound, svid), (worker, ..)] = &clients[..] else { panic!("two actors") };
    assert_eq!(svid.id.as_str(), OPERATOR);
    operator.post("/v1/actors", &actor("a-1")).await.ok();
    let entry = house.log().await.pop().unwrap();
    assert_eq!(entry["caller"], json!({ "svid": { "id": OPERATOR } }), "{entry}");
    let metrics = page(house.server.observed_at().unwrap(), "/metrics").await;
    assert_eq!(value(&metrics, "credence_connections{peer=\"workload\"}"), 0.0, "an administrator is none of them");
    let error = worker.post("/v1/actors", &actor("a-2")).await.refused();
    check(&error, "denied", "administrators; spiffe://test.internal/");
    let claims = svid.claims.as_ref().unwrap();
    let ask = json!({ "spiffe_id": OPERATOR, "epoch": claims.epoch, "binding": claims.binding });
    assert_eq!(worker.post("/v1/verify", &ask).await.ok()["live"], true);
    line.say(ended(held(bound), Vec::new())).await;
    line.heartbeat().await;
    for path in ["/v1/actors", "/v1/log"] {
        check(&operator.get(path).await.refused(), "stale", "is not live");
    }
    let verdict = worker.post("/v1/verify", &ask).await.ok();
    assert_eq!(verdict["live"], false, "{verdict}");
    house.close().await;
}
