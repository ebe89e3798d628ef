//! How fast nodes may attest: the one call without a client certificate is paced, whoever makes it.

use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_telemetry::limit::Limit;
use std::sync::{Mutex, PoisonError};

/// How far apart attestations are in the long run, in milliseconds.
const ATTEST_EVERY_MS: u64 = 20;
/// How many may come at once.
const ATTEST_BURST: u64 = 200;
/// Too many attest at once.
pub(crate) static ATTESTATIONS: Limit =
    Limit::new("attestations", ATTEST_BURST, "attestations", "refused: unavailable; 50 a second in the long run");

/// Limits the rate of attestations: the time at which the last one would have come at an even pace.
#[derive(Debug, Default)]
pub(crate) struct AttestLimit(Mutex<Timestamp>);

impl AttestLimit {
    /// Lets one more attest now, or says when.
    pub(crate) fn admit(&self, now: Timestamp) -> Result<(), Refusal> {
        let mut paced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*paced).max(now).plus_ms(ATTEST_EVERY_MS);
        let ahead_ms = next.ms_since(now).saturating_sub(ATTEST_EVERY_MS * ATTEST_BURST);
        if ahead_ms > 0 {
            ATTESTATIONS.hit();
            let message = "too many nodes attest at once";
            return Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(ahead_ms));
        }
        *paced = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEST_BURST, ATTEST_EVERY_MS, AttestLimit};
    use credence_model::time::Timestamp;

    #[test]
    fn a_burst_is_let_in_and_then_one_at_a_time() {
        let limit = AttestLimit::default();
        let now = Timestamp(1_000_000);
        let let_in = (0..ATTEST_BURST * 2).filter(|_| limit.admit(now).is_ok()).count();
        assert_eq!(u64::try_from(let_in), Ok(ATTEST_BURST));
        let refusal = limit.admit(now).expect_err("too many");
        assert_eq!(refusal.retry_after_ms, Some(ATTEST_EVERY_MS));
        assert!(limit.admit(now.plus_ms(ATTEST_EVERY_MS)).is_ok());
        assert!(limit.admit(now.plus_ms(ATTEST_EVERY_MS)).is_err());
    }
}
