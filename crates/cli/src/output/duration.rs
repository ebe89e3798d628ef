//! Times for people: how long, how long ago, and when.

use crate::failure::Failure;
use credence_model::time::Timestamp;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long, to about two digits: `14 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn rough(ms: u64) -> String {
    match ms {
        0..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => format!("{} min", ms / MINUTE),
        HOUR..DAY => format!("{} h", ms / HOUR),
        _ => format!("{} d", ms / DAY),
    }
}

/// How long, where tenths of a second matter: `6.8 s`.
pub(crate) fn fine(ms: u64) -> String {
    if ms < MINUTE { format!("{}.{} s", ms / SECOND, ms % SECOND / 100) } else { rough(ms) }
}

/// How long ago, or how far ahead.
pub(crate) fn since(then: Timestamp, now: Timestamp) -> String {
    rough(now.ms_since(then))
}

/// The day and the time, in UTC: `2026-11-24 14:05:10 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    calendar(at).map_or_else(|| "outside the calendar".into(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// The time with milliseconds, in UTC; with the day if it is not the day of `now`: `14:03:22.118`.
pub(crate) fn clock(at: Timestamp, now: Timestamp) -> String {
    let format = if at.as_ms() / DAY == now.as_ms() / DAY { "%H:%M:%S.%3f" } else { "%Y-%m-%d %H:%M:%S.%3f" };
    calendar(at).map_or_else(|| "outside the calendar".into(), |at| at.strftime(format).to_string())
}

/// The time without milliseconds, in UTC; with the day if it is not the day of `now`.
pub(crate) fn clock_secs(at: Timestamp, now: Timestamp) -> String {
    let format = if at.as_ms() / DAY == now.as_ms() / DAY { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    calendar(at).map_or_else(|| "outside the calendar".into(), |at| at.strftime(format).to_string())
}

/// Reads a moment as RFC 3339 writes it; not one before 1970.
pub(crate) fn read(text: &str) -> Result<Timestamp, Failure> {
    let at = text.parse().ok().and_then(|at: jiff::Timestamp| u64::try_from(at.as_millisecond()).ok());
    at.map(Timestamp).ok_or_else(|| {
        let failure = Failure::used_wrongly(format!("`{}` is no time", text.escape_debug()));
        failure.hint("Write it like 2026-11-24T14:05:10Z")
    })
}

fn calendar(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(at.as_ms()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_never_claim_more_than_was_measured() {
        let cases = [
            (0, "0 s"),
            (999, "0 s"),
            (14_200, "14 s"),
            (60_000, "1 min"),
            (3_599_999, "59 min"),
            (7_200_000, "2 h"),
            (200_000_000, "2 d"),
        ];
        for (ms, text) in cases {
            assert_eq!(rough(ms), text);
        }
        assert_eq!((fine(6_849).as_str(), fine(61_000).as_str()), ("6.8 s", "1 min"));
    }

    #[test]
    fn the_day_is_only_written_when_it_is_another_one() {
        let at = Timestamp(1_764_000_202_118);
        assert_eq!(moment(at), "2025-11-24 16:03:22 UTC");
        assert_eq!(clock(at, at), "16:03:22.118");
        assert_eq!(clock_secs(at, at.plus_secs(86_400)), "2025-11-24 16:03:22");
        assert_eq!(moment(Timestamp(u64::MAX)), "outside the calendar");
    }
}
