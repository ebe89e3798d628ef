//! The node's clocks: the one place of this crate that reads the time.
//!
//! Leases are counted on the monotonic clock, which nobody can set; the wall clock only judges validity of certificates
//! and stamps the lines of logs.

use crate::core::MonoMs;
use credence_model::time::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that only goes forward. Copies agree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MonoClock(Instant);

impl MonoClock {
    /// Begins at zero.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> MonoMs {
        MonoMs(millis(self.0.elapsed()))
    }

    /// When the clock will show this.
    pub(crate) fn at(&self, at: MonoMs) -> tokio::time::Instant {
        (self.0 + Duration::from_millis(at.0)).into()
    }
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "this is the edge where the node reads the time of day")]
pub(crate) fn wall() -> Timestamp {
    Timestamp(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{MonoClock, wall};

    #[test]
    fn the_clocks_go_forward_and_the_wall_clock_shows_the_time_of_day() {
        let clock = MonoClock::start();
        let readings: Vec<_> = (0..1000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
        assert!(wall().as_secs() > 1_700_000_000);
    }
}
