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
