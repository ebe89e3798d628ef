//! What the peer of one connection does: whether it asks, and whether it takes what it is answered. So who is silent or does
//! not read can be told from who waits for news.

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The books of one connection. Clones are the same.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Books>);

#[derive(Debug)]
struct Books {
    requests: watch::Sender<Requests>,
    /// Since when the peer has not taken what it was given, by request.
    untaken: Mutex<HashMap<u64, Instant>>,
    /// Open requests of all connections.
    all: Gauge,
}

#[derive(Debug, Default)]
struct Requests {
    begun: u64,
    open: usize,
}

impl Activity {
    /// The books of a new connection; `all` counts the open requests of it and of others.
    pub fn new(all: Gauge) -> Self {
        Self(Arc::new(Books { requests: watch::Sender::default(), untaken: Mutex::default(), all }))
    }

    /// Counts a request until what is returned is dropped.
    pub fn begin(&self) -> Open {
        let mut number = 0;
        self.0.requests.send_if_modified(|requests| {
            requests.begun += 1;
            requests.open += 1;
            number = requests.begun;
            requests.open == 1
        });
        self.0.all.inc();
        Open { activity: self.clone(), number }
    }

    /// Resolves when nothing was asked yet after so long.
    pub async fn unasked(&self, longest: Duration) {
        let mut requests = self.0.requests.subscribe();
        let asked = requests.wait_for(|requests| requests.begun > 0);
        if tokio::time::timeout(longest, asked).await.is_ok() {
            std::future::pending().await
        }
    }

    /// Resolves when no request was open for so long.
    pub async fn idle(&self, longest: Duration) {
        let mut requests = self.0.requests.subscribe();
        loop {
            let is_open = requests.borrow_and_update().open > 0;
            // The sender is in `self`, so waiting cannot fail.
            if is_open {
                let _ = requests.changed().await;
            } else if tokio::time::timeout(longest, requests.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Resolves when the peer has not taken a part of an answer for so long.
    pub async fn stalled(&self, longest: Duration) {
        loop {
            let now = Instant::now();
            // What is given from now on is not late before that.
            let late_at = self.untaken().values().min().copied().unwrap_or(now) + longest;
            if late_at <= now {
                return;
            }
            tokio::time::sleep_until(late_at).await;
        }
    }

    fn untaken(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        // The map is whole even if somebody panicked while holding it: every change is one insert or remove.
        self.0.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open request.
#[derive(Debug)]
pub struct Open {
    activity: Activity,
    number: u64,
}

impl Open {
    fn given(&self) {
        self.activity.untaken().insert(self.number, Instant::now());
    }

    fn taken(&self) {
        self.activity.untaken().remove(&self.number);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.taken();
        self.activity.0.all.dec();
        self.activity.0.requests.send_if_modified(|requests| {
            requests.open = requests.open.saturating_sub(1);
            requests.open == 0
        });
    }
}

/// The body of an answer; its request counts as open until it was sent.
pub struct Counted<B> {
    body: B,
    open: Open,
}

impl<B> Counted<B> {
    /// An answer whose head is given to the peer now.
    pub fn new(body: B, open: Open) -> Self {
        open.given();
        Self { body, open }
    }
}

impl<B> fmt::Debug for Counted<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").field("open", &self.open).finish_non_exhaustive()
    }
}

impl<B: Body<Data: Buf> + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // Whoever sends asks for the next part only when there is room for it.
        self.open.taken();
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.open.given();
        }
        polled
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
    use super::{Activity, Counted};
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use prometheus_client::metrics::gauge::Gauge;
    use std::future::Future;
    use std::time::Duration;

    const LONGEST: Duration = Duration::from_secs(1);

    async fn ends(future: impl Future) -> bool {
        tokio::time::timeout(Duration::from_secs(3600), future).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_while_nothing_is_open() {
        let all = Gauge::default();
        let activity = Activity::new(all.clone());
        let open = activity.begin();
        assert_eq!(all.get(), 1);
        assert!(!ends(activity.idle(LONGEST)).await);
        drop(open);
        assert!(ends(activity.idle(LONGEST)).await);
        assert_eq!(all.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_once_is_not_unasked_any_more() {
        let activity = Activity::new(Gauge::default());
        assert!(ends(activity.unasked(LONGEST)).await);
        drop(activity.begin());
        assert!(!ends(activity.unasked(LONGEST)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_stalls_when_it_leaves_an_answer_and_not_when_it_waits_for_one() {
        let activity = Activity::new(Gauge::default());
        let asked = activity.begin();
        assert!(!ends(activity.stalled(LONGEST)).await, "the answer is not made yet");
        let mut answer = Counted::new(Full::<Bytes>::from("x"), asked);
        assert!(ends(activity.stalled(LONGEST)).await, "it does not take the head");
        answer.frame().await;
        assert!(ends(activity.stalled(LONGEST)).await, "it does not take the body");
        answer.frame().await;
        assert!(!ends(activity.stalled(LONGEST)).await, "nothing is left");
        drop(activity.begin());
        drop(Counted::new(answer, activity.begin()));
        assert!(!ends(activity.stalled(LONGEST)).await, "nobody asks any more");
    }
}
