//! Limits that count how often they were reached.
//!
//! A limit is a `static` beside the constant that it is about, and belongs to its process: two servers in one process
//! count together.

use std::sync::atomic::{AtomicU64, Ordering};

/// A named limit.
#[derive(Debug)]
pub struct Limit {
    /// Its name: the label of its counter.
    pub name: &'static str,
    /// How much is allowed, unless it was lowered.
    pub value: u64,
    /// Of what: requests, bytes, seconds.
    pub unit: &'static str,
    /// What happens to whatever is beyond it, for people.
    pub then: &'static str,
    lowered: AtomicU64,
    hits: AtomicU64,
}

impl Limit {
    /// A limit that nobody has reached yet.
    pub const fn new(name: &'static str, value: u64, unit: &'static str, then: &'static str) -> Self {
        Self { name, value, unit, then, lowered: AtomicU64::new(u64::MAX), hits: AtomicU64::new(0) }
    }

    /// This process cannot keep so much as it would: from now on less is allowed.
    pub fn lower(&self, to: u64) {
        self.lowered.fetch_min(to, Ordering::Relaxed);
    }

    /// How much this process allows.
    pub fn in_force(&self) -> u64 {
        self.value.min(self.lowered.load(Ordering::Relaxed))
    }

    /// It was reached: something was refused, cut or made to wait.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// So much was beyond it at once.
    pub fn hit_by(&self, number: u64) {
        self.hits.fetch_add(number, Ordering::Relaxed);
    }

    /// How often it was reached since the process began.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}
