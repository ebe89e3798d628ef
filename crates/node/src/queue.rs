//! A queue in which whoever has something waits for room, and the waits are counted.

use credence_telemetry::limit::Limit;
use std::fmt;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendError, TrySendError};

/// The end that sends. Clones send into the same queue.
pub(crate) struct Queue<T> {
    to: mpsc::Sender<T>,
    limit: &'static Limit,
}

impl<T> Queue<T> {
    /// A queue with room for as many as the limit allows.
    pub(crate) fn new(limit: &'static Limit) -> (Self, mpsc::Receiver<T>) {
        let (to, from) = mpsc::channel(usize::try_from(limit.value).unwrap_or(1));
        (Self { to, limit }, from)
    }

    /// Sends, as soon as there is room.
    ///
    /// # Errors
    /// Nobody receives any more.
    pub(crate) async fn send(&self, item: T) -> Result<(), SendError<T>> {
        match self.to.try_send(item) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(item)) => {
                self.limit.hit();
                self.to.send(item).await
            }
            Err(TrySendError::Closed(item)) => Err(SendError(item)),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("limit", &self.limit.name).finish_non_exhaustive()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { to: self.to.clone(), limit: self.limit }
    }
}
