//! What nodes may do at most, and that every limit of the server has a test that reaches it.

use crate::house::actor;
use crate::node_client::{connect, ended, fresh_key, held, refusal};
use crate::observe::page;
use crate::strained::Strained;
use credence_credential::tls::LiveIdentity;
use credence_model::node::RESERVOIR_KEYS_MAX;
use credence_server::limits::{
    CHUNK_TIMEOUT_SECS, HELLO_TIMEOUT_SECS, REPORTS_WAITING_MAX, SEND_TIMEOUT_SECS, SILENT_LEASES,
};
use credence_server::observe::limits;
use credence_wire::node::{ArchiveChunk, AttestRequest, Bind, Heartbeat, KeyOffer, ReadArchiveRequest, from_node};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Every limit, and the test that reaches it and sees it counted.
const REACHED_BY: [(&str, &str); 26] = [
    ("cell_queue", "control/tests/suite/cell.rs::when_all_queues_are_full_the_longest_makes_room_for_a_new_one"),
    (
        "cell_namespace_queue",
        "control/tests/suite/cell.rs::beyond_its_queue_a_namespace_is_refused_and_told_when_to_come_again_and_others_are_served",
    ),
    ("node_directives", "control/tests/suite/streams.rs::a_node_that_does_not_read_is_cut_and_the_cell_goes_on"),
    ("connections", "server/tests/suite/rude.rs::a_connection_without_room_for_its_kind_is_closed"),
    (
        "peer_connections",
        "server/tests/suite/rude.rs::strangers_give_way_to_each_other_and_take_nothing_from_nodes_and_administrators",
    ),
    (
        "stranger_connections",
        "server/tests/suite/rude.rs::strangers_give_way_to_each_other_and_take_nothing_from_nodes_and_administrators",
    ),
    ("handshake_time", "server/tests/suite/rude.rs::who_connects_and_never_begins_a_handshake_is_cut"),
    ("head_time", "server/tests/suite/rude.rs::half_a_head_is_cut_as_the_first_and_as_a_later_one"),
    ("idle_time", "server/tests/suite/rude.rs::who_answers_pings_and_asks_no_more_is_let_go"),
    ("answer_time", "server/tests/suite/rude.rs::who_gives_its_answers_no_window_is_cut"),
    ("stranger_time", "server/tests/suite/rude.rs::a_stranger_does_not_stay_however_busy_it_is"),
    ("body_bytes", "server/tests/suite/observe.rs::what_happens_is_counted_and_nobody_is_named"),
    ("stranger_body_bytes", "server/tests/suite/rude.rs::the_body_of_a_stranger_is_small"),
    ("body_time", "server/tests/suite/rude.rs::half_a_body_is_refused_in_time_of_a_request_and_of_a_call"),
    ("node_questions", "server/tests/suite/limit.rs::a_node_that_does_not_read_is_asked_no_more_and_then_cut"),
    ("attestations", "server/tests/suite/limit.rs::attestations_are_paced"),
    ("archive_bytes", "server/tests/suite/limit.rs::an_archive_has_a_largest_size"),
    ("archive_time", "server/tests/suite/limit.rs::an_archive_that_stands_still_is_given_up_in_both_directions"),
    ("node_hello_time", "server/tests/suite/limit.rs::a_node_that_does_not_say_who_it_is_is_cut"),
    ("node_send_time", "server/tests/suite/limit.rs::a_node_that_does_not_read_is_asked_no_more_and_then_cut"),
    ("node_reports", "server/tests/suite/limit.rs::a_node_is_not_read_from_while_its_reports_wait"),
    ("node_silence", "server/tests/suite/limit.rs::a_node_that_says_nothing_for_two_leases_is_cut"),
    ("node_keys", "server/tests/suite/limit.rs::a_node_keeps_so_many_keys_ready_and_no_more"),
    ("otlp_spans", "telemetry/src/otlp/tests.rs::a_collector_that_is_away_or_silent_or_talks_nonsense_holds_up_nobody"),
    ("observe_connections", "telemetry/src/door.rs::of_too_many_connections_the_newest_is_closed_at_once"),
    ("observe_connection_time", "telemetry/src/door.rs::who_connects_and_says_nothing_is_cut"),
];

#[tokio::test]
async fn every_limit_that_is_shown_has_a_test_that_reaches_it() {
    let strained = Strained::open().await;
    let page = page(strained.house.server.observed_at().unwrap(), "/metrics").await;
    let name =
        |line: &str| line.strip_prefix("credence_limit{limit=\"")?.split_once('"').map(|(name, _)| name.to_owned());
    let shown: BTreeSet<_> = page.lines().filter_map(name).collect();
    let reached: BTreeSet<_> = REACHED_BY.iter().map(|(limit, _)| (*limit).to_owned()).collect();
    assert_eq!(shown, reached);
    assert_eq!((limits().len(), REACHED_BY.len()), (shown.len(), shown.len()));
    for (limit, test) in REACHED_BY {
        let (file, function) = test.split_once("::").unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, rest) = text.split_once(&format!("fn {function}()")).unwrap_or_else(|| panic!("there is no {test}"));
        let body = rest.split("\n}\n").next().unwrap();
        // The limits of telemetry are counted where they are, and have no other name there.
        let is_counted = file.starts_with("telemetry/") && (body.contains("LIMITS[") || body.contains(".hits()"));
        let counts = body.contains(limit) || is_counted;
        assert!(counts, "{test} does not look at the counter of {limit}");
    }
    strained.close().await;
}

/// An actor that runs at the node.
async fn bound(strained: &mut Strained) -> Bind {
    let admin = strained.house.admin();
    admin.post("/v1/actors", &actor("a-1")).await.ok();
    admin.post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    strained.line.run().await
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test]
async fn a_node_that_does_not_say_who_it_is_is_cut() {
    let mut strained = Strained::open().await;
    let before = strained.hits("node_hello_time").await;
    let mut silent = strained.node.open_silently(&strained.house).await;
    strained.pass(secs(HELLO_TIMEOUT_SECS)).await;
    let refused = silent.end().await;
    assert_eq!((refused.kind.as_str(), refused.field.as_str()), ("malformed", "hello"), "{refused:?}");
    assert_eq!(strained.hits("node_hello_time").await - before, 1.0);
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn a_node_that_says_nothing_for_two_leases_is_cut() {
    let mut strained = Strained::open().await;
    let before = strained.hits("node_silence").await;
    let lease_ms = strained.house.config().settings.lease_ms;
    strained.pass(Duration::from_millis(lease_ms * SILENT_LEASES)).await;
    let refused = strained.line.end().await;
    assert!(refused.message.contains("two leases"), "{refused:?}");
    assert_eq!(strained.hits("node_silence").await - before, 1.0);
    strained.line = strained.node.attach(&strained.house, &["w1"], Vec::new()).await;
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn a_node_that_does_not_read_is_asked_no_more_and_then_cut() {
    let mut strained = Strained::open().await;
    let bind = bound(&mut strained).await;
    let (unasked, unsent) = (strained.hits("node_questions").await, strained.hits("node_send_time").await);
    let mut asking = Vec::new();
    let mut ask = |body: Value| {
        let admin = strained.house.admin();
        asking.push(tokio::spawn(async move { admin.post("/v1/actors/finance/a-1/exec", &body).await }));
    };
    // These fill the window of the stream, and the others what is kept for it.
    let large = vec!["x".repeat(16_000); 20];
    (0..20).for_each(|_| ask(json!({ "command": large, "timeout_ms": 60_000 })));
    strained.pass(Duration::ZERO).await;
    // A queue can be full only because its turn has not come: it is when it is still full after everybody had theirs.
    let mut refused = unasked;
    while refused == unasked && strained.hits("node_send_time").await == unsent {
        (0..50).for_each(|_| ask(json!({ "command": ["true"], "timeout_ms": 60_000 })));
        strained.pass(Duration::ZERO).await;
        let before = strained.hits("node_questions").await;
        ask(json!({ "command": ["true"], "timeout_ms": 60_000 }));
        strained.pass(Duration::ZERO).await;
        refused = if strained.hits("node_questions").await > before { before } else { unasked };
    }
    assert!(strained.hits("node_questions").await > unasked);
    strained.pass(secs(SEND_TIMEOUT_SECS)).await;
    for asked in asking {
        // Unavailable, or a conflict if the actor was known to be lost before it was asked: none is kept waiting.
        asked.await.unwrap().refused();
    }
    assert_eq!(strained.hits("node_send_time").await - unsent, 1.0);
    strained.line = strained.node.attach(&strained.house, &["w1"], vec![held(&bind)]).await;
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn a_node_is_not_read_from_while_its_reports_wait() {
    let mut strained = Strained::open().await;
    let before = strained.hits("node_reports").await;
    while strained.hits("node_reports").await == before {
        for number in 0..4 * REPORTS_WAITING_MAX as u64 {
            strained.line.say(from_node::Message::Heartbeat(Heartbeat { number })).await;
        }
        for _ in 0..4 * REPORTS_WAITING_MAX {
            strained.line.hear().await;
        }
    }
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn a_node_keeps_so_many_keys_ready_and_no_more() {
    let mut strained = Strained::open().await;
    let before = strained.hits("node_keys").await;
    // Four were offered already.
    strained.line.offer(60).await;
    for _ in 1..RESERVOIR_KEYS_MAX / 64 {
        strained.line.offer(64).await;
    }
    strained.line.heartbeat().await;
    let ready = strained.house.admin().get("/v1/nodes/alpha").await.ok()["keys_ready"].clone();
    assert_eq!(ready, RESERVOIR_KEYS_MAX);
    strained.line.say(from_node::Message::KeyOffer(KeyOffer { csrs: vec![fresh_key().1] })).await;
    let refused = strained.line.hear_refused().await;
    assert_eq!((refused.kind.as_str(), refused.field.as_str()), ("limited", "key_offer.csrs"), "{refused:?}");
    assert_eq!(strained.hits("node_keys").await - before, 1.0);
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn attestations_are_paced() {
    let mut strained = Strained::open().await;
    let before = strained.hits("attestations").await;
    let client = connect(strained.house.server.addr(), strained.house.tls(&LiveIdentity::empty())).await;
    let refused = loop {
        let all = (0..300).map(|_| {
            let mut client = client.clone();
            let request = AttestRequest { node: "beta".into(), join_token: "none".into(), csr: Vec::new() };
            tokio::spawn(async move { refusal(&client.attest(request).await.unwrap_err()) })
        });
        let mut last = None;
        for asked in all.collect::<Vec<_>>() {
            let refused = asked.await.unwrap();
            if refused.kind != "malformed" {
                last = Some(refused);
            }
        }
        if let Some(refused) = last {
            break refused;
        }
    };
    assert_eq!((refused.kind.as_str(), refused.message.as_str()), ("unavailable", "too many nodes attest at once"));
    assert!(refused.retry_after_ms > 0, "{refused:?}");
    assert!(strained.hits("attestations").await > before);
    strained.serves().await;
    strained.close().await;
}

fn archive(bind: &Bind, bytes: usize) -> Vec<ArchiveChunk> {
    let chunk = |nth: usize| {
        let bytes = vec![0; (64 * 1024).min(bytes - nth * 64 * 1024)];
        ArchiveChunk { binding: bind.binding.clone(), epoch: bind.epoch, bytes }
    };
    (0..bytes.div_ceil(64 * 1024)).map(chunk).collect()
}

#[tokio::test]
async fn an_archive_has_a_largest_size() {
    let mut strained = Strained::open_with(|config| config.limits.archive_bytes = 100_000).await;
    let bind = bound(&mut strained).await;
    let before = strained.hits("archive_bytes").await;
    let mut client = strained.node.client(&strained.house).await;
    client.put_archive(tokio_stream::iter(archive(&bind, 64 * 1024))).await.unwrap();
    let refused = refusal(&client.put_archive(tokio_stream::iter(archive(&bind, 128 * 1024))).await.unwrap_err());
    assert!(refused.kind == "limited" && refused.message.contains("100000 bytes"), "{refused:?}");
    assert_eq!(strained.hits("archive_bytes").await - before, 1.0);
    let left = std::fs::read_dir(strained.house.config().data_dir.join("archives")).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn an_archive_that_stands_still_is_given_up_in_both_directions() {
    // Which also ends the connection of who does not read.
    let mut strained = Strained::open_with(|config| config.limits.answer_time = secs(3600)).await;
    let bind = bound(&mut strained).await;
    let before = strained.hits("archive_time").await;
    let mut client = strained.node.client(&strained.house).await;
    let (to, chunks) = mpsc::channel(1);
    to.send(archive(&bind, 1000).remove(0)).await.unwrap();
    let mut putting = client.clone();
    let put = tokio::spawn(async move { putting.put_archive(ReceiverStream::new(chunks)).await.map(drop) });
    strained.settles("credence_open_requests", |open| open == 2.0).await;
    strained.reaches("archive_time", before + 1.0, secs(CHUNK_TIMEOUT_SECS)).await;
    let refused = refusal(&put.await.unwrap().unwrap_err());
    assert!(refused.kind == "unavailable" && refused.message.contains("for 30 s"), "{refused:?}");
    assert_eq!(strained.hits("archive_time").await - before, 1.0);
    drop(to);
    // More than is kept anywhere on the way.
    let chunks = tokio_stream::iter(archive(&bind, 8 << 20));
    let digest = client.put_archive(chunks).await.unwrap().into_inner().digest;
    strained.line.say(ended(held(&bind), digest.clone())).await;
    strained.line.heartbeat().await;
    strained.house.admin().post("/v1/actors/finance/a-1/resume", &json!({})).await.ok();
    let bind = strained.line.run().await;
    let request = ReadArchiveRequest { binding: bind.binding.clone(), epoch: bind.epoch, digest };
    let unread = client.read_archive(request).await.unwrap();
    strained.reaches("archive_time", before + 2.0, secs(CHUNK_TIMEOUT_SECS)).await;
    drop(unread);
    strained.serves().await;
    strained.close().await;
}
