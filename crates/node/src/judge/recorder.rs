//! Has decisions recorded that the node made by itself: in batches, again and again until the control plane says that they are.

use crate::backoff::Backoff;
use crate::event::{Batch, Event, Events};
use credence_model::decided::Decided;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::limit::Limit;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Most decisions that wait to be recorded.
const RECORDS_MAX: usize = 8 * 1024;
/// The control plane does not record as fast as is decided here.
pub(crate) static RECORDS: Limit = Limit::new(
    "decisions_to_record",
    RECORDS_MAX as u64,
    "decisions",
    "what has to be recorded is refused: unavailable",
);
/// Most decisions that are recorded at once, and most bytes of them: half of what the control plane takes as one message.
const BATCH_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// The first pause before a batch that could not be recorded is said again, and the longest, in milliseconds.
const PAUSE_MS: u64 = 50;
const PAUSE_MS_MAX: u64 = 2_000;

/// Where decisions wait to be recorded.
#[derive(Clone)]
pub(crate) struct Records {
    to: mpsc::Sender<Decided>,
    left: watch::Sender<Left>,
}

/// What is not recorded yet.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    decisions: usize,
    /// Whether nothing is added to it.
    closed: bool,
}

impl Records {
    /// Takes all of them, or none if there is no room.
    pub(crate) fn put(&self, decided: Vec<Decided>) -> Result<(), Refusal> {
        if decided.is_empty() {
            return Ok(());
        }
        let full = |_| {
            RECORDS.hit();
            let message = format!("{RECORDS_MAX} decisions wait to be recorded already, which is the limit");
            Refusal::new(Kind::Unavailable, message).retry_after_ms(1_000)
        };
        let room = self.to.try_reserve_many(decided.len()).map_err(full)?;
        // Counted before it is sent, and not at all once nothing is left and the next program begins.
        let counted = self.left.send_if_modified(|left| {
            left.decisions += if left.closed { 0 } else { decided.len() };
            !left.closed
        });
        if !counted {
            let message = "the node makes way for another program, and nothing more is recorded here";
            return Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(100));
        }
        room.zip(decided).for_each(|(room, decided)| room.send(decided));
        Ok(())
    }

    /// How many are not recorded yet.
    pub(crate) fn left(&self) -> usize {
        self.left.borrow().decisions
    }

    /// Waits until the last that is left now is recorded; without end if nothing is left.
    pub(crate) async fn drained(&self) {
        // The sender is as old as whoever waits.
        let drained = self.left() > 0 && self.left.subscribe().wait_for(|left| left.decisions == 0).await.is_ok();
        if !drained {
            std::future::pending().await
        }
    }

    /// From now on, or not any more, what has to be recorded is refused: so what is left becomes less.
    pub(crate) fn close(&self, closed: bool) {
        self.left.send_modify(|left| left.closed = closed);
    }
}

/// Both ends of a recorder: where decisions go, and its work.
pub(crate) fn recorder(events: Events, connected: watch::Receiver<bool>) -> (Records, impl Future<Output = ()> + Send) {
    let (to, decided) = mpsc::channel(RECORDS_MAX);
    let left = watch::Sender::new(Left::default());
    (Records { to, left: left.clone() }, record(events, connected, decided, left))
}

async fn record(
    events: Events,
    mut connected: watch::Receiver<bool>,
    mut decided: mpsc::Receiver<Decided>,
    left: watch::Sender<Left>,
) {
    let mut some = Vec::new();
    while decided.recv_many(&mut some, BATCH_MAX).await > 0 {
        let mut batches = batches(&some);
        while let Some(batch) = batches.pop_front() {
            match recorded(&events, &mut connected, &batch).await {
                None => return,
                Some(Err(_)) if batch.len() > 1 => {
                    // One of them is not taken; the others must not be lost with it.
                    let (one, other) = batch.split_at(batch.len() / 2);
                    batches.push_front(Arc::new(other.to_vec()));
                    batches.push_front(Arc::new(one.to_vec()));
                    continue;
                }
                Some(Err(refusal)) => tracing::error!(%refusal, "a decision of this node is not recorded"),
                Some(Ok(())) => {}
            }
            left.send_modify(|left| left.decisions = left.decisions.saturating_sub(batch.len()));
        }
        some.clear();
    }
}

fn batches(some: &[Decided]) -> VecDeque<Batch> {
    let (mut batches, mut batch, mut bytes) = (VecDeque::new(), Vec::new(), 0);
    for decided in some {
        // A decision is written without fail: it is made of texts, numbers and lists of them.
        let written = serde_json::to_vec(decided).unwrap_or_default();
        if bytes + written.len() > BATCH_BYTES_MAX && !batch.is_empty() {
            batches.push_back(Arc::new(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes += written.len();
        batch.push(written);
    }
    batches.extend((!batch.is_empty()).then(|| Arc::new(batch)));
    batches
}

/// Says a batch until it is recorded, or will not be; `None` if nobody is left who could.
async fn recorded(
    events: &Events,
    connected: &mut watch::Receiver<bool>,
    batch: &Batch,
) -> Option<Result<(), Refusal>> {
    let mut backoff = Backoff::new(PAUSE_MS, PAUSE_MS_MAX);
    loop {
        // The borrow that `wait_for` answers must not live across another await.
        if connected.wait_for(|connected| *connected).await.map(|connected| *connected).is_err() {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        if events.send(Event::Record { batch: Arc::clone(batch), answer }).await.is_err() {
            return None;
        }
        match answered.await {
            Ok(Ok(())) => return Some(Ok(())),
            Ok(Err(refusal)) if refusal.kind != Kind::Unavailable => return Some(Err(refusal)),
            // The stream broke, or the control plane is held or stops.
            Ok(Err(_)) | Err(_) => tokio::time::sleep(backoff.pause(None)).await,
        }
    }
}
