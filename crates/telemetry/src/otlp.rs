//! What a process tells a collector of the operator's: traces and metrics, by OTLP over gRPC.
//!
//! It is off unless a collector was named. INVARIANT: nobody waits for the collector but the tasks here: what is told is
//! taken from a bounded queue, every call has a limit, and what cannot be told is dropped and counted.
//!
//! The protocol's messages are generated, and the exporter is our own: OpenTelemetry's SDK brings a second registry of metrics, a second
//! kind of span and its own threads, and would be told what is known already.

mod dial;
mod metrics;
mod settings;
#[cfg(test)]
mod tests;
mod traces;

pub use settings::{EVERY_SECS, File, Settings, SettingsError, SettingsFile};
pub use traces::BATCH_SPANS_MAX;

use crate::clock;
use crate::count::FAILURES;
use crate::door::Observed;
use crate::limit::Limit;
use crate::span::{self, Ended, Tracer};
use credence_wire::opentelemetry::common::v1::{AnyValue, KeyValue, any_value};
use credence_wire::opentelemetry::resource::v1::Resource;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How long the collector may take for an answer, in seconds.
const CALL_SECS_MAX: u64 = 10;
/// How long the end of a process may wait for the collector, in milliseconds.
const END_MS_MAX: u64 = 2_000;
/// How long the program that goes on may wait for it: nobody looks after leases meanwhile.
const HAND_OVER_MS_MAX: u64 = 100;
/// How often it is said at most that the collector cannot be told anything, in seconds.
const COMPLAIN_EVERY_SECS: u64 = 60;

/// The limits of this module.
pub static LIMITS: [&Limit; 1] = [&span::WAITING];

/// Who tells: what every collector tells processes apart by.
#[derive(Debug, Clone)]
pub struct Teller {
    /// Which program: `credence-server` or `credence-node`.
    pub service: &'static str,
    /// Which of them: the node, or the trust domain.
    pub instance: String,
}

/// An exporter that does not run yet, whose tracer can be handed out already.
#[derive(Debug)]
pub struct Export {
    tracer: Tracer,
    to: Option<(Settings, mpsc::Receiver<Ended>)>,
}

/// A running exporter, or none.
#[derive(Debug, Default)]
pub struct Exporter {
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Export {
    /// To the collector that was named, if one was.
    pub fn new(settings: Option<&Settings>) -> Self {
        let Some(settings) = settings else { return Self { tracer: Tracer::default(), to: None } };
        let (tracer, ended) = Tracer::new(settings.ratio);
        Self { tracer, to: Some((settings.clone(), ended)) }
    }

    /// What records spans.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Begins to tell: spans as they end, and what is observed every so often.
    pub fn start(self, teller: &Teller, observed: Arc<dyn Observed>) -> Exporter {
        let mut exporter = Exporter::default();
        if let Some((settings, ended)) = self.to {
            let collector = Collector::new(&settings, teller);
            exporter.tasks.spawn(traces::tell(collector.clone(), ended, exporter.ending.subscribe()));
            exporter.tasks.spawn(metrics::tell(collector, settings.every, observed, exporter.ending.subscribe()));
        }
        exporter
    }
}

impl Exporter {
    /// Tells what is left, if the collector takes it in time: the process ends.
    pub async fn end(self) {
        self.end_within(Duration::from_millis(END_MS_MAX)).await;
    }

    /// The same, but another program waits to go on.
    pub async fn hand_over(self) {
        self.end_within(Duration::from_millis(HAND_OVER_MS_MAX)).await;
    }

    async fn end_within(mut self, at_most: Duration) {
        self.ending.send_replace(true);
        let told = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(at_most, told).await.is_err() {
            tracing::warn!("the collector did not take everything in time");
        }
    }
}

/// The way to the collector. Clones share a connection, which is opened when it is needed and again when it broke.
#[derive(Debug, Clone)]
struct Collector {
    channel: Channel,
    resource: Resource,
    /// When the process began to count.
    since: SystemTime,
    /// When it was last said that something failed.
    complained: Arc<Mutex<Option<Instant>>>,
}

impl Collector {
    fn new(settings: &Settings, teller: &Teller) -> Self {
        let attributes = [
            ("service.name", teller.service.to_owned()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", teller.instance.clone()),
        ];
        let attributes = attributes.into_iter().map(|(key, value)| text(key, value)).collect();
        Self {
            channel: dial::channel(&settings.place),
            resource: Resource { attributes },
            since: clock::wall(),
            complained: Arc::default(),
        }
    }

    /// One call, within its time. A failure is counted, and said from time to time.
    async fn call<T>(&self, what: &'static str, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let answered = tokio::time::timeout(Duration::from_secs(CALL_SECS_MAX), call).await;
        let late = |_| Status::deadline_exceeded(format!("no answer within {CALL_SECS_MAX} s"));
        answered.map_err(late).flatten().inspect_err(|status| {
            FAILURES.fetch_add(1, Ordering::Relaxed);
            self.complain(what, status);
        })
    }

    fn complain(&self, what: &'static str, status: &Status) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| at.elapsed() >= Duration::from_secs(COMPLAIN_EVERY_SECS)) {
            *complained = Some(Instant::now());
            let why = innermost(status);
            tracing::warn!(what, %why, "the collector cannot be told; this is said once a minute at most");
        }
    }
}

/// The sentence that says what happened.
fn innermost(status: &Status) -> String {
    let mut cause = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text.escape_debug().to_string()
}

/// Whether the same call can succeed later (OTLP §Failures); what the connection itself says can.
fn may_succeed(status: &Status) -> bool {
    let is_transient = matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    );
    is_transient || std::error::Error::source(status).is_some()
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.to_owned(), value }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
