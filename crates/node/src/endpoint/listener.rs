//! Connections: who may have one, for how long, and how they end.

use crate::endpoint::desk::Desk;
use crate::endpoint::route::{Services, refuse};
use crate::endpoint::streams::Streams;
use credence_attest::process_tree::{TreeRoot, peer_of};
use credence_telemetry::activity::{Activity, Counted};
use credence_telemetry::limit::Limit;
use credence_telemetry::patience::Patient;
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use prometheus_client::metrics::gauge::Gauge;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tonic::body::Body;

/// Most connections of an actor's processes at once; further ones are closed at once.
const CONNECTIONS_MAX: usize = 256;
/// Most connections of strangers that are being told no at once; they do not use up the actor's.
const STRANGERS_MAX: usize = 16;
/// Most requests and streams of one connection at once.
const STREAMS_MAX: u32 = 64;
/// Longest headers of a request, in bytes.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Longest time for the headers of an HTTP/1.1 request, in milliseconds.
const HEADER_MS_MAX: u64 = 10_000;
/// How long a connection may take to ask for the first time, whatever it says until then, in milliseconds.
const FIRST_MS_MAX: u64 = 30_000;
/// How long an answer may wait to be read, in milliseconds.
const WRITE_MS_MAX: u64 = 30_000;
/// How long a connection may ask nothing after that, in milliseconds.
const IDLE_MS_MAX: u64 = 300_000;
/// Longest connection of a stranger, in milliseconds.
const STRANGER_MS_MAX: u64 = 5_000;
/// How long a connection may take to deliver the last status when the endpoint closes, in milliseconds.
const FLUSH_MS_MAX: u64 = 250;
/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it may take, in milliseconds.
const PING_MS: u64 = 30_000;
const PONG_MS_MAX: u64 = 20_000;
/// Pause after an accept that failed, which it does when descriptors have run out, in milliseconds.
const ACCEPT_PAUSE_MS: u64 = 100;

/// An actor's processes have too many connections.
pub(crate) static CONNECTIONS: Limit =
    Limit::new("actor_connections", CONNECTIONS_MAX as u64, "connections of an actor", "closed at once");
/// Strangers have too many connections.
pub(crate) static STRANGERS: Limit =
    Limit::new("stranger_connections", STRANGERS_MAX as u64, "connections of strangers", "closed at once");
/// A stranger stays too long.
pub(crate) static STRANGER_TIME: Limit =
    Limit::new("stranger_time", STRANGER_MS_MAX, "milliseconds", "the connection is cut");
/// A connection never asked anything.
pub(crate) static FIRST_TIME: Limit =
    Limit::new("actor_first_time", FIRST_MS_MAX, "milliseconds", "the connection is closed");
/// A connection does not read what it asked for.
pub(crate) static WRITE_TIME: Limit =
    Limit::new("actor_write_time", WRITE_MS_MAX, "milliseconds", "the connection is cut");
/// A connection asks nothing.
pub(crate) static IDLE: Limit = Limit::new("actor_idle_time", IDLE_MS_MAX, "milliseconds", "the connection is closed");
/// A head does not come, or a silent peer does not answer.
pub(crate) static HEAD_TIME: Limit =
    Limit::new("actor_head_time", HEADER_MS_MAX, "milliseconds", "the connection is cut");

async fn told_to_close(closing: &mut watch::Receiver<bool>) {
    // The borrow that `wait_for` answers must not live across another await.
    let _ = closing.wait_for(|closing| *closing).await.map(|closing| *closing);
}

/// Accepts and serves until `closing` says so, then until every connection has ended. Whoever asks for the listener gets
/// it, and all connections are dropped.
pub(super) async fn serve(
    listener: UnixListener,
    root: TreeRoot,
    desk: Arc<Desk>,
    mut closing: watch::Receiver<bool>,
    mut leaving: mpsc::Receiver<oneshot::Sender<UnixListener>>,
) {
    let services = Services::new(desk);
    let (members, strangers) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Semaphore::new(STRANGERS_MAX)));
    let mut connections = JoinSet::new();
    let told = closing.clone();
    loop {
        tokio::select! {
            // A dropped sender is the end as well.
            () = told_to_close(&mut closing) => break,
            Some(to) = leaving.recv() => {
                // Whoever asked may have gone away; then the socket is gone, too.
                drop(to.send(listener));
                return;
            }
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let is_member = belongs(&stream, &root);
                    let allowed = if is_member { &members } else { &strangers };
                    // Too many already: the connection is closed by being dropped.
                    let Ok(permit) = Arc::clone(allowed).try_acquire_owned() else {
                        if is_member { &CONNECTIONS } else { &STRANGERS }.hit();
                        continue;
                    };
                    let (closing, services) = (told.clone(), is_member.then(|| services.clone()));
                    connections.spawn(async move {
                        connection(stream, services, closing).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an actor's endpoint cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Whether the connected process is part of the actor. Any doubt is a no.
fn belongs(stream: &UnixStream, root: &TreeRoot) -> bool {
    let judged = peer_of(stream).and_then(|peer| Ok((root.contains(&peer)?, peer.pid, peer.uid)));
    match judged {
        Ok((true, ..)) => true,
        Ok((false, pid, uid)) => {
            tracing::warn!(
                pid,
                uid,
                root = root.pid(),
                "a process asked at the endpoint of an actor that it is not part of"
            );
            false
        }
        Err(error) => {
            tracing::warn!(%error, root = root.pid(), "cannot tell who asked at an actor's endpoint");
            false
        }
    }
}

/// Serves one connection; without services, it is a stranger's.
async fn connection(stream: UnixStream, services: Option<Services>, mut closing: watch::Receiver<bool>) {
    let activity = Activity::new(Gauge::default());
    let longest = if services.is_some() { Duration::MAX } else { Duration::from_millis(STRANGER_MS_MAX) };
    let counting = activity.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (services, open) = (services.clone(), counting.begin());
        // Boxed, so that a stream that waits does not keep the room that answering took.
        let answer = async move {
            let response: Response<Body> = match services {
                Some(services) => services.answer(request).await,
                None => refuse(request.headers()),
            };
            Ok::<_, Infallible>(response.map(|body| Body::new(Counted::new(body, open))))
        };
        answer.boxed()
    });
    let write = Duration::from_millis(WRITE_MS_MAX);
    let streams = Streams::default();
    let (builder, stream) = (builder(streams.clone()), Patient::new(stream, write, &WRITE_TIME));
    let mut serving = streams.with(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How a client ends a connection is its own affair.
        ended = &mut serving => {
            let timed_out = ended.is_err_and(|error| error.downcast_ref().is_some_and(hyper::Error::is_timeout));
            return if timed_out { HEAD_TIME.hit() };
        }
        _ = closing.wait_for(|closing| *closing) => {}
        () = activity.unasked(Duration::from_millis(FIRST_MS_MAX)) => FIRST_TIME.hit(),
        () = activity.idle(Duration::from_millis(IDLE_MS_MAX)) => IDLE.hit(),
        () = after(longest) => STRANGER_TIME.hit(),
    }
    serving.connection().graceful_shutdown();
    let _ = tokio::time::timeout(Duration::from_millis(FLUSH_MS_MAX), serving).await;
}

async fn after(longest: Duration) {
    if longest == Duration::MAX { std::future::pending().await } else { tokio::time::sleep(longest).await }
}

fn builder(streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(HEADER_MS_MAX));
    builder.http1().max_buf_size(HEADER_BYTES_MAX as usize);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEADER_BYTES_MAX);
    http2.keep_alive_interval(Duration::from_millis(PING_MS)).keep_alive_timeout(Duration::from_millis(PONG_MS_MAX));
    builder
}
