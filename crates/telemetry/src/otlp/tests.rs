//! An exporter against collectors as they should be and as they are: real sockets, and the generated service.

use super::metrics::read;
use super::{Export, Exporter, File, Settings, SettingsFile, Teller};
use crate::board::Board;
use crate::count::FAILURES;
use crate::door::{Answering, Observed};
use crate::limit::Limit;
use crate::span::{SpanKind, WAITING, WAITING_MAX};
use crate::trace::TraceContext;
use credence_wire::opentelemetry::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use credence_wire::opentelemetry::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use credence_wire::opentelemetry::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use credence_wire::opentelemetry::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use credence_wire::opentelemetry::metrics::v1::{Metric, metric, number_data_point};
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::{Request, Response, Status};

/// A collector that passes on what it is told, and answers so.
#[derive(Clone)]
struct Receiver {
    spans: mpsc::Sender<ExportTraceServiceRequest>,
    metrics: mpsc::Sender<ExportMetricsServiceRequest>,
    answer: Result<i64, tonic::Code>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.spans.try_send(request.into_inner()).expect("the test listens");
        let rejected_spans = self.answer.map_err(|code| Status::new(code, "as the test says"))?;
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans, ..Default::default() });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.try_send(request.into_inner()).expect("the test listens");
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

struct Page(String);

impl Observed for Page {
    fn metrics(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
    fn healthy(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async { Ok(String::new()) })
    }
    fn ready(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async { Ok(String::new()) })
    }
}

type Told = (mpsc::Receiver<ExportTraceServiceRequest>, mpsc::Receiver<ExportMetricsServiceRequest>);

fn receiver(answer: Result<i64, tonic::Code>) -> (tonic::transport::server::Router, Told) {
    let ((spans, told_spans), (metrics, told_metrics)) = (mpsc::channel(64), mpsc::channel(64));
    let receiver = Receiver { spans, metrics, answer };
    let router = tonic::transport::Server::builder().add_service(TraceServiceServer::new(receiver.clone()));
    (router.add_service(MetricsServiceServer::new(receiver)), (told_spans, told_metrics))
}

fn to(endpoint: String) -> Settings {
    let settings = File { endpoint: Some(endpoint), ..File::default() }.resolve().expect("an endpoint");
    settings.expect("a collector")
}

fn teller() -> Teller {
    Teller { service: "credence-test", instance: "one".to_owned() }
}

/// An exporter that was given so many spans of one request.
fn exporting(settings: &Settings, spans: usize) -> Exporter {
    let export = Export::new(Some(settings));
    let tracer = export.tracer();
    let exporter = export.start(&teller(), Arc::new(Page("# TYPE credence_up gauge\ncredence_up 1\n# EOF\n".into())));
    for _ in 0..spans {
        tracer.begin(Some(TraceContext::begin([7; 24])), "request", SpanKind::Server).set("actor", || "a/b");
    }
    exporter
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let addr = listener.local_addr().expect("an address");
    (listener, format!("http://localhost:{}", addr.port()))
}

#[tokio::test]
async fn spans_and_metrics_reach_a_collector_with_who_tells() {
    let (listener, endpoint) = listener().await;
    let (router, (mut spans, mut metrics)) = receiver(Ok(0));
    let serving = tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    exporting(&to(endpoint), 2).end().await;
    let resource = spans.recv().await.expect("told").resource_spans.remove(0);
    let who: Vec<_> = resource.resource.expect("a resource").attributes.into_iter().map(|one| one.key).collect();
    assert_eq!(who, ["service.name", "service.version", "service.instance.id"]);
    let span = &resource.scope_spans[0].spans[0];
    assert_eq!((resource.scope_spans[0].spans.len(), span.name.as_str()), (2, "request"));
    let parent = TraceContext::begin([7; 24]).ids();
    assert_eq!((span.trace_id.as_slice(), span.parent_span_id.as_slice()), (&parent.0[..], &parent.1[..]));
    assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano);
    let metric = &metrics.recv().await.expect("told").resource_metrics[0].scope_metrics[0].metrics[0];
    assert_eq!(metric.name, "credence_up");
    serving.abort();
}

#[tokio::test]
async fn a_collector_can_be_behind_a_socket() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otlp.sock");
    let (router, (mut spans, _metrics)) = receiver(Ok(0));
    let incoming = UnixListenerStream::new(UnixListener::bind(&path).expect("a socket"));
    let serving = tokio::spawn(router.serve_with_incoming(incoming));
    exporting(&to(format!("unix:{}", path.display())), 1).end().await;
    assert!(spans.recv().await.is_some());
    serving.abort();
}

#[tokio::test]
async fn what_a_collector_does_not_want_is_dropped_and_counted() {
    // It wants none of it, or all but three.
    for (answer, dropped) in [(Err(tonic::Code::InvalidArgument), 5), (Ok(3), 3)] {
        let (listener, endpoint) = listener().await;
        let (router, (mut spans, _metrics)) = receiver(answer);
        let serving = tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        let before = WAITING.hits();
        exporting(&to(endpoint), 5).end().await;
        assert!(WAITING.hits() >= before + dropped, "{answer:?}");
        assert!(spans.recv().await.is_some() && spans.try_recv().is_err(), "it is not asked again");
        serving.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_or_silent_or_talks_nonsense_holds_up_nobody() {
    let (silent, silent_at) = listener().await;
    let (nonsense, nonsense_at) = listener().await;
    let talking = tokio::spawn(async move {
        loop {
            let (mut stream, _) = nonsense.accept().await.expect("a connection");
            // It may be gone before it was told everything.
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await;
        }
    });
    let (gone, gone_at) = listener().await;
    drop(gone);
    for endpoint in [silent_at, nonsense_at, gone_at] {
        let (failures, dropped) = (FAILURES.load(Ordering::Relaxed), WAITING.hits());
        // All at once: nobody waits here, and what has no room is counted.
        let exporter = exporting(&to(endpoint.clone()), WAITING_MAX + 10);
        assert!(WAITING.hits() >= dropped + 10, "{endpoint}");
        // No call is waited for without end.
        while FAILURES.load(Ordering::Relaxed) == failures {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        exporter.end().await;
    }
    drop(silent);
    talking.abort();
}

#[test]
fn who_is_told_in_plain_text_is_on_this_machine() {
    for good in ["http://127.0.0.1:4317", "http://[::1]:4317", "http://localhost", "http://127.9.9.9:1/", "unix:/a/b"] {
        to(good.to_owned());
    }
    for (wrong, why) in [
        ("http://10.0.0.1:4317", "not a loopback address"),
        ("http://collector.example:4317", "not a loopback address"),
        ("http://localhost.example:4317", "not a loopback address"),
        ("http://0.0.0.0:4317", "not a loopback address"),
        ("http://user@127.0.0.1:4317", "no endpoint"),
        ("http://127.0.0.1@example.org:4317", "no endpoint"),
        ("https://collector.example:4317", "needs the ca"),
        ("http://127.0.0.1:4317/v1/traces", "has a path"),
        ("127.0.0.1:4317", "no endpoint"),
        ("unix:relative", "no endpoint"),
        ("ftp://127.0.0.1", "no endpoint"),
        ("", "no endpoint"),
    ] {
        let error = File { endpoint: Some(wrong.to_owned()), ..File::default() }.resolve().expect_err(wrong);
        assert!(error.to_string().contains(why) && error.field == "otlp.endpoint", "{wrong}: {error}");
    }
}

#[test]
fn what_else_is_typed_is_checked_and_means_nothing_alone() {
    let endpoint = || Some("http://127.0.0.1".to_owned());
    for (file, field) in [
        (File { ratio: Some(0.5), ..File::default() }, "otlp.endpoint"),
        (File { endpoint: endpoint(), ratio: Some(1.5), ..File::default() }, "otlp.ratio"),
        (File { endpoint: endpoint(), ratio: Some(f64::NAN), ..File::default() }, "otlp.ratio"),
        (File { endpoint: endpoint(), every_secs: Some(0), ..File::default() }, "otlp.every_secs"),
        (File { endpoint: endpoint(), ca: Some("/nowhere".into()), ..File::default() }, "otlp.ca"),
    ] {
        assert_eq!(file.clone().resolve().expect_err(field).field, field, "{file:?}");
    }
    assert_eq!(File::default().resolve().expect("nothing is wrong with nothing"), None);
}

#[test]
fn a_configuration_names_the_endpoint_alone_or_in_a_table() {
    #[derive(serde::Deserialize)]
    struct Config {
        otlp: SettingsFile,
    }
    let read = |text: &str| toml::from_str::<Config>(text).map(|config| config.otlp.0);
    let alone = read("otlp = 'unix:/a'").expect("a text");
    assert_eq!(alone, File { endpoint: Some("unix:/a".into()), ..File::default() });
    let table = read("[otlp]\nendpoint = 'unix:/a'\nratio = 0.25\nevery_secs = 5").expect("a table");
    assert_eq!(table, File { ratio: Some(0.25), every_secs: Some(5), ..alone });
    for wrong in ["otlp = 7", "otlp = { endpont = 'unix:/a' }"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

fn sample(metrics: &[Metric], name: &str) -> metric::Data {
    let metric = metrics.iter().find(|metric| metric.name == name);
    metric.unwrap_or_else(|| panic!("no {name} in {metrics:?}")).data.clone().expect("data")
}

#[test]
fn every_metric_of_the_page_is_told_as_what_it_is() {
    static DOORS: Limit = Limit::new("told_doors", 2, "doors", "the third waits");
    let mut board = Board::new(vec![&DOORS]);
    let took = Histogram::new([0.5, 2.0]);
    [0.25, 0.25, 1.0, 8.0].into_iter().for_each(|seconds| took.observe(seconds));
    board.registry().register("took_seconds", "How long it took", took);
    DOORS.hit();
    let metrics = read(&board.text().expect("a text"), 1, 2);
    let metric::Data::Sum(hits) = sample(&metrics, "credence_limit_hits_total") else { panic!("not a sum") };
    let point = &hits.data_points[0];
    assert_eq!((point.value, point.start_time_unix_nano), (Some(number_data_point::Value::AsInt(1)), 1));
    assert_eq!(point.attributes[0].key, "limit");
    assert!(hits.is_monotonic);
    let metric::Data::Gauge(limit) = sample(&metrics, "credence_limit") else { panic!("not a gauge") };
    let labels: Vec<_> = limit.data_points[0].attributes.iter().map(|label| label.key.as_str()).collect();
    assert_eq!(labels, ["limit", "unit"]);
    let metric::Data::Histogram(took) = sample(&metrics, "credence_took_seconds") else { panic!("no histogram") };
    let point = &took.data_points[0];
    assert_eq!((&point.explicit_bounds[..], &point.bucket_counts[..]), (&[0.5, 2.0][..], &[2, 1, 1][..]));
    assert_eq!((point.count, point.sum), (4, Some(9.5)));
}
