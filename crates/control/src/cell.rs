//! The cell: a registry on a thread of its own, behind a bounded queue.
//!
//! The thread takes what is waiting (up to a limit), decides and applies each request, records all of it with one
//! append, answers all, and publishes to the nodes. Reads run between turns, so they see recorded state only.

use crate::registry::{Answered, CellError, Registry, StartReport};
use crate::sinks::Sinks;
use credence_journal::Journal;
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command, Held, Request, Unbind};
use credence_model::decide::Entropy;
use credence_model::directive::Directive;
use credence_model::event::Entry;
use credence_model::id::{NodeName, WorkerRef};
use credence_model::refusal::{Kind, Refusal};
use credence_model::settings::Settings;
use credence_model::state::State;
use credence_model::time::Timestamp;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Most requests that wait for the cell; more are answered "unavailable".
pub const QUEUED_MAX: usize = 16_384;
/// Most requests of one turn, which share one append.
pub const BATCH_REQUESTS_MAX: usize = 1_024;
/// Most directives that wait for one node; a node with more is cut.
pub const DIRECTIVES_QUEUED_MAX: usize = 1_024;
/// How often leases and queues are looked at, in milliseconds.
pub const EXPIRE_EVERY_MS: u64 = 50;
/// How many entries are recorded between two snapshots.
pub const SNAPSHOT_ENTRIES: u64 = 100_000;

/// What callers are told to wait when the queue is full, in milliseconds.
const RETRY_AFTER_MS: u64 = 100;

/// The clock and the randomness of the outside, handed in.
pub struct Edge {
    /// Reads the clock.
    pub now: Box<dyn Fn() -> Timestamp + Send>,
    /// Draws randomness.
    pub entropy: Box<dyn Fn() -> Entropy + Send>,
}

/// A node's stream, as the cell sees it.
#[derive(Debug)]
pub struct Attachment {
    /// Number of the stream; reports carry it.
    pub session: u64,
    /// What the node must end at once.
    pub unbind: Vec<Unbind>,
    /// What the node is to be told. Closed when the stream is over.
    pub directives: mpsc::Receiver<Directive>,
}

/// A handle to a running cell. Clones speak to the same one.
#[derive(Debug, Clone)]
pub struct Cell {
    queue: SyncSender<Message>,
    recorded: watch::Receiver<u64>,
}

enum Message {
    Submit(Box<Submitted>),
    Read(Box<dyn FnOnce(&State) + Send>),
    Entries { from: u64, limit: usize, reply: oneshot::Sender<Result<Vec<Entry>, Refusal>> },
    Stop(oneshot::Sender<()>),
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Submit(_) => "Submit",
            Self::Read(_) => "Read",
            Self::Entries { .. } => "Entries",
            Self::Stop(_) => "Stop",
        })
    }
}

struct Submitted {
    request: Request,
    sink: Option<mpsc::Sender<Directive>>,
    reply: oneshot::Sender<Result<Answered, Refusal>>,
}

impl Cell {
    /// Takes the journal over and starts the thread.
    pub fn start(journal: Box<dyn Journal>, settings: Settings, edge: Edge) -> Result<(Self, StartReport), CellError> {
        let (registry, report) = Registry::open(journal, settings, (edge.now)(), &(edge.entropy)())?;
        let (queue, messages) = sync_channel(QUEUED_MAX);
        let (publish, recorded) = watch::channel(registry.state().last_index);
        let runner =
            Runner { registry, edge, messages, publish, sinks: Sinks::default(), expired_at: Timestamp::default() };
        std::thread::Builder::new().name("cell".into()).spawn(move || runner.run()).map_err(|error| {
            CellError::Settings(Refusal::new(Kind::Unavailable, format!("no thread for the cell: {error}")))
        })?;
        Ok((Self { queue, recorded }, report))
    }

    /// Decides and records a request.
    pub async fn submit(&self, request: Request) -> Result<Answered, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Submit(Box::new(Submitted { request, sink: None, reply })))?;
        answer.await.map_err(|_| stopped())?
    }

    /// Opens a node's stream.
    pub async fn attach(
        &self,
        node: NodeName,
        workers: Vec<WorkerRef>,
        held: Vec<Held>,
    ) -> Result<Attachment, Refusal> {
        let (sink, directives) = mpsc::channel(DIRECTIVES_QUEUED_MAX);
        let (reply, answer) = oneshot::channel();
        let caller = Caller::Node { name: node.clone() };
        let request = Request { caller, idempotency_key: None, command: Command::AttachNode { node, workers, held } };
        self.send(Message::Submit(Box::new(Submitted { request, sink: Some(sink), reply })))?;
        match answer.await.map_err(|_| stopped())??.answer {
            Answer::Attached { session, unbind } => Ok(Attachment { session, unbind, directives }),
            _ => Err(Refusal::new(Kind::Bug, "attaching a node was answered with something else")),
        }
    }

    /// Looks at the registry. What is seen is recorded.
    pub async fn read<T: Send + 'static>(&self, look: impl FnOnce(&State) -> T + Send + 'static) -> Result<T, Refusal> {
        let (reply, seen) = oneshot::channel();
        let look = move |state: &State| {
            // The reader may have gone away meanwhile.
            let _ = reply.send(look(state));
        };
        self.send(Message::Read(Box::new(look)))?;
        seen.await.map_err(|_| stopped())
    }

    /// Reads recorded entries from index `from` on, at most `limit`.
    pub async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, Refusal> {
        let (reply, entries) = oneshot::channel();
        self.send(Message::Entries { from, limit, reply })?;
        entries.await.map_err(|_| stopped())?
    }

    /// Index of the last recorded entry; changes when more are recorded.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.recorded.clone()
    }

    /// Ends the thread after what is queued, with a snapshot.
    pub async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        let mut message = Message::Stop(reply);
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            message = back;
            tokio::task::yield_now().await;
        }
        // An error means that the thread has ended already.
        let _ = done.await;
    }

    fn send(&self, message: Message) -> Result<(), Refusal> {
        self.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => {
                let message = format!("{QUEUED_MAX} requests wait already, which is the limit");
                Refusal::new(Kind::Unavailable, message).retry_after_ms(RETRY_AFTER_MS)
            }
            TrySendError::Disconnected(_) => stopped(),
        })
    }
}

fn stopped() -> Refusal {
    Refusal::new(Kind::Unavailable, "the control plane is stopping or cannot write its journal").retry_after_ms(1_000)
}

struct Runner {
    registry: Registry,
    edge: Edge,
    messages: Receiver<Message>,
    publish: watch::Sender<u64>,
    sinks: Sinks,
    expired_at: Timestamp,
}

impl Runner {
    fn run(mut self) {
        let mut stop = None;
        while stop.is_none() {
            let mut submitted = Vec::new();
            let mut reads = Vec::new();
            match self.messages.recv_timeout(Duration::from_millis(EXPIRE_EVERY_MS)) {
                Ok(message) => stop = sort(message, &mut submitted, &mut reads),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while stop.is_none() && submitted.len() + reads.len() < BATCH_REQUESTS_MAX {
                match self.messages.try_recv() {
                    Ok(message) => stop = sort(message, &mut submitted, &mut reads),
                    Err(_) => break,
                }
            }
            if !self.turn(submitted) {
                return;
            }
            reads.into_iter().for_each(|read| self.read(read));
        }
        if let Err(error) = self.registry.snapshot_after(1) {
            tracing::warn!(%error, "no snapshot at the end; the next start replays the journal");
        }
        // Whoever waits for the end may open the journal again at once, so it is closed first.
        drop(self);
        if let Some(reply) = stop {
            // Whoever asked may not wait for it.
            let _ = reply.send(());
        }
    }

    /// One turn; `false` when the cell cannot go on.
    fn turn(&mut self, submitted: Vec<Submitted>) -> bool {
        let now = (self.edge.now)();
        let (mut requests, mut replies): (Vec<_>, Vec<_>) =
            submitted.into_iter().map(|one| (one.request, Some((one.sink, one.reply)))).unzip();
        if now.ms_since(self.expired_at) >= EXPIRE_EVERY_MS {
            self.expired_at = now;
            requests.push(Request { caller: Caller::System, idempotency_key: None, command: Command::Expire });
            replies.push(None);
        }
        match self.registry.turn(now, &mut self.edge.entropy, &requests) {
            Ok(turn) => {
                let recorded = turn.entries.last().map(|entry| entry.index);
                let mut answered = Vec::with_capacity(replies.len());
                for ((reply, answer), request) in replies.into_iter().zip(turn.answers).zip(requests) {
                    let Some((sink, reply)) = reply else { continue };
                    if let (Some(sink), Ok(Answered { answer: Answer::Attached { session, .. }, .. })) = (sink, &answer)
                        && let Command::AttachNode { node, .. } = request.command
                    {
                        self.sinks.open(node, *session, sink);
                    }
                    answered.push((reply, answer));
                }
                turn.directives.into_iter().for_each(|directive| self.sinks.deliver(directive));
                for (reply, answer) in answered {
                    // The caller may have gone away; what it asked for is recorded all the same.
                    let _ = reply.send(answer);
                }
                if let Some(index) = recorded {
                    self.publish.send_replace(index);
                    self.snapshot();
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "recording failed; reading the journal again");
                for (_, reply) in replies.into_iter().flatten() {
                    let message = "it is not known whether this was recorded: the journal failed";
                    let hint = "Ask again with the same idempotency key";
                    let refusal = Refusal::new(Kind::Unavailable, message).hint(hint).retry_after_ms(RETRY_AFTER_MS);
                    let _ = reply.send(Err(refusal));
                }
                self.sinks.close_all();
                self.recover()
            }
        }
    }

    fn recover(&mut self) -> bool {
        match self.registry.recover() {
            Ok(_) => {
                self.publish.send_replace(self.registry.state().last_index);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read again; the control plane stops");
                false
            }
        }
    }

    fn snapshot(&mut self) {
        if let Err(error) = self.registry.snapshot_after(SNAPSHOT_ENTRIES) {
            tracing::warn!(%error, "no snapshot; the next start takes longer");
        }
    }

    fn read(&mut self, read: Message) {
        match read {
            Message::Read(look) => look(self.registry.state()),
            Message::Entries { from, limit, reply } => {
                let entries = self.registry.read(from, limit).map_err(|error| {
                    tracing::error!(%error, "the journal cannot be read");
                    Refusal::new(Kind::Unavailable, "the journal cannot be read now").retry_after_ms(RETRY_AFTER_MS)
                });
                // The reader may have gone away.
                let _ = reply.send(entries);
            }
            Message::Submit(_) | Message::Stop(_) => {}
        }
    }
}

fn sort(message: Message, submitted: &mut Vec<Submitted>, reads: &mut Vec<Message>) -> Option<oneshot::Sender<()>> {
    match message {
        Message::Submit(one) => submitted.push(*one),
        Message::Read(_) | Message::Entries { .. } => reads.push(message),
        Message::Stop(reply) => return Some(reply),
    }
    None
}
