use super::{Watched, limits};
use crate::clock::MonoClock;
use crate::core::MonoMs;
use crate::meter::Meters;
use credence_telemetry::board::{limits_table, metrics_table};
use credence_telemetry::door::Observed as _;
use std::path::Path;
use tokio::sync::watch;

#[tokio::test]
async fn a_node_is_ready_while_it_is_connected_and_its_lease_is_fresh() {
    let (connected, is_connected) = watch::channel(false);
    let (meters, clock) = (Meters::default(), MonoClock::start());
    let node = Watched::new(meters.clone(), is_connected);
    let why = node.ready().await.expect_err("not connected");
    assert!(why.contains("not connected"), "{why}");
    assert!(node.healthy().await.is_ok(), "a server that is away is no reason to restart the node");
    connected.send_replace(true);
    meters.stepped(clock, true, 3, Some(MonoMs(clock.now().0 + 60_000)));
    assert!(node.ready().await.expect("ready").contains("the lease is good for"));
    let page = node.metrics().await.expect("a page");
    assert!(page.contains("credence_node_connected 1\n") && page.contains("credence_node_bindings 3\n"), "{page}");
    meters.stepped(clock, true, 3, Some(clock.now()));
    assert_eq!(node.ready().await.expect_err("stale"), "the node's lease is over");
    drop(connected);
    assert!(node.healthy().await.is_err(), "without its hub it is nothing");
}

#[tokio::test]
async fn the_document_lists_every_metric_and_every_limit() {
    let (_connected, is_connected) = watch::channel(false);
    let page = Watched::new(Meters::default(), is_connected).metrics().await.expect("a page");
    check("node metrics", &metrics_table(&page));
    check("node limits", &limits_table(&limits()));
}

/// Compares a table of `docs/observing.md`; `CREDENCE_GOLDEN=accept` takes a change over.
#[expect(clippy::disallowed_methods, reason = "a test may be told to accept what it sees")]
fn check(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/observing.md");
    let document = std::fs::read_to_string(&path).expect("the document");
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (head, rest) = document.split_once(&begin).expect("the table has its place");
    let (found, tail) = rest.split_once(&end).expect("the table has an end");
    if std::env::var("CREDENCE_GOLDEN").is_ok_and(|value| value == "accept") {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).expect("written");
        return;
    }
    assert!(found == table, "{name} of docs/observing.md differs; CREDENCE_GOLDEN=accept takes this over:\n{table}");
}

/// Where each limit is reached: file and test. The test names the limit, because it asserts that its counter rose.
const REACHED: [(&str, &str, &str); 32] = [
    ("gateway_body", "crates/node/src/endpoint/authorization/tests.rs", "a_body_is_whole_and_short_and_plain_json"),
    ("gateway_batch", "crates/node/src/endpoint/authorization/tests.rs", "each_call_of_a_batch_is_a_question"),
    ("server_messages", "crates/node/src/hub/tests.rs", "a_stream_that_is_not_read_is_cut"),
    (
        "server_questions",
        "crates/node/src/hub/tests.rs",
        "a_node_answers_so_many_questions_at_once_and_asks_for_patience_beyond_that",
    ),
    (
        "server_tokens",
        "crates/node/src/hub/tests.rs",
        "so_many_tokens_are_asked_of_the_server_at_once_and_whoever_comes_then_is_to_come_again",
    ),
    (
        "server_programs",
        "crates/node/src/hub/tests.rs",
        "so_many_programs_wait_for_their_binding_at_once_and_whoever_comes_then_is_to_come_again",
    ),
    (
        "server_decisions",
        "crates/node/src/hub/tests.rs",
        "so_many_decisions_are_asked_of_the_server_at_once_and_whoever_comes_then_is_to_come_again",
    ),
    ("permissions_told", "crates/node/src/hub/tests.rs", "a_stream_that_tells_more_of_permissions_than_is_kept_is_cut"),
    (
        "decisions_to_record",
        "crates/node/src/judge/tests.rs",
        "what_has_to_be_recorded_is_not_answered_when_there_is_no_room_for_it",
    ),
    (
        "server_decision_time",
        "crates/node/src/judge/tests.rs",
        "a_control_plane_that_does_not_decide_is_not_waited_for_without_end",
    ),
    (
        "actor_decisions",
        "crates/node/src/judge/tests.rs",
        "of_too_many_questions_of_an_actor_the_further_ones_wait_even_if_nobody_waits_for_those_before",
    ),
    ("hub_events", "crates/node/src/hub/tests.rs", "whoever_has_an_event_for_a_hub_that_does_not_keep_up_waits"),
    ("node_bindings", "crates/node/src/core/tests/limits.rs", "a_node_that_holds_as_many_bindings_as_it_may_says_so"),
    ("node_ends", "crates/node/src/core/tests/limits.rs", "of_too_many_ends_that_nobody_heard_the_oldest_is_forgotten"),
    ("actor_connections", "crates/node/tests/workload.rs", "an_actor_has_so_many_connections_and_no_more"),
    ("stranger_connections", "crates/node/tests/workload.rs", "strangers_are_told_no_a_few_at_a_time"),
    ("stranger_time", "crates/node/tests/limits.rs", "a_stranger_who_stays_is_cut"),
    ("actor_first_time", "crates/node/tests/limits.rs", "whoever_connects_and_never_asks_is_cut_soon_whatever_it_says"),
    ("actor_idle_time", "crates/node/tests/limits.rs", "whoever_asked_once_and_then_nothing_more_is_closed_later"),
    ("actor_head_time", "crates/node/tests/limits.rs", "whoever_begins_a_request_and_does_not_end_it_is_cut"),
    ("actor_write_time", "crates/node/tests/limits.rs", "whoever_asks_on_and_on_and_never_reads_is_cut"),
    ("actor_tokens", "crates/node/tests/limits.rs", "of_too_many_tokens_at_once_the_further_ones_wait"),
    ("actor_token_time", "crates/node/tests/limits.rs", "a_token_that_does_not_come_is_not_waited_for_without_end"),
    ("actor_orders", "crates/testkit/tests/driver.rs", "orders_to_a_tree_that_come_all_at_once_wait_for_their_turn"),
    (
        "actor_commands",
        "crates/testkit/tests/driver.rs",
        "only_so_many_commands_run_at_once_and_they_end_with_the_tree",
    ),
    (
        "local_connections",
        "crates/node/src/local/tests.rs",
        "so_many_local_programs_are_connected_and_further_ones_wait",
    ),
    ("local_begin_time", "crates/node/src/local/tests.rs", "whoever_calls_and_does_not_begin_is_refused_and_cut"),
    ("local_refused_time", "crates/node/src/local/tests.rs", "whoever_connects_and_does_not_call_is_cut"),
    ("archive_transfer_time", "crates/node/src/transfer.rs", "a_transfer_that_does_not_end_fails"),
    (
        "otlp_spans",
        "crates/telemetry/src/otlp/tests.rs",
        "a_collector_that_is_away_or_silent_or_talks_nonsense_holds_up_nobody",
    ),
    ("observe_connections", "crates/telemetry/src/door.rs", "of_too_many_connections_the_newest_is_closed_at_once"),
    ("observe_connection_time", "crates/telemetry/src/door.rs", "who_connects_and_says_nothing_is_cut"),
];

#[test]
fn every_limit_has_a_test_that_reaches_it() {
    let mut limits: Vec<_> = limits().iter().map(|limit| limit.name).collect();
    let mut reached: Vec<_> = REACHED.iter().map(|(limit, ..)| *limit).collect();
    limits.sort_unstable();
    reached.sort_unstable();
    assert_eq!(limits, reached, "a limit without a test, or a test without a limit");
    for (limit, file, test) in REACHED {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file));
        let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
        let (_, body) = text.split_once(&format!("fn {test}()")).unwrap_or_else(|| panic!("{file} has no test {test}"));
        let body = body.split_once("\n}\n").map_or(body, |(body, _)| body);
        // The limits of telemetry are counted where they are, and have no other name there.
        let is_counted = file.starts_with("crates/telemetry/") && body.contains(".hits()");
        let is_named = body.contains(&format!("\"{limit}\"")) || is_counted;
        assert!(is_named, "{test} does not look at the counter of {limit}");
    }
}
