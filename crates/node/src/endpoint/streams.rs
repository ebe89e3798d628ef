//! The streams of an HTTP/2 connection, each answered in the task that reads and writes the connection.
//!
//! Most answers take less time than it takes to have another thread wake up for them and then to wake up the connection's for what
//! they said, so streams are not tasks of their own. What waits in one of them holds up no other; what computes does, as in a task
//! that would have the connection's lock.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How often a connection and its streams are looked at in turn before other tasks have theirs.
const ROUNDS_MAX: usize = 8;

/// Where a connection puts the streams that begin.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

/// A connection and its streams, as one future; dropped, it ends them all.
pub(super) struct Together<C> {
    connection: Pin<Box<C>>,
    begun: Streams,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
    wakes: Arc<Wakes>,
}

/// What wakes the task, once for all that happens while it is not looking.
#[derive(Default)]
struct Wakes {
    task: AtomicWaker,
    is_looking: AtomicBool,
    is_woken: AtomicBool,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stream.boxed());
    }
}

impl Streams {
    /// Runs a connection that puts its streams here.
    pub(super) fn with<C: Future>(self, connection: C) -> Together<C> {
        let (connection, running) = (Box::pin(connection), FuturesUnordered::new());
        Together { connection, begun: self, running, wakes: Arc::default() }
    }

    fn take(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<C: Future> Together<C> {
    /// The connection itself.
    pub(super) fn connection(&mut self) -> Pin<&mut C> {
        self.connection.as_mut()
    }

    fn look(&mut self, context: &mut Context<'_>) -> Poll<C::Output> {
        let ended = self.connection.poll_unpin(context);
        if ended.is_pending() {
            self.running.extend(self.begun.take());
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(context) {}
        }
        ended
    }
}

impl<C: Future> Future for Together<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let wakes = Arc::clone(&self.wakes);
        let waker = Waker::from(Arc::clone(&wakes));
        wakes.task.register(context.waker());
        wakes.is_looking.store(true, Ordering::SeqCst);
        for _ in 0..ROUNDS_MAX {
            wakes.is_woken.store(false, Ordering::SeqCst);
            let ended = self.look(&mut Context::from_waker(&waker));
            if ended.is_ready() {
                return ended;
            }
            if !wakes.is_woken.load(Ordering::SeqCst) {
                break;
            }
        }
        // Whoever wakes either finds that nobody looks any more, or has said so before this is asked.
        wakes.is_looking.store(false, Ordering::SeqCst);
        if wakes.is_woken.swap(false, Ordering::SeqCst) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        if !self.is_looking.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Executor as _, ROUNDS_MAX, Streams};
    use futures_util::FutureExt as _;
    use std::future::{pending, poll_fn};
    use std::sync::Arc;
    use std::task::Poll;
    use tokio::sync::{mpsc, oneshot};

    #[tokio::test]
    async fn streams_that_begin_are_run_and_the_connection_hears_of_what_they_say() {
        let streams = Streams::default();
        let (says, mut said) = mpsc::channel(1);
        let begins = streams.clone();
        let connection = async move {
            for nth in 0..3 {
                let says = says.clone();
                begins.execute(async move { says.send(nth).await.expect("a connection") });
                assert_eq!(said.recv().await, Some(nth));
            }
        };
        streams.with(connection).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_wakes_a_stream_from_elsewhere_is_never_missed() {
        for _ in 0..2_000 {
            let streams = Streams::default();
            let ((wakes, woken), (tells, told)) = (oneshot::channel(), oneshot::channel());
            streams.execute(async move { tells.send(woken.await).expect("a connection") });
            let waking = tokio::spawn(async move { wakes.send(()) });
            assert_eq!(streams.with(told).await, Ok(Ok(())));
            waking.await.expect("a task").expect("a stream");
        }
    }

    #[tokio::test]
    async fn one_that_always_has_more_to_do_lets_others_have_their_turn() {
        let streams = Streams::default();
        let mut busy = streams.with(poll_fn::<(), _>(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        let mut turns = 0;
        tokio::select! {
            biased;
            () = &mut busy => panic!("it has no end"),
            () = async { while turns < ROUNDS_MAX { turns += 1; tokio::task::yield_now().await } } => {}
        }
        // More than a task may take at once: the runtime's own measure of that is respected, and forgotten by the next turn.
        let (says, mut said) = mpsc::channel(1_000);
        (0..1_000).for_each(|nth| says.try_send(nth).expect("a receiver"));
        let streams = Streams::default();
        let (tells, told) = oneshot::channel();
        streams.execute(async move {
            for nth in 0..1_000 {
                assert_eq!(said.recv().await, Some(nth));
            }
            tells.send(()).expect("a connection");
        });
        assert_eq!(streams.with(told).await, Ok(()));
    }

    #[tokio::test]
    async fn they_end_with_the_connection() {
        let streams = Streams::default();
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        streams.execute(async move {
            pending::<()>().await;
            drop(held);
        });
        let mut together = streams.with(pending::<()>());
        assert!((&mut together).now_or_never().is_none());
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(together);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
