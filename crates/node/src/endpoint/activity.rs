//! How many requests of a connection are open, so that one that asks nothing can be told from one that waits for news.

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;

/// The counter of one connection.
#[derive(Clone)]
pub(super) struct Activity(Arc<watch::Sender<usize>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Counts a request until what is returned is dropped.
    pub(super) fn begin(&self) -> Open {
        self.0.send_modify(|open| *open += 1);
        Open(self.clone())
    }

    /// Resolves if so long after this call no request has begun since; else never.
    pub(super) fn silent(&self, longest: Duration) -> impl Future<Output = ()> + use<> {
        let mut open = self.0.subscribe();
        async move {
            if tokio::time::timeout(longest, open.changed()).await.is_ok() {
                std::future::pending().await
            }
        }
    }

    /// Resolves when no request was open for so long.
    pub(super) async fn idle(&self, longest: Duration) {
        let mut open = self.0.subscribe();
        loop {
            if *open.borrow_and_update() > 0 {
                // The sender is in `self`, so this cannot fail.
                let _ = open.changed().await;
                continue;
            }
            if tokio::time::timeout(longest, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// One open request.
pub(super) struct Open(Activity);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// A body that counts as an open request until it was sent.
pub(super) fn counted(body: Body, open: Open) -> Body {
    Body::new(Counted { body, _open: open })
}

struct Counted {
    body: Body,
    _open: Open,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_while_nothing_is_open() {
        let activity = Activity::new();
        let open = activity.begin();
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, activity.idle(Duration::from_secs(1))).await.is_err());
        drop(open);
        assert!(tokio::time::timeout(hour, activity.idle(Duration::from_secs(1))).await.is_ok());
    }
}
