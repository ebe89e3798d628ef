//! Pauses before something is tried again. They grow with every attempt, and chance makes each a little longer or
//! shorter, so that those who failed together do not come back together.
//!
//! INVARIANT: whatever chance makes of a pause, it is not shorter than the control plane said.

use std::time::Duration;

/// How far chance moves a time at most, in thousandths of it.
pub(crate) const JITTER_PER_MILLE: u64 = 100;
/// The longest pause that the control plane can ask for, in milliseconds.
pub(crate) const TOLD_MS_MAX: u64 = 60_000;

/// How many tries at least are left of the time in which something must succeed.
const TRIES: u64 = 4;

/// The pauses of one thing that is tried until it succeeds.
#[derive(Debug)]
pub(crate) struct Backoff {
    first_ms: u64,
    longest_ms: u64,
    next_ms: u64,
}

impl Backoff {
    /// Pauses of about `first_ms` at first, twice as long after each failure, and of about `longest_ms` at last.
    pub(crate) const fn new(first_ms: u64, longest_ms: u64) -> Self {
        Self { first_ms, longest_ms, next_ms: first_ms }
    }

    /// The pause after another failure, if the control plane said `told_ms`.
    pub(crate) fn pause(&mut self, told_ms: Option<u64>) -> Duration {
        self.pause_within(told_ms, Duration::ZERO)
    }

    /// The same for what must succeed before so much time is over: several tries are left of it, unless the control plane
    /// said otherwise. Without time there is no hurry any more.
    pub(crate) fn pause_within(&mut self, told_ms: Option<u64>, left: Duration) -> Duration {
        let told_ms = told_ms.unwrap_or_default().min(TOLD_MS_MAX);
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let own_ms = if left_ms > 0 { self.next_ms.min(left_ms / TRIES).max(self.first_ms) } else { self.next_ms };
        let around_ms = own_ms.max((told_ms * 1000).div_ceil(1000 - JITTER_PER_MILLE));
        self.next_ms = self.next_ms.saturating_mul(2).min(self.longest_ms);
        jittered(Duration::from_millis(around_ms))
    }

    /// It succeeded: the pauses begin anew.
    pub(crate) fn begin_anew(&mut self) {
        self.next_ms = self.first_ms;
    }
}

/// A little more or less.
pub(crate) fn jittered(around: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness everything is a little early.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let per_mille = 1000 - JITTER_PER_MILLE + u64::from(u16::from_be_bytes(random)) % (2 * JITTER_PER_MILLE + 1);
    around.mul_f64(per_mille as f64 / 1000.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Backoff, JITTER_PER_MILLE, TOLD_MS_MAX, jittered};
    use std::time::Duration;

    /// Whether pauses are these, in milliseconds, but for chance.
    #[track_caller]
    pub(crate) fn check_around(pauses: &[Duration], around_ms: &[u64]) {
        let near = |(pause, around_ms): (&Duration, &u64)| {
            let ms = u64::try_from(pause.as_millis()).expect("a short pause");
            ms.abs_diff(*around_ms) <= around_ms * JITTER_PER_MILLE / 1000 + 1
        };
        assert!(pauses.len() == around_ms.len() && pauses.iter().zip(around_ms).all(near), "{pauses:?}");
    }

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(100, 500);
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause(None)).collect();
        check_around(&pauses, &[100, 200, 400, 500, 500]);
        backoff.begin_anew();
        check_around(&[backoff.pause(None)], &[100]);
    }

    #[test]
    fn what_is_about_to_be_over_is_tried_more_often_until_it_is() {
        let mut backoff = Backoff::new(100, 5_000);
        let left_ms = [u64::MAX, 10_000, 10_000, 1_200, 500, 200];
        let pauses = left_ms.map(|left_ms| backoff.pause_within(None, Duration::from_millis(left_ms)));
        check_around(&pauses, &[100, 200, 400, 300, 125, 100]);
        check_around(&[backoff.pause_within(None, Duration::ZERO)], &[5_000]);
        let told = backoff.pause_within(Some(3_000), Duration::from_millis(500));
        assert!(told >= Duration::from_millis(3_000), "{told:?}");
    }

    #[test]
    fn nobody_comes_back_before_it_was_told_to_and_not_all_at_once() {
        for told_ms in [1, 999, 7_000, TOLD_MS_MAX] {
            let pauses: Vec<_> = (0..200).map(|_| Backoff::new(100, 5_000).pause(Some(told_ms))).collect();
            assert!(pauses.iter().all(|pause| *pause >= Duration::from_millis(told_ms)), "{told_ms}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{told_ms}: all come together");
        }
        let pause = Backoff::new(100, 5_000).pause(Some(u64::MAX));
        assert!(pause < Duration::from_millis(2 * TOLD_MS_MAX), "nobody is sent away for ever");
    }

    #[test]
    fn times_are_spread_around_theirs() {
        let times: Vec<_> = (0..1000).map(|_| jittered(Duration::from_secs(1000)).as_secs()).collect();
        assert!(times.iter().all(|secs| secs.abs_diff(1000) <= JITTER_PER_MILLE), "{times:?}");
        assert!(times.iter().any(|secs| *secs < 970) && times.iter().any(|secs| *secs > 1030), "they are not spread");
    }
}
