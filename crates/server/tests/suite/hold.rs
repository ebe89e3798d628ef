//! A server that is older than what it has given out finds out, says so, and gives nothing out until it is released.

use crate::house::{House, actor, config};
use crate::node_client::{Node, held};
use credence_credential::pem::{self, Label};
use credence_model::time::Timestamp;
use credence_server::backup::{RESTORED, back_up, restore};
use credence_server::config::Config;
use serde_json::{Value, json};
use std::path::Path;

/// Leases that a test can wait for.
fn short(config: &mut Config) {
    config.settings.lease_ms = 4_000;
    config.settings.heartbeat_ms = 1_000;
    config.settings.clock_margin_ms = 10;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => {
                std::fs::copy(entry.path(), target).unwrap();
            }
            _ => {}
        }
    }
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
}

/// Goes back to what the directory was when `earlier` was copied, and starts with short leases.
async fn go_back(house: House, earlier: &Path) -> House {
    let (mut config, dir) = house.leave().await;
    std::fs::remove_dir_all(&config.data_dir).unwrap();
    copy(earlier, &config.data_dir);
    short(&mut config);
    House::enter(dir, config).await
}

/// Asks until it is granted: leases end by themselves. Answers how often it was refused, and the answer.
async fn released(house: &House) -> (u32, Value) {
    for refused in 0.. {
        let reply = house.admin().post("/v1/hold/release", &json!({ "reason": "drill" })).await;
        if reply.status == 200 {
            return (refused, reply.body);
        }
        let refusal = reply.refused();
        assert!(refusal["message"].as_str().unwrap().contains("leases from before"), "{refusal}");
        // The end of a lease may be recorded or not; the next entry or the time that was told, whatever is sooner.
        let (from, wait_ms) = (house.last_index().await + 1, &refusal["retry_after_ms"]);
        house.admin().get(&format!("/v1/log?from={from}&wait_ms={wait_ms}")).await.ok();
    }
    unreachable!()
}

#[tokio::test]
async fn a_server_whose_disk_went_back_is_held_by_the_first_node_that_has_seen_more() {
    let house = House::furnished_with(short).await;
    let node = Node::join(&house, "alpha").await;
    let other = Node::join(&house, "beta").await;
    house.admin().post("/v1/actors", &actor("a-1")).await.ok();
    // The copy of a virtual machine, say: taken, and later put back.
    let (config, dir) = house.leave().await;
    let earlier = dir.path().join("earlier");
    copy(&config.data_dir, &earlier);
    let house = House::enter(dir, config).await;
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let bind = line.run().await;
    let mark = line.mark.clone().expect("a mark");
    let certificate = pem::write(Label::Certificate, &bind.x509_svid[0]).to_string();

    let house = go_back(house, &earlier).await;
    // It goes on unknowing, and records more than the node has seen: numbers alone tell nothing.
    for n in 0..20 {
        house.admin().post("/v1/actors", &actor(&format!("b-{n}"))).await.ok();
    }
    assert!(house.last_index().await > mark.index);
    let refused = node.open_showing(&house, &["w1"], vec![held(&bind)], Some(mark.clone())).await.end().await;
    let seen = format!("node alpha has seen journal entry {} and epoch 1", mark.index);
    assert!(refused.kind == "unavailable" && refused.message.contains(&seen), "{refused:?}");
    assert!(refused.hint.contains("credence release"), "{refused:?}");

    // Everybody is told the same, and nothing is ready.
    let refused = other.open(&house, &["w1"], Vec::new()).await.end().await;
    assert!(refused.message.contains(&seen), "{refused:?}");
    let refused = house.refuses("POST", "/v1/actors", &actor("c")).await;
    assert!(refused["message"].as_str().unwrap().contains(&seen), "{refused}");
    let ready = house.anonymous().get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.refused()["message"].as_str().unwrap().contains(&seen));
    let verdict = house.admin().post("/v1/verify", &json!({ "x509_svid_pem": certificate })).await.ok();
    assert_eq!(verdict["live"], false);
    assert!(verdict["reason"].as_str().unwrap().contains("held"), "{verdict}");
    // A restart changes nothing about that.
    let house = house.restart().await;
    let hold = house.admin().get("/v1/hold").await.ok();
    assert_eq!(
        (&hold["held"], &hold["seen"]["epoch"], &hold["seen_by"]),
        (&json!(true), &json!(1), &json!("node alpha"))
    );

    let (_, hold) = released(&house).await;
    let floor = hold["epoch_floor"].as_u64().unwrap();
    assert!(hold["held"] == false && floor > 1_000_000, "{hold}");
    assert_eq!(house.anonymous().get("/readyz").await.status, 200);
    // The same mark again: it was decided on. The actor gets an epoch that nobody has seen.
    let mut line = node.open_showing(&house, &["w1"], vec![held(&bind)], Some(mark)).await;
    line.settle().await;
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let again = line.run().await;
    assert_eq!(again.epoch, floor + 1);
    let verdict = house.admin().post("/v1/verify", &json!({ "x509_svid_pem": certificate })).await.ok();
    assert!(verdict["reason"].as_str().unwrap().contains("epoch 1 is over"), "{verdict}");
    let invariants = house.admin().get("/v1/invariants").await.ok();
    assert!(invariants["items"].as_array().unwrap().iter().all(|item| item["holds"] == true), "{invariants}");
    house.close().await;
}

#[tokio::test]
async fn what_anybody_merely_claims_holds_nobody() {
    let house = House::furnished_with(short).await;
    let node = Node::join(&house, "alpha").await;
    let line = node.attach(&house, &["w1"], Vec::new()).await;
    let mut mark = line.mark.clone().expect("a mark");
    mark.index += 1_000_000;
    node.open_showing(&house, &["w1"], Vec::new(), Some(mark)).await.settle().await;
    let claimed = json!({
        "spiffe_id": "spiffe://test.internal/ns/finance/agent/expense-agent/actor/a-1",
        "epoch": 99,
        "binding": "01arz3ndektsv4rrffq69g5fav",
    });
    assert_eq!(house.admin().post("/v1/verify", &claimed).await.ok()["live"], false);
    assert_eq!(house.admin().get("/v1/hold").await.ok()["held"], false);
    let refused = house.refuses("POST", "/v1/hold/release", &json!({})).await;
    assert_eq!(refused["kind"], "conflict");
    house.close().await;
}

#[tokio::test]
async fn a_genuine_credential_that_the_server_does_not_know_of_holds_it() {
    let house = House::furnished_with(short).await;
    let node = Node::join(&house, "alpha").await;
    house.admin().post("/v1/actors", &actor("a-1")).await.ok();
    let (config, dir) = house.leave().await;
    let earlier = dir.path().join("earlier");
    copy(&config.data_dir, &earlier);
    let house = House::enter(dir, config).await;
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let certificate = pem::write(Label::Certificate, &line.run().await.x509_svid[0]).to_string();
    let house = go_back(house, &earlier).await;
    assert_eq!(house.admin().get("/v1/hold").await.ok()["held"], false);
    let verdict = house.admin().post("/v1/verify", &json!({ "x509_svid_pem": certificate })).await.ok();
    assert!(verdict["reason"].as_str().unwrap().contains("epoch 1 is newer than 0"), "{verdict}");
    let hold = house.admin().get("/v1/hold").await.ok();
    assert_eq!((&hold["held"], &hold["seen"]["epoch"]), (&json!(true), &json!(1)), "{hold}");
    released(&house).await;
    let verdict = house.admin().post("/v1/verify", &json!({ "x509_svid_pem": certificate })).await.ok();
    assert!(verdict["reason"].as_str().unwrap().contains("from before this server was restored"), "{verdict}");
    assert_eq!(house.admin().get("/v1/hold").await.ok()["held"], false);
    house.close().await;
}

#[tokio::test]
async fn a_restored_server_is_held_from_its_first_moment_until_it_is_released() {
    let house = House::furnished_with(short).await;
    let node = Node::join(&house, "alpha").await;
    house.admin().post("/v1/actors", &actor("a-1")).await.ok();
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    let data_dir = house.config().data_dir.clone();
    let backup = data_dir.with_file_name("backup");
    back_up(&data_dir, &backup, true, Timestamp(1)).unwrap();
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let bind = line.run().await;
    let (_, dir) = house.leave().await;

    let restored = dir.path().join("restored");
    let report = restore(&backup, &restored, None).unwrap();
    let mut config = config(&restored);
    short(&mut config);
    let house = House::enter(dir, config).await;
    assert!(!restored.join(RESTORED).exists(), "it is recorded now");
    let reason = format!("it was restored from a backup that ends at journal entry {}", report.last_index);
    let hold = house.admin().get("/v1/hold").await.ok();
    assert_eq!((&hold["held"], &hold["reason"]), (&json!(true), &json!(reason)), "{hold}");
    let refused = node.open_showing(&house, &["w1"], vec![held(&bind)], line.mark.clone()).await.end().await;
    assert!(refused.message.contains(&reason) && refused.message.contains("epoch 1"), "{refused:?}");
    let house = house.restart().await;
    let (_, hold) = released(&house).await;
    let mut line = node.open_showing(&house, &["w1"], vec![held(&bind)], line.mark.clone()).await;
    line.settle().await;
    house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    assert_eq!(line.run().await.epoch, hold["epoch_floor"].as_u64().unwrap() + 1);
    house.close().await;
}

#[tokio::test]
async fn a_node_that_renewed_itself_in_the_time_that_is_lost_is_known_after_the_release() {
    let house = House::furnished_with(short).await;
    let mut node = Node::join(&house, "alpha").await;
    let data_dir = house.config().data_dir.clone();
    let backup = data_dir.with_file_name("backup");
    back_up(&data_dir, &backup, true, Timestamp(1)).unwrap();
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    node.identity = line.renew_node().await;
    let late = Node::join(&house, "late").await;
    let (_, dir) = house.leave().await;
    let restored = dir.path().join("restored");
    restore(&backup, &restored, None).unwrap();
    let mut config = config(&restored);
    short(&mut config);
    let house = House::enter(dir, config).await;
    let refused = node.refused(&house).await;
    assert!(refused.message.contains("held"), "{refused:?}");
    released(&house).await;
    node.open(&house, &["w1"], Vec::new()).await.settle().await;
    let refused = late.refused(&house).await;
    assert!(refused.message.contains("there is no node late"), "{refused:?}");
    house.close().await;
}
