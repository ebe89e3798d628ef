//! The server's clock: the one place of this crate that reads the time.
//!
//! It is the wall clock of the start plus what a monotonic clock counted since, so it never runs backwards and never
//! jumps: a lease of ten seconds takes ten seconds, whatever is done to the machine's time of day.

use credence_model::time::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The reckoning of the clock, without a clock: what it shows follows from what was read once and what was counted since.
#[derive(Debug, Clone, Copy)]
pub struct Reckoning {
    started_at: Timestamp,
}

impl Reckoning {
    /// Begins with what the wall clock shows now. It is not asked again.
    pub const fn start(wall: Timestamp) -> Self {
        Self { started_at: wall }
    }

    /// The time when so much was counted since the start.
    pub fn at(&self, counted: Duration) -> Timestamp {
        self.started_at.plus_ms(millis(counted))
    }
}

/// A clock that only goes forward. Copies agree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    reckoning: Reckoning,
    started: Instant,
}

impl Clock {
    /// Reads the wall clock, once.
    #[expect(clippy::disallowed_methods, reason = "this is the edge where the server reads its clock")]
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { reckoning: Reckoning::start(Timestamp(millis(since_epoch))), started: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.reckoning.at(self.started.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn the_clock_never_runs_backwards() {
        let clock = Clock::start();
        let readings: Vec<_> = (0..1000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
        assert!(clock.reckoning.started_at.as_secs() > 1_700_000_000, "the clock does not show the time of day");
    }
}
