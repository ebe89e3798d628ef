//! The node's clocks: the one place of this crate that reads the time.
//!
//! Leases are counted on the monotonic clock, which nobody can set; the wall clock only judges validity of certificates
//! and stamps the lines of logs.

use crate::core::MonoMs;
use credence_model::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that only goes forward. Copies agree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MonoClock {
    /// What the machine's clock showed at its start.
    start_ns: u64,
    /// What it shows at its start.
    shows: MonoMs,
}

impl MonoClock {
    /// Begins at zero.
    pub(crate) fn start() -> Self {
        Self { start_ns: machine_ns(), shows: MonoMs(0) }
    }

    /// Goes on with a clock of an earlier program of this process, which showed `shows` when the machine's own showed
    /// `at_ns`. It is never behind that one, so no lease becomes longer.
    pub(crate) fn resume(shows: MonoMs, at_ns: u64) -> Self {
        let start_ns = machine_ns();
        Self { start_ns, shows: shows.plus_ms(start_ns.saturating_sub(at_ns).div_ceil(1_000_000)) }
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> MonoMs {
        self.shows.plus_ms(machine_ns().saturating_sub(self.start_ns) / 1_000_000)
    }

    /// When the clock will show this, if the machine is not suspended before.
    pub(crate) fn at(&self, at: MonoMs) -> tokio::time::Instant {
        tokio::time::Instant::now() + Duration::from_millis(at.0.saturating_sub(self.now().0))
    }
}

/// The machine's clock since it started, in nanoseconds: nobody can set it, every program sees the same, and it goes on while
/// the machine is suspended, as the lease of a sleeping machine does (`CLOCK_BOOTTIME`, clock_gettime(2)).
pub(crate) fn machine_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let secs = u64::try_from(now.tv_sec).unwrap_or_default();
    secs.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or_default())
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
    use super::{MonoClock, machine_ns, wall};
    use crate::core::MonoMs;

    #[test]
    fn a_clock_that_goes_on_in_another_program_is_never_behind() {
        let at_ns = machine_ns();
        let resumed = MonoClock::resume(MonoMs(5_000), at_ns.saturating_sub(1_500_000));
        assert!(resumed.now() >= MonoMs(5_002));
        let at = resumed.now();
        assert!(resumed.at(at) <= tokio::time::Instant::now());
    }

    #[test]
    fn the_clocks_go_forward_and_the_wall_clock_shows_the_time_of_day() {
        let clock = MonoClock::start();
        let readings: Vec<_> = (0..1000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
        assert!(wall().as_secs() > 1_700_000_000);
    }
}
