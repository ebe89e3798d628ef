//! The stream to the control plane and the lease that it carries.
//!
//! INVARIANT: the lease is counted from when the node *sent* the newest heartbeat that was acknowledged. The server counts
//! from when it recorded it, which is later, so the node's lease is always over first.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most heartbeats of a stream that may be unanswered; of more, the oldest count for nothing.
const UNANSWERED_MAX: usize = 1024;

/// Milliseconds on the node's own monotonic clock, from any beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonoMs(pub u64);

impl MonoMs {
    /// This time plus `ms`, stopping at the end of the scale.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// How long the node may go on by itself.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Its length, and when the newest acknowledged message was sent.
    running: Option<(u64, MonoMs)>,
}

impl Lease {
    /// When it is over; `None` if there is none.
    pub(super) fn until(&self) -> Option<MonoMs> {
        self.running.map(|(length_ms, sent_at)| sent_at.plus_ms(length_ms))
    }

    /// Its length, and when the newest acknowledged message was sent.
    pub(super) fn running(&self) -> Option<(u64, MonoMs)> {
        self.running
    }

    /// Whether it covers this moment.
    pub(super) fn covers(&self, now: MonoMs) -> bool {
        self.until().is_some_and(|until| now < until)
    }

    /// What was sent at `sent_at` was recorded by the server.
    pub(super) fn begin(&mut self, length_ms: u64, sent_at: MonoMs) {
        let newest = self.running.map_or(sent_at, |(_, before)| before.max(sent_at));
        self.running = Some((length_ms, newest));
    }

    /// The server recorded a later heartbeat of the same stream.
    pub(super) fn renew(&mut self, sent_at: MonoMs) {
        if let Some((length_ms, _)) = self.running {
            self.begin(length_ms, sent_at);
        }
    }

    /// There is none until the next stream.
    pub(super) fn end(&mut self) {
        self.running = None;
    }
}

/// The newest stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its number, chosen by whoever opened it.
    pub(super) id: u64,
    /// When its Hello was sent.
    pub(super) hello_at: MonoMs,
    /// What its Welcome led to.
    pub(super) beat: Option<Beat>,
}

/// The heartbeats of a stream.
#[derive(Debug)]
pub(super) struct Beat {
    interval_ms: u64,
    next_at: MonoMs,
    next_number: u64,
    unanswered: VecDeque<(u64, MonoMs)>,
}

impl Beat {
    /// The first heartbeat is due one interval from now.
    pub(super) fn new(interval_ms: u64, now: MonoMs) -> Self {
        let interval_ms = interval_ms.max(1);
        Self { interval_ms, next_at: now.plus_ms(interval_ms), next_number: 1, unanswered: VecDeque::new() }
    }

    /// When the next one is due.
    pub(super) fn next_at(&self) -> MonoMs {
        self.next_at
    }

    /// The number of the next one: whoever hears it acknowledged knows that all sent before it was heard too.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Makes the next one due at once.
    pub(super) fn hurry(&mut self) {
        self.next_at = MonoMs::default();
    }

    /// The number of a heartbeat that is sent now, if one is due.
    pub(super) fn due(&mut self, now: MonoMs) -> Option<u64> {
        if now < self.next_at {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.next_at = now.plus_ms(self.interval_ms);
        if self.unanswered.len() == UNANSWERED_MAX {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((number, now));
        Some(number)
    }

    /// When the acknowledged heartbeat was sent; `None` for one that was never sent or was answered before.
    pub(super) fn acknowledged(&mut self, number: u64) -> Option<MonoMs> {
        let found = self.unanswered.iter().find(|(sent, _)| *sent == number).map(|(_, at)| *at)?;
        self.unanswered.retain(|(sent, _)| *sent > number);
        Some(found)
    }
}
