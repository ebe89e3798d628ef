//! The one place of this program that reads the clock, for ages and for the validity of credentials.

use credence_model::time::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock; the Unix epoch if the clock is set before it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock module of the command line; everything else is passed the time"
)]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
