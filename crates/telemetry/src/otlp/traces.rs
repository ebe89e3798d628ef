//! Spans, as they end, in batches.

use super::{Collector, may_succeed, nanos, text};
use crate::count::SPANS;
use crate::span::{Ended, SpanKind, Value, WAITING};
use credence_wire::opentelemetry::collector::trace::v1::ExportTraceServiceRequest;
use credence_wire::opentelemetry::collector::trace::v1::trace_service_client::TraceServiceClient;
use credence_wire::opentelemetry::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use credence_wire::opentelemetry::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Most spans in one call.
pub const BATCH_SPANS_MAX: usize = 512;
/// How long a span waits for others that go with it, in milliseconds.
const LINGER_MS: u64 = 1_000;
/// The first pause before a call is made again, and the longest, in milliseconds.
const PAUSE_MS: u64 = 1_000;
const PAUSE_MS_MAX: u64 = 30_000;

/// Tells every span, until the end and then what is left.
pub(super) async fn tell(collector: Collector, mut ended: mpsc::Receiver<Ended>, mut ending: watch::Receiver<bool>) {
    let mut client = TraceServiceClient::new(collector.channel.clone());
    loop {
        let batch = gather(&mut ended, &mut ending).await;
        if batch.is_empty() {
            return;
        }
        let number = batch.len() as u64;
        let request = ExportTraceServiceRequest { resource_spans: vec![told(&collector, batch)] };
        let mut pause_ms = PAUSE_MS;
        loop {
            let answered = collector.call("traces", client.export(request.clone())).await;
            match answered {
                Ok(answer) => {
                    let refused = answer.into_inner().partial_success.map_or(0, |partial| partial.rejected_spans);
                    let refused = u64::try_from(refused).unwrap_or_default().min(number);
                    WAITING.hit_by(refused);
                    SPANS.fetch_add(number - refused, Ordering::Relaxed);
                    break;
                }
                // Meanwhile the queue fills, and what is too much for it is dropped there.
                Err(status) if may_succeed(&status) && !*ending.borrow() => {
                    let pause = tokio::time::sleep(Duration::from_millis(pause_ms));
                    tokio::select! {
                        () = pause => {}
                        _ = ending.changed() => {}
                    }
                    pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
                }
                Err(_) => {
                    WAITING.hit_by(number);
                    break;
                }
            }
        }
    }
}

/// The next spans; none at the end. At the end nobody lingers, and no more are taken into the queue.
async fn gather(ended: &mut mpsc::Receiver<Ended>, ending: &mut watch::Receiver<bool>) -> Vec<Ended> {
    let mut batch = Vec::new();
    let mut until = None;
    while batch.len() < BATCH_SPANS_MAX {
        if *ending.borrow_and_update() {
            ended.close();
            ended.recv_many(&mut batch, BATCH_SPANS_MAX).await;
            break;
        }
        let room = BATCH_SPANS_MAX - batch.len();
        tokio::select! {
            more = ended.recv_many(&mut batch, room) => if more == 0 { break },
            () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => break,
            told = ending.changed() => if told.is_err() { return Vec::new() },
        }
        until.get_or_insert_with(|| Instant::now() + Duration::from_millis(LINGER_MS));
    }
    batch
}

fn told(collector: &Collector, batch: Vec<Ended>) -> ResourceSpans {
    let scope = InstrumentationScope { name: "credence".to_owned(), ..InstrumentationScope::default() };
    let spans = batch.into_iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    ResourceSpans { resource: Some(collector.resource.clone()), scope_spans, ..ResourceSpans::default() }
}

fn span(ended: Ended) -> Span {
    let (trace, own) = ended.context.ids();
    let kind = match ended.kind {
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
    };
    let failed = || Status { code: status::StatusCode::Error.into(), ..Status::default() };
    Span {
        trace_id: trace.to_vec(),
        span_id: own.to_vec(),
        parent_span_id: ended.parent.map(Vec::from).unwrap_or_default(),
        flags: 1,
        name: ended.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(ended.at),
        end_time_unix_nano: nanos(ended.at + ended.took),
        attributes: ended.attributes.into_iter().map(attribute).collect(),
        status: ended.failed.then(failed),
        ..Span::default()
    }
}

fn attribute((key, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(value) => text(key, value),
        Value::Number(number) => {
            KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(any_value::Value::IntValue(number)) }) }
        }
    }
}
