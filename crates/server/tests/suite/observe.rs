//! What the server tells of itself, and that the document says the same.

use crate::house::{House, actor};
use credence_server::config::Config;
use credence_telemetry::board::{limits_table, metrics_table};
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) async fn page(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.expect("a connection");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    text
}

async fn observed() -> (House, SocketAddr) {
    let house = House::furnished_with(observe).await;
    let addr = house.server.observed_at().expect("an address");
    (house, addr)
}

pub(crate) fn observe(config: &mut Config) {
    config.observe = Some(([127, 0, 0, 1], 0).into());
}

/// The value of the one sample that begins so.
pub(crate) fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("no {sample} in\n{page}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test]
async fn what_happens_is_counted_and_nobody_is_named() {
    let (house, addr) = observed().await;
    let before = page(addr, "/metrics").await;
    let too_large = vec![b' '; credence_server::limits::BODY_BYTES_MAX + 1];
    house.admin().post("/v1/actors", &actor("a-very-secret-name")).await.ok();
    house.admin().send("POST", "/v1/actors", &[("content-type", "application/json")], &too_large).await.refused();
    let after = page(addr, "/metrics").await;
    let grew = |sample: &str| value(&after, sample) - value(&before, sample);
    assert_eq!(value(&after, "credence_actors"), 1.0);
    assert_eq!(grew("credence_requests_total"), 2.0);
    assert_eq!(grew("credence_refusals_total{kind=\"limited\"}"), 1.0);
    assert_eq!(grew("credence_journal_entries_total"), 1.0);
    assert_eq!(grew("credence_journal_append_seconds_count"), 1.0);
    assert!(grew("credence_limit_hits_total{limit=\"body_bytes\"}") >= 1.0, "other tests of the process count too");
    assert!(value(&after, "credence_signatures_total{what=\"x509_svid\"}") >= 1.0, "the server's own");
    for name in ["a-very-secret-name", "finance", "expense-agent", "PRIVATE"] {
        assert!(!after.contains(name), "{name} is in the metrics");
    }
    house.close().await;
}

#[tokio::test]
async fn a_server_that_runs_is_ready_on_all_its_listeners() {
    let (house, addr) = observed().await;
    for path in ["/healthz", "/readyz"] {
        assert!(page(addr, path).await.starts_with("HTTP/1.1 200"), "{path}");
        assert_eq!(house.anonymous().get(path).await.status, 200);
    }
    house.close().await;
}

#[tokio::test]
async fn the_document_lists_every_metric_and_every_limit() {
    let (house, addr) = observed().await;
    let page = page(addr, "/metrics").await;
    check("server metrics", &metrics_table(&page));
    check("server limits", &limits_table(&credence_server::observe::limits()));
    house.close().await;
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
