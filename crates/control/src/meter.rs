//! What the cell measures: its queues, its turns, and how long the journal takes.

use credence_journal::{Fence, Index, Journal, JournalError, Recovered, StoreSnapshot};
use credence_telemetry::span::{SpanKind, Trace};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long after a failed append the journal counts as broken, unless one succeeds before, in milliseconds.
const BROKEN_MS: u64 = 5_000;

/// What the cell measures. Clones are the same meters.
#[derive(Debug, Clone)]
pub struct Meters {
    pub(crate) queued: Gauge,
    pub(crate) lanes: Gauge,
    pub(crate) longest: Gauge,
    pub(crate) waited: Histogram,
    pub(crate) batch: Histogram,
    pub(crate) append: Histogram,
    pub(crate) entries: Counter,
    pub(crate) failures: Counter,
    pub(crate) recorded: Gauge,
    standing: Arc<Mutex<Standing>>,
}

/// How the journal is.
#[derive(Debug, Default)]
struct Standing {
    /// Whether it was read to its end, which takes the fence.
    recovered: bool,
    /// The last append that failed, with none since that did not.
    failed: Option<(Instant, String)>,
    /// When the last append began and ended.
    append: Option<(Instant, Instant)>,
}

impl Default for Meters {
    fn default() -> Self {
        // From 10 µs to 10 s.
        let seconds = || exponential_buckets(0.000_01, 4.0, 11);
        Self {
            queued: Gauge::default(),
            lanes: Gauge::default(),
            longest: Gauge::default(),
            waited: Histogram::new(seconds()),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            append: Histogram::new(seconds()),
            entries: Counter::default(),
            failures: Counter::default(),
            recorded: Gauge::default(),
            standing: Arc::default(),
        }
    }
}

impl Meters {
    /// Puts them on a page.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("cell_queue_requests", "Requests that wait for the cell", self.queued.clone());
        registry.register("cell_queue_lanes", "Namespaces, nodes and readers that wait", self.lanes.clone());
        registry.register("cell_queue_longest", "Requests in the longest of their queues", self.longest.clone());
        registry.register_with_unit(
            "cell_wait",
            "How long a request waited until its turn began",
            Unit::Seconds,
            self.waited.clone(),
        );
        registry.register("cell_turn_requests", "Requests of a turn that share one append", self.batch.clone());
        registry.register_with_unit(
            "journal_append",
            "How long an append took until it was durable, fsync and all",
            Unit::Seconds,
            self.append.clone(),
        );
        registry.register("journal_entries", "Entries recorded since the process began", self.entries.clone());
        registry.register("journal_failures", "Appends that failed", self.failures.clone());
        registry.register("journal_last_index", "Index of the last recorded entry", self.recorded.clone());
    }
}

impl Meters {
    /// Whether the journal can be appended to, as far as is known, or why not.
    pub(crate) fn can_append(&self) -> Result<(), String> {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if !standing.recovered {
            return Err("the journal is not recovered, so its fence is not held".into());
        }
        match &standing.failed {
            Some((at, why)) if at.elapsed() < Duration::from_millis(BROKEN_MS) => {
                Err(format!("the journal could not be written: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// Records for every request that is traced how long its turn was, and the append that all of the turn share.
    pub(crate) fn trace(&self, traces: &[Trace], begun: Instant, failed: bool) {
        if !traces.iter().any(Trace::is_recorded) {
            return;
        }
        let ended = Instant::now();
        let append = self.standing.lock().unwrap_or_else(PoisonError::into_inner).append;
        for trace in traces {
            let mut turn = trace.span_from("cell.turn", SpanKind::Internal, begun);
            turn.set("credence.turn.requests", || traces.len() as u64);
            turn.fail_if(failed);
            // A turn in which everything was refused appends nothing.
            if let Some((from, to)) = append.filter(|(from, _)| *from >= begun) {
                turn.trace().record("journal.append", from, to);
            }
            turn.end_at(ended);
        }
    }

    fn note(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn depth(&self, queued: usize, lanes: usize, longest: usize) {
        for (gauge, number) in [(&self.queued, queued), (&self.lanes, lanes), (&self.longest, longest)] {
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}

/// A journal whose appends are measured.
pub(crate) struct Metered {
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) meters: Meters,
}

impl Journal for Metered {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        let recovered = self.journal.recover();
        self.meters.note(|standing| standing.recovered = recovered.is_ok());
        recovered
    }

    fn append(&mut self, fence: Fence, batch: &[Vec<u8>]) -> Result<Index, JournalError> {
        if batch.is_empty() {
            return self.journal.append(fence, batch);
        }
        let begun = Instant::now();
        let appended = self.journal.append(fence, batch);
        let ended = Instant::now();
        self.meters.append.observe((ended - begun).as_secs_f64());
        match &appended {
            Ok(last) => {
                self.meters.note(|standing| (standing.failed, standing.append) = (None, Some((begun, ended))));
                self.meters.entries.inc_by(batch.len() as u64);
                self.meters.recorded.set(i64::try_from(last.0).unwrap_or(i64::MAX));
            }
            Err(error) => {
                let failed = (ended, error.to_string());
                self.meters.note(|standing| (standing.failed, standing.append) = (Some(failed), Some((begun, ended))));
                self.meters.failures.inc();
            }
        }
        appended
    }

    fn begin_snapshot(&mut self, fence: Fence, upto: Index) -> Result<StoreSnapshot, JournalError> {
        self.journal.begin_snapshot(fence, upto)
    }

    fn read(&mut self, from: Index, limit: usize) -> Result<Vec<(Index, Vec<u8>)>, JournalError> {
        self.journal.read(from, limit)
    }
}
