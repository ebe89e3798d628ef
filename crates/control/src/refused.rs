//! What callers are told when the cell cannot do anything for them.

use crate::intake::QUEUED_MAX;
use credence_model::refusal::{Kind, Refusal};

/// How long they are told to wait when a queue is full, in milliseconds.
pub(crate) const RETRY_AFTER_MS: u64 = 100;

pub(crate) fn full() -> Refusal {
    let message = format!("{QUEUED_MAX} requests wait already, which is the limit");
    Refusal::new(Kind::Unavailable, message).retry_after_ms(RETRY_AFTER_MS)
}

pub(crate) fn cannot_write() -> Refusal {
    let message = "the control plane cannot write its journal now; nothing was recorded";
    Refusal::new(Kind::Unavailable, message).hint("See its log, and `credence doctor`").retry_after_ms(1_000)
}

pub(crate) fn stopped() -> Refusal {
    Refusal::new(Kind::Unavailable, "the control plane is stopping or cannot write its journal").retry_after_ms(1_000)
}
