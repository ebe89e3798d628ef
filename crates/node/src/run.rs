//! How a program of this machine becomes an actor: the other end of `node.sock`, for `credence run`.
//!
//! The calling process is the root of the tree that the identity is for; it must stay for as long as the actor runs.

use crate::backoff::Backoff;
use crate::protocol;
use credence_model::id::{ActorId, ClassRef};
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::trace::{self, TraceContext};
use credence_wire::local::local_service_client::LocalServiceClient;
use credence_wire::local::{Begin, Bound, RunEvent, RunRequest, run_event, run_request};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;
use tower::service_fn;

/// Messages to the node: the beginning and the end.
const REQUESTS_MAX: usize = 2;
/// How often a way back to the node may be cut, and the first and the longest pause after that, in milliseconds. All of them
/// together are shorter than a node waits.
const RETURNS_MAX: usize = 8;
const RETURN_PAUSE_MS: u64 = 50;
const RETURN_PAUSE_MS_MAX: u64 = 1_000;

/// This process as an actor. Dropping it ends the binding.
pub struct Run {
    socket: PathBuf,
    class: String,
    requests: mpsc::Sender<RunRequest>,
    events: Streaming<RunEvent>,
    /// Who it is and where its endpoint is.
    pub bound: Bound,
}

impl Run {
    /// Asks the node at `socket` to make this process an actor of the class: the one named, or a new one. `trace` is the
    /// request that this is a part of, if there is one.
    pub async fn begin(
        socket: &Path,
        class: &ClassRef,
        actor: Option<&ActorId>,
        trace: Option<TraceContext>,
    ) -> Result<Self, Refusal> {
        let actor = actor.map(ToString::to_string).unwrap_or_default();
        let begin = Begin { class: class.to_string(), actor, binding: String::new() };
        Self::open(socket, begin, trace).await
    }

    async fn open(socket: &Path, begin: Begin, trace: Option<TraceContext>) -> Result<Self, Refusal> {
        let mut client = LocalServiceClient::new(connect(socket).await?);
        let class = begin.class.clone();
        let (requests, outgoing) = mpsc::channel(REQUESTS_MAX);
        // There is room: it is the first.
        let _ = requests.try_send(RunRequest { message: Some(run_request::Message::Begin(begin)) });
        let mut request = tonic::Request::new(ReceiverStream::new(outgoing));
        if let Some(Ok(trace)) = trace.map(|trace| trace.to_string().parse()) {
            request.metadata_mut().insert(trace::HEADER, trace);
        }
        let opened = client.run(request).await;
        let mut events = opened.map_err(|status| protocol::status(&status))?.into_inner();
        match next(&mut events).await? {
            Some(run_event::Event::Bound(bound)) => {
                Ok(Self { socket: socket.to_owned(), class, requests, events, bound })
            }
            Some(run_event::Event::Ended(ended)) => Err(Refusal::new(Kind::Unavailable, ended.reason)),
            None => Err(Refusal::new(Kind::Unavailable, "the node went away before it answered")),
        }
    }

    /// Waits until the binding is over: the reason in words. An error means that the node is gone. One whose program is
    /// replaced is not: this process comes back to it, under the binding that it has.
    pub async fn ended(&mut self) -> Result<String, Refusal> {
        loop {
            match next(&mut self.events).await {
                Ok(Some(run_event::Event::Ended(ended))) => return Ok(ended.reason),
                Ok(Some(run_event::Event::Bound(_))) => {}
                Ok(None) | Err(_) => self.come_back().await?,
            }
        }
    }

    /// The socket outlives the node's program: whoever connects meanwhile waits for the next one. If that one makes way, too,
    /// before it has answered, the one after it is asked. A socket on which nobody listens means that the node is gone.
    async fn come_back(&mut self) -> Result<(), Refusal> {
        let (Bound { actor, binding, .. }, socket) = (self.bound.clone(), self.socket.clone());
        let mut backoff = Backoff::new(RETURN_PAUSE_MS, RETURN_PAUSE_MS_MAX);
        for _ in 0..RETURNS_MAX {
            let begin = Begin { class: self.class.clone(), actor: actor.clone(), binding: binding.clone() };
            match Self::open(&socket, begin, None).await {
                Ok(run) => {
                    *self = run;
                    return Ok(());
                }
                Err(refusal) if refusal.kind != Kind::Unavailable => return Err(refusal),
                Err(_) if UnixStream::connect(&socket).await.is_err() => break,
                // Whatever it says: it does not wait longer than this for one of its own to come back.
                Err(_) => tokio::time::sleep(backoff.pause(None)).await,
            }
        }
        Err(Refusal::new(Kind::Unavailable, "the node went away"))
    }

    /// Says that the program ended; the node suspends the actor, and then [`Self::ended`] resolves.
    pub async fn exited(&self, code: i32) {
        // A node that is gone has seen the end of its lease, or will.
        let _ = self.requests.send(RunRequest { message: Some(run_request::Message::Exited(code)) }).await;
    }
}

async fn next(events: &mut Streaming<RunEvent>) -> Result<Option<run_event::Event>, Refusal> {
    let event = events.message().await.map_err(|status| protocol::status(&status))?;
    Ok(event.and_then(|event| event.event))
}

async fn connect(socket: &Path) -> Result<tonic::transport::Channel, Refusal> {
    let path: PathBuf = socket.to_owned();
    let connect = service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The name is not looked at; the connector above knows where to go.
    let connected = Endpoint::from_static("http://node").connect_with_connector(connect).await;
    connected.map_err(|_| {
        Refusal::new(Kind::Unavailable, format!("no node answers at {}", socket.display()))
            .hint("Start one with `credence dev` or `credence node`")
    })
}

#[cfg(test)]
mod tests {
    use super::Run;
    use crate::event::{EVENTS, Event, Events, RunNotice};
    use crate::local;
    use credence_telemetry::span::Tracer;
    use credence_wire::local::Bound;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn a_program_whose_way_back_is_cut_comes_back_all_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.sock");
        let (events, mut happening) = Events::new(&EVENTS);
        let serving =
            tokio::spawn(local::serve(UnixListener::bind(&path).expect("a socket"), events, Tracer::default()));
        let bound = Bound { binding: "01arz3ndektsv4rrffq69g5fav".into(), ..Bound::default() };
        // Bound and cut; cut again before there is an answer, as by a second new program; back until the end.
        let ended = RunNotice::Ended("the actor was suspended".into());
        let notices = [vec![RunNotice::Bound(bound.clone())], Vec::new(), vec![RunNotice::Bound(bound), ended]];
        let hub = tokio::spawn(async move {
            for notices in notices {
                let Some(Event::Run(run)) = happening.recv().await else { panic!("it comes back") };
                for notice in notices {
                    run.notices.send(notice).await.unwrap_or_else(|_| panic!("it listens"));
                }
            }
        });
        let class = "demo/class".parse().expect("a class");
        let mut run = Run::begin(&path, &class, None, None).await.expect("it is bound");
        assert_eq!(run.ended().await.as_deref(), Ok("the actor was suspended"));
        hub.await.expect("it was asked");
        serving.abort();
        drop(std::fs::remove_file(&path));
        run.come_back().await.expect_err("nobody listens any more");
    }
}
