//! How a program of this machine becomes an actor: the other end of `node.sock`, for `credence run`.
//!
//! The calling process is the root of the tree that the identity is for; it must stay for as long as the actor runs.

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

    /// The socket outlives the node's program: whoever connects meanwhile waits for the next one.
    async fn come_back(&mut self) -> Result<(), Refusal> {
        let Bound { actor, binding, .. } = self.bound.clone();
        let gone = |_| Refusal::new(Kind::Unavailable, "the node went away");
        let begin = Begin { class: self.class.clone(), actor, binding };
        *self = Self::open(&self.socket.clone(), begin, None).await.map_err(gone)?;
        Ok(())
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
