//! `node.sock`: where programs of this machine become actors (`credence run`).
//!
//! Whoever asks is known by the kernel's evidence about the socket: the calling process is the root of the tree that the
//! identity is for, and only root and the node's own user may ask.

use crate::event::{Event, Events, LocalRun, RunNotice};
use crate::protocol;
use credence_attest::process_tree::{Peer, ProcessTreeError, TreeRoot, peer_of};
use credence_model::id::BindingId;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::limit::Limit;
use credence_telemetry::span::{SpanKind, Tracer};
use credence_telemetry::trace::TraceContext;
use credence_wire::local::local_service_server::{LocalService, LocalServiceServer};
use credence_wire::local::{Begin, Ended, RunEvent, RunRequest, run_event, run_request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use prost::Message as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

/// Most connections of local programs at once.
const CONNECTIONS_MAX: usize = 256;
/// Most notices that a program has not read: it is told at most three.
const NOTICES_MAX: usize = 4;
/// Largest message of a local program, in bytes: names are short, and what it says goes on to the control plane, whose own
/// limit is larger.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may take until it has said who is to be an actor, in milliseconds.
const BEGIN_MS_MAX: u64 = 10_000;
/// How long the connection of a caller that is refused may take to hear so, in milliseconds.
const REFUSED_MS_MAX: u64 = 5_000;
/// How long a connection may take to deliver its last word, in milliseconds.
const FLUSH_MS_MAX: u64 = 250;
/// Pause after an accept that failed, which it does when descriptors have run out, in milliseconds.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Too many local programs are connected.
pub(crate) static CONNECTIONS: Limit = Limit::new(
    "local_connections",
    CONNECTIONS_MAX as u64,
    "connections of local programs",
    "further ones wait in the kernel's queue",
);
/// A local program connects and does not begin.
pub(crate) static BEGIN_TIME: Limit =
    Limit::new("local_begin_time", BEGIN_MS_MAX, "milliseconds", "the connection is cut");
/// A caller that is refused does not ask.
pub(crate) static REFUSED_TIME: Limit =
    Limit::new("local_refused_time", REFUSED_MS_MAX, "milliseconds", "the connection is cut");

/// Accepts until it is dropped.
pub(crate) async fn serve(listener: UnixListener, events: Events, tracer: Tracer) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        if room.available_permits() == 0 {
            CONNECTIONS.hit();
        }
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (events, tracer) = (events.clone(), tracer.clone());
                tokio::spawn(async move {
                    let caller = caller(&stream);
                    connection(stream, caller, (events, tracer)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the node's socket cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

/// Serves one connection, which is for one call.
async fn connection(stream: UnixStream, caller: Result<Caller, Refusal>, (events, tracer): (Events, Tracer)) {
    let limit = if caller.is_ok() { &BEGIN_TIME } else { &REFUSED_TIME };
    let caller = caller.inspect_err(|refusal| tracing::warn!(%refusal, "a local program was refused"));
    let begin_by = Instant::now() + Duration::from_millis(limit.value);
    let (turn, stage) = watch::channel(Stage::Silent);
    let caller = Mutex::new(Some((caller, Turn(turn))));
    let service = LocalServiceServer::new(Local { caller, begin_by, events, tracer });
    let service = service.max_decoding_message_size(MESSAGE_BYTES_MAX);
    let builder = Builder::new(TokioExecutor::new()).http2_only();
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    tokio::select! {
        served = served.as_mut() => {
            if let Err(error) = served {
                tracing::debug!(%error, "a local program's connection broke");
            }
            return;
        }
        () = over(stage.clone()) => {}
        () = silent(stage.clone(), begin_by) => limit.hit(),
    }
    served.as_mut().graceful_shutdown();
    // How the other end takes its end is its own affair.
    let _ = tokio::time::timeout(Duration::from_millis(FLUSH_MS_MAX), served).await;
}

/// Resolves when the call was answered.
async fn over(mut stage: watch::Receiver<Stage>) {
    // The borrow that `wait_for` answers must not live across another await.
    let _ = stage.wait_for(|stage| *stage == Stage::Over).await.map(|stage| *stage);
}

/// Resolves if nobody has called by then; else never.
async fn silent(mut stage: watch::Receiver<Stage>, by: Instant) {
    if tokio::time::timeout_at(by, stage.wait_for(|stage| *stage != Stage::Silent)).await.is_ok() {
        std::future::pending().await
    }
}

/// Who is connected, and the process tree below it.
type Caller = (Peer, TreeRoot);

/// How far the one call of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody called yet.
    Silent,
    /// It is being answered.
    Called,
    /// It was answered.
    Over,
}

/// The call of a connection. It is over when this is dropped.
struct Turn(watch::Sender<Stage>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.send_replace(Stage::Over);
    }
}

/// The process tree of whoever is connected.
fn caller(stream: &UnixStream) -> Result<Caller, Refusal> {
    let unknown = |error: ProcessTreeError| Refusal::new(error.kind(), error.to_string());
    let peer: Peer = peer_of(stream).map_err(unknown)?;
    if peer.uid != 0 && peer.uid != rustix::process::getuid().as_raw() {
        let message = format!("user {} may not make programs actors of this node", peer.uid);
        return Err(Refusal::new(Kind::Denied, message).hint("Ask as root or as the node's own user"));
    }
    let root = TreeRoot::of(peer.pid).map_err(unknown)?;
    if peer.is_alive().map_err(unknown)? {
        Ok((peer, root))
    } else {
        Err(unknown(ProcessTreeError::NoProcess(peer.pid)))
    }
}

struct Local {
    /// Taken by the one call of a connection.
    caller: Mutex<Option<(Result<Caller, Refusal>, Turn)>>,
    begin_by: Instant,
    events: Events,
    tracer: Tracer,
}

#[tonic::async_trait]
impl LocalService for Local {
    type RunStream = ReceiverStream<Result<RunEvent, Status>>;

    async fn run(&self, request: Request<Streaming<RunRequest>>) -> Result<Response<Self::RunStream>, Status> {
        let caller = self.caller.lock().unwrap_or_else(PoisonError::into_inner).take();
        let once = || status(&Refusal::new(Kind::Conflict, "a connection makes one actor; open another one"));
        let (caller, turn) = caller.ok_or_else(once)?;
        turn.0.send_replace(Stage::Called);
        let (peer, root) = caller.map_err(|refusal| status(&refusal))?;
        let said = TraceContext::said(request.metadata().as_ref());
        let mut requests = request.into_inner();
        let Begin { class, actor, binding } =
            begin(&mut requests, self.begin_by).await.map_err(|refusal| status(&refusal))?;
        let binding = (!binding.is_empty()).then(|| BindingId::parse(&binding)).transpose();
        let binding = binding.map_err(|error| status(&protocol::malformed("begin.binding", error)))?;
        let (notices, noticed) = mpsc::channel(NOTICES_MAX);
        let (exited, exits) = oneshot::channel();
        let part = self.tracer.follow(said, "process.run", SpanKind::Server);
        let run = Box::new(LocalRun { class, actor, binding, peer, root, notices, part, exited: exits });
        let away = |_| status(&Refusal::new(Kind::Unavailable, "the node is going down"));
        self.events.send(Event::Run(run)).await.map_err(away)?;
        let (answers, answered) = mpsc::channel(NOTICES_MAX);
        tokio::spawn(async move {
            relay(requests, exited, noticed, answers).await;
            drop(turn);
        });
        Ok(Response::new(ReceiverStream::new(answered)))
    }
}

async fn begin(requests: &mut Streaming<RunRequest>, by: Instant) -> Result<Begin, Refusal> {
    let late = || {
        BEGIN_TIME.hit();
        protocol::malformed("begin", format!("it did not come within {BEGIN_MS_MAX} ms"))
    };
    let first = tokio::time::timeout_at(by, requests.message()).await;
    match first.map_err(|_| late())? {
        Ok(Some(RunRequest { message: Some(run_request::Message::Begin(begin)) })) => Ok(begin),
        Err(status) if status.code() == Code::OutOfRange => {
            Err(protocol::malformed("begin", format!("it is larger than {MESSAGE_BYTES_MAX} bytes")))
        }
        _ => Err(protocol::malformed("begin", "it must be the first message")),
    }
}

/// Carries notices out and the exit code in. When the caller goes away, dropping `exited` says so.
async fn relay(
    mut requests: Streaming<RunRequest>,
    exited: oneshot::Sender<i32>,
    mut notices: mpsc::Receiver<RunNotice>,
    answers: mpsc::Sender<Result<RunEvent, Status>>,
) {
    let mut exited = Some(exited);
    loop {
        tokio::select! {
            request = requests.message(), if exited.is_some() => match request {
                Ok(Some(RunRequest { message: Some(run_request::Message::Exited(code)) })) => {
                    // Nobody waits for the code of a binding that is over.
                    let _ = exited.take().map(|exited| exited.send(code));
                }
                // The end of the caller, or something that is none of our words: both end the run.
                _ => drop(exited.take()),
            },
            notice = notices.recv() => {
                let event = match notice {
                    Some(RunNotice::Bound(bound)) => Ok(run_event::Event::Bound(bound)),
                    Some(RunNotice::Ended(reason)) => Ok(run_event::Event::Ended(Ended { reason })),
                    Some(RunNotice::Refused(refusal)) => Err(status(&refusal)),
                    None => return,
                };
                let answer = event.map(|event| RunEvent { event: Some(event) });
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A refusal as a gRPC status. The details say everything, as the protocol's own message; the code only that it is one.
fn status(refusal: &Refusal) -> Status {
    let details = protocol::refused(refusal).encode_to_vec();
    Status::with_details(Code::FailedPrecondition, refusal.to_string(), details.into())
}

#[cfg(test)]
mod tests;
