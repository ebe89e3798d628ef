//! The wall clock, read here and nowhere else in this crate: a span says when it was, to a collector that has others beside it.

use std::time::SystemTime;

#[expect(clippy::disallowed_methods, reason = "when something happened is read where it is written down")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
