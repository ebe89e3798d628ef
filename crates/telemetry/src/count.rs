//! What became of what was told to collectors, since the process began.

use std::sync::atomic::{AtomicU64, Ordering};

/// Spans that a collector took.
pub(crate) static SPANS: AtomicU64 = AtomicU64::new(0);
/// Calls that failed.
pub(crate) static FAILURES: AtomicU64 = AtomicU64::new(0);

/// Name, help and value of each.
pub(crate) fn counts() -> [(&'static str, &'static str, u64); 2] {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    [
        ("otlp_spans", "Spans that the OTLP collector took", read(&SPANS)),
        ("otlp_failures", "Calls of the OTLP collector that failed", read(&FAILURES)),
    ]
}
