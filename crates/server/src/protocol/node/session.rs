//! `Connect`: the one stream of a node.
//!
//! The session turns what the node says into reports to the cell, and what the cell directs into messages, signing on the
//! way. Reports are handed to the cell in the order they came and may be answered later, several at a time, so a node
//! is not slowed down to one recorded change after another.
//!
//! INVARIANT: a directive is sent in the order the cell gave it, and before anything is answered that came after it.
//! When the cell closes the directives (a newer stream, a deleted node, an overflow), the stream ends at once.

mod briefs;
mod decide;
mod directed;
mod heard;

use super::convert;
use crate::app::{App, stopped};
use crate::call::Question;
use crate::limits::{DECISION_AGE_MS_MAX, HELLO_TIME, REPORTS, REPORTS_WAITING_MAX, SEND_TIME, SILENCE, SILENT_LEASES};
use crate::problem;
use briefs::Briefs;
use credence_control::{Answered, Attachment, Directed, Opening, Reconsidered};
use credence_model::caller::Caller;
use credence_model::command::{Command, Report};
use credence_model::id::{Digest, NodeName};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_telemetry::span::{Span, SpanKind, Trace};
use credence_telemetry::trace::TraceContext;
use credence_wire::node as wire;
use credence_wire::node::{from_node, reply, to_node};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::Instrument as _;

/// Most messages that wait to be sent to one node.
const OUTGOING_MAX: usize = 256;
/// How many checked keys a node is asked to keep ready.
const RESERVOIR_KEYS: u32 = 128;

type Outgoing = mpsc::Sender<Result<wire::ToNode, Status>>;
/// Questions of the node that are being decided.
type Deciding = FuturesUnordered<BoxFuture<'static, to_node::Message>>;
type Waiting = FuturesOrdered<BoxFuture<'static, (After, Span, Result<Answered, Refusal>)>>;

/// What is to be done once a report was answered.
enum After {
    /// Nothing, unless it was refused.
    Nothing,
    /// Acknowledge the heartbeat of this number.
    Heartbeat(u64),
    /// Forget these keys if they were refused.
    KeysOffered(Vec<Digest>),
    /// Sign for the key with this SubjectPublicKeyInfo.
    X509 { binding: String, spki: Vec<u8> },
    /// Sign a token.
    Jwt { request: u64 },
    /// Sign the node's own SVID.
    NodeSvid { spki: Vec<u8> },
    /// Say that the decisions are recorded.
    Recorded { request: u64 },
    /// Send the binding first, then say that it is there.
    BindProcess { request: u64 },
}

/// An open stream.
struct Session {
    app: Arc<App>,
    node: NodeName,
    number: u64,
    out: Outgoing,
    /// SubjectPublicKeyInfo of the keys whose possession was checked on this stream, by digest.
    keys: HashMap<Digest, Vec<u8>>,
    /// Whether the node was asked for more keys and has not offered any since.
    keys_wanted: bool,
    /// Questions that the node has not answered yet.
    asked: HashMap<u64, oneshot::Sender<Result<reply::Reply, Refusal>>>,
    last_question: u64,
    /// The request that what is being heard is a part of.
    said: Option<TraceContext>,
    briefs: Briefs,
    /// What changed of what its actors may do.
    reconsidered: Arc<Reconsidered>,
}

/// Opens the stream; everything else happens on a task of its own.
pub(super) fn open(
    app: Arc<App>,
    node: NodeName,
    from_node: Streaming<wire::FromNode>,
) -> ReceiverStream<Result<wire::ToNode, Status>> {
    let (out, outgoing) = mpsc::channel(OUTGOING_MAX);
    let opening = app.cell.opening();
    let session = async move {
        let last = out.clone();
        if let Err(refusal) = run(app, &node, opening, from_node, out).await {
            tracing::info!(%node, %refusal, "the stream of a node ended");
            // A node that does not read will not read this either.
            let _ = last.try_send(Err(problem::grpc(&refusal)));
        }
    };
    // What happens on the stream is a part of the request that opened it.
    tokio::spawn(session.in_current_span());
    ReceiverStream::new(outgoing)
}

async fn run(
    app: Arc<App>,
    node: &NodeName,
    opening: Opening,
    mut from_node: Streaming<wire::FromNode>,
    out: Outgoing,
) -> Result<(), Refusal> {
    let hello = first(&mut from_node, app.limits.hello_time).await?;
    let (workers, held) = convert::hello(&hello)?;
    crate::hold::compare(&app, node, hello.mark.as_ref()).await?;
    let attachment = app.cell.attach(opening, node.clone(), workers, held).await?;
    let Attachment { session: number, unbind, directives, reconsidered } = attachment;
    let questions = app.calls.open(node, number);
    let session = Session {
        app: Arc::clone(&app),
        node: node.clone(),
        number,
        out,
        keys: HashMap::new(),
        keys_wanted: true,
        asked: HashMap::new(),
        last_question: 0,
        said: None,
        briefs: Briefs::default(),
        reconsidered,
    };
    tracing::info!(%node, session = number, version = %hello.version.escape_debug(), "a node opened its stream");
    let result = session.talk(unbind, from_node, directives, questions).await;
    app.calls.close(node, number);
    if !*app.stopping.borrow() {
        let command = Command::Report { node: node.clone(), session: number, report: Report::Detached };
        // Refused if a newer stream took over: then there is nothing to report.
        let _ = app.submit(Caller::Node { name: node.clone() }, command).await;
    }
    result
}

async fn first(from_node: &mut Streaming<wire::FromNode>, at_most: Duration) -> Result<wire::Hello, Refusal> {
    let message = tokio::time::timeout(at_most, from_node.message()).await;
    let late = |_| {
        HELLO_TIME.hit();
        convert::malformed("hello", format!("it did not come within {} s", at_most.as_secs()))
    };
    match message.map_err(late)? {
        Ok(Some(wire::FromNode { message: Some(from_node::Message::Hello(hello)), .. })) => Ok(hello),
        Ok(_) => Err(convert::malformed("hello", "it must be the first message of the stream")),
        Err(status) => Err(broken(&status)),
    }
}

fn broken(status: &Status) -> Refusal {
    Refusal::new(Kind::Unavailable, format!("the stream broke: {}", status.message()))
}

impl Session {
    async fn talk(
        mut self,
        unbind: Vec<credence_model::command::Unbind>,
        mut from_node: Streaming<wire::FromNode>,
        mut directives: mpsc::Receiver<Directed>,
        mut questions: mpsc::Receiver<Question>,
    ) -> Result<(), Refusal> {
        // Watched before the first one is sent: none is missed.
        let mut bundles = self.app.signer.watch();
        let silence = self.welcome(unbind).await?;
        let mut stopping = self.app.stopping.clone();
        self.begin_briefs().await?;
        let (mut waiting, mut deciding, reconsidered) =
            (Waiting::new(), Deciding::new(), Arc::clone(&self.reconsidered));
        let mut silent_at = Instant::now() + silence;
        loop {
            tokio::select! {
                directive = directives.recv() => match directive {
                    Some(directive) => {
                        self.directed(directive).await?;
                        if directives.is_empty() {
                            self.tell_briefs().await?;
                        }
                    }
                    None => return Err(self.replaced()),
                },
                () = reconsidered.changed() => self.tell_briefs().await?,
                Some(decided) = deciding.next(), if !deciding.is_empty() => self.send(decided).await?,
                Some((after, part, answered)) = waiting.next(), if !waiting.is_empty() => {
                    while let Ok(directive) = directives.try_recv() {
                        self.directed(directive).await?;
                    }
                    if matches!(after, After::Heartbeat(_)) {
                        self.tell_briefs().await?;
                    }
                    self.answered(after, part, answered).await?;
                }
                message = from_node.message(), if waiting.len().max(deciding.len()) < REPORTS_WAITING_MAX => {
                    silent_at = Instant::now() + silence;
                    if waiting.len().max(deciding.len()) + 1 == REPORTS_WAITING_MAX {
                        REPORTS.hit();
                    }
                    match message.map_err(|status| broken(&status))? {
                        Some(wire::FromNode { traceparent, message: Some(message) }) => {
                            self.said = TraceContext::parse(&traceparent);
                            self.heard(message, &mut waiting, &mut deciding).await?;
                        }
                        Some(_) => return Err(convert::malformed("message", "it is missing or of an unknown kind")),
                        None => return Ok(()),
                    }
                }
                bundle = bundles.changed() => self.send(to_node::Message::Bundle(bundle)).await?,
                Some(question) = questions.recv() => self.ask(question).await?,
                () = tokio::time::sleep_until(silent_at) => {
                    SILENCE.hit();
                    return Err(Refusal::new(Kind::Unavailable, "nothing was heard for two leases"));
                }
                () = stopped(&mut stopping) => {
                    return Err(Refusal::new(Kind::Unavailable, "the control plane stops").retry_after_ms(1_000));
                }
            }
        }
    }

    /// The first message; answers how long the node may be silent.
    async fn welcome(&mut self, unbind: Vec<credence_model::command::Unbind>) -> Result<Duration, Refusal> {
        let node = self.node.clone();
        let read = move |state: &State| (state.settings.clone(), state.nodes.get(&node).map(|node| node.lease_ms));
        let (settings, lease_ms) = self.app.cell.read(read).await?;
        // What was recorded with the attachment, and not what may have been configured since: both count by the same.
        let lease_ms = lease_ms.unwrap_or(settings.lease_ms);
        let silence = Duration::from_millis(lease_ms.saturating_mul(SILENT_LEASES));
        self.send(to_node::Message::Welcome(wire::Welcome {
            session: self.number,
            trust_domain: settings.trust_domain.to_string(),
            lease_ms,
            heartbeat_ms: settings.heartbeat_ms,
            reservoir_keys: RESERVOIR_KEYS,
            unbind: unbind.into_iter().map(convert::unbind).collect(),
            bundle: Some(self.app.signer.bundle_wire()),
            mark: Some(self.app.mark()),
            decision_age_ms: DECISION_AGE_MS_MAX,
        }))
        .await?;
        Ok(silence)
    }

    async fn send(&self, message: to_node::Message) -> Result<(), Refusal> {
        self.send_traced(message, &Trace::default()).await
    }

    async fn send_traced(&self, message: to_node::Message, trace: &Trace) -> Result<(), Refusal> {
        let message = wire::ToNode { traceparent: trace.traceparent(), message: Some(message) };
        let at_most = self.app.limits.send_time;
        let sent = self.out.send_timeout(Ok(message), at_most).await;
        sent.map_err(|error| {
            if matches!(error, mpsc::error::SendTimeoutError::Timeout(_)) {
                SEND_TIME.hit();
            }
            Refusal::new(Kind::Unavailable, format!("the node read nothing for {} s", at_most.as_secs()))
        })
    }

    /// The part that answers what was heard. What the node does not say to be a part of a request is none here either.
    fn part(&self, name: &'static str) -> Span {
        let Some(said) = self.said else { return Span::default() };
        let mut part = self.app.tracer.begin(Some(said), name, SpanKind::Server);
        part.set("credence.node", || self.node.to_string());
        part
    }

    async fn ask(&mut self, question: Question) -> Result<(), Refusal> {
        self.asked.retain(|_, answer| !answer.is_closed());
        self.last_question += 1;
        self.asked.insert(self.last_question, question.answer);
        self.send(to_node::Message::Call(wire::Call { id: self.last_question, call: Some(question.call) })).await
    }

    fn replaced(&self) -> Refusal {
        let message = format!("this stream of node {} is over; a newer one or none takes its place", self.node);
        Refusal::new(Kind::Stale, message).hint("Open a new one")
    }
}
