//! What is measured, and how it is told.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its name, as given with `--row`.
    pub row: String,
    /// What was measured.
    pub what: String,
    /// The value, in `unit`.
    pub value: f64,
    /// Unit of the value.
    pub unit: String,
    /// The promised value, if the promise is an absolute one.
    pub promised: Option<Promise>,
    /// The physical limit of the same work, measured in the same run.
    pub limit: Option<Limit>,
}

/// What `SPECIFICATION.md` promises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// The value or ratio is at least this.
    AtLeast(f64),
    /// The value or ratio is at most this.
    AtMost(f64),
}

impl Promise {
    /// Whether a value keeps the promise.
    pub fn is_kept_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// The physical limit of the same work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// What it is.
    pub what: String,
    /// The value, in the unit of the row.
    pub value: f64,
    /// Our value divided by it.
    pub ratio: f64,
    /// The promised ratio, if one is promised.
    pub promised: Option<Promise>,
}

impl Measured {
    /// A value without a limit.
    pub fn new(row: &str, what: impl Into<String>, value: f64, unit: &str, promised: Option<Promise>) -> Self {
        Self { row: row.into(), what: what.into(), value, unit: unit.into(), promised, limit: None }
    }

    /// Adds the physical limit.
    #[must_use]
    pub fn beside(mut self, what: impl Into<String>, value: f64, promised: Option<Promise>) -> Self {
        self.limit = Some(Limit { what: what.into(), value, ratio: self.value / value, promised });
        self
    }

    /// Whether every promise of the row is kept.
    pub fn is_kept(&self) -> bool {
        self.promised.is_none_or(|promise| promise.is_kept_by(self.value))
            && self
                .limit
                .as_ref()
                .is_none_or(|limit| limit.promised.is_none_or(|promise| promise.is_kept_by(limit.ratio)))
    }
}

/// The middle of several measurements.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which a part of all values lies; 0 if there is none.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * part).round() as usize).copied().unwrap_or(0.0)
}

/// How often a second something can be done.
pub(crate) fn rate<E>(slice: Duration, mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < slice {
        for _ in 0..16 {
            work()?;
        }
        count += 16;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

/// Memory of a process that is in use now, in bytes; `process` is its id or `self`.
pub fn resident_bytes(process: &str) -> Result<u64, std::io::Error> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Ok(kilobytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024)
}
