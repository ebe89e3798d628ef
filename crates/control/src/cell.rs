//! The cell: a registry on a thread of its own, behind bounded queues.
//!
//! The thread takes what is waiting (up to a limit, and fairly: see `intake`), decides and applies each request, records all of it with one
//! append, answers all, and publishes to the nodes. Reads run between turns, so they see recorded state only; glances do so wherever
//! they are asked for.

use crate::intake::{Intake, LANE_QUEUED, LANE_QUEUED_MAX, Lane, Outlet, QUEUED, QUEUED_MAX, Turned, intake};
use crate::lent::Lent;
use crate::meter::{Metered, Meters};
use crate::openings::{Opening, Openings};
use crate::refused::{RETRY_AFTER_MS, cannot_write, full, stopped};
use crate::registry::{Answered, CellError, Recorded, Registry, StartReport};
use crate::sinks::{DIRECTIVES_QUEUED_MAX, Directed, Reconsidered, Sink, Sinks};
use credence_journal::{Journal, JournalError};
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command, Held, Request, Unbind};
use credence_model::decide::Entropy;
use credence_model::event::Entry;
use credence_model::id::{Digest, Epoch, NodeName, WorkerRef};
use credence_model::refusal::{Kind, Refusal};
use credence_model::settings::Settings;
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_telemetry::span::Trace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Most requests of one turn, which share one append.
pub const BATCH_REQUESTS_MAX: usize = 1_024;
/// How often leases and queues are looked at, in milliseconds.
pub const EXPIRE_EVERY_MS: u64 = 50;
/// How many entries are recorded between two snapshots, at least. With more than twice as many actors it is half their
/// number, so that writing snapshots stays a small part of the work and a start stays as quick as reading one.
pub const SNAPSHOT_ENTRIES: u64 = 100_000;

/// How long the cell may take to answer when it is asked whether it is ready, in milliseconds.
const READY_MS_MAX: u64 = 1_000;

/// The first pause before a journal that the system refuses is read again, and the longest, in milliseconds.
const RECOVER_MS: u64 = 100;
const RECOVER_MS_MAX: u64 = 2_000;

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
    pub directives: mpsc::Receiver<Directed>,
    /// What changed of the permissions of its actors: of a change that was recorded before something was answered, this tells
    /// before that.
    pub reconsidered: Arc<Reconsidered>,
}

/// A handle to a running cell. Clones speak to the same one.
#[derive(Debug, Clone)]
pub struct Cell {
    intake: Arc<Intake<Waiting>>,
    meters: Meters,
    recorded: watch::Receiver<Recorded>,
    /// How many streams of nodes were opened.
    opened: Arc<AtomicU64>,
    lent: Lent,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    message: Message,
}

/// What a reader does with the registry, or with why it cannot look.
type Look = dyn FnOnce(Result<&State, Refusal>) + Send;

enum Message {
    Submit(Box<Submitted>),
    Read(Box<Look>),
    Entries { from: u64, limit: usize, reply: oneshot::Sender<Result<Vec<Entry>, Refusal>> },
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Submit(_) => "Submit",
            Self::Read(_) => "Read",
            Self::Entries { .. } => "Entries",
        })
    }
}

struct Submitted {
    request: Request,
    trace: Trace,
    sink: Option<(Opening, Sink)>,
    reply: oneshot::Sender<Result<Answered, Refusal>>,
}

impl Cell {
    /// Takes the journal over and starts the thread.
    pub fn start(journal: Box<dyn Journal>, settings: Settings, edge: Edge) -> Result<(Self, StartReport), CellError> {
        let meters = Meters::default();
        let journal = Box::new(Metered { journal, meters: meters.clone() });
        let (mut registry, report) = Registry::open(journal, settings, (edge.now)(), &(edge.entropy)())?;
        let (intake, outlet) = intake(QUEUED_MAX, LANE_QUEUED_MAX);
        let last = registry.read(registry.state().last_index, 1)?;
        // A start is an entry, so there is a last one.
        let none = Recorded { index: 0, digest: Digest([0; 32]), epoch: Epoch::default() };
        let last = last.first().map_or(none, |last| registry.recorded(last));
        let (publish, recorded) = watch::channel(last);
        let lent = Lent::default();
        let runner = Runner {
            registry,
            lent: lent.clone(),
            edge,
            outlet,
            meters: meters.clone(),
            publish,
            sinks: Sinks::default(),
            openings: Openings::default(),
            expired_at: Timestamp::default(),
            storing: None,
        };
        std::thread::Builder::new().name("cell".into()).spawn(move || runner.run()).map_err(|error| {
            CellError::Settings(Refusal::new(Kind::Unavailable, format!("no thread for the cell: {error}")))
        })?;
        let opened = Arc::new(AtomicU64::new(0));
        Ok((Self { intake: Arc::new(intake), meters, recorded, opened, lent }, report))
    }

    /// Decides and records a request.
    pub async fn submit(&self, request: Request) -> Result<Answered, Refusal> {
        self.submit_traced(request, Trace::default()).await
    }

    /// Decides and records a request of which more is told elsewhere, under this id.
    pub async fn submit_traced(&self, request: Request, trace: Trace) -> Result<Answered, Refusal> {
        let (reply, answer) = oneshot::channel();
        let lane = Lane::of(&request.command);
        self.send(lane, Message::Submit(Box::new(Submitted { request, trace, sink: None, reply })))?;
        answer.await.map_err(|_| stopped())?
    }

    /// Notes that a stream is opened now: before the node is answered, and so before it says anything.
    pub fn opening(&self) -> Opening {
        Opening(self.opened.fetch_add(1, Ordering::SeqCst))
    }

    /// Attaches a node by what it said on a stream, unless it has opened a newer one and said something there.
    pub async fn attach(
        &self,
        opening: Opening,
        node: NodeName,
        workers: Vec<WorkerRef>,
        held: Vec<Held>,
    ) -> Result<Attachment, Refusal> {
        let (queue, directives) = mpsc::channel(DIRECTIVES_QUEUED_MAX);
        let reconsidered = Arc::new(Reconsidered::default());
        let sink = Sink { queue, reconsidered: Arc::clone(&reconsidered) };
        let (reply, answer) = oneshot::channel();
        let caller = Caller::Node { name: node.clone() };
        let request = Request { caller, idempotency_key: None, command: Command::AttachNode { node, workers, held } };
        let lane = Lane::of(&request.command);
        self.send(
            lane,
            Message::Submit(Box::new(Submitted {
                request,
                trace: Trace::default(),
                sink: Some((opening, sink)),
                reply,
            })),
        )?;
        match answer.await.map_err(|_| stopped())??.answer {
            Answer::Attached { session, unbind } => Ok(Attachment { session, unbind, directives, reconsidered }),
            _ => Err(Refusal::new(Kind::Bug, "attaching a node was answered with something else")),
        }
    }

    /// Looks at the registry. What is seen is recorded.
    pub async fn read<T: Send + 'static>(&self, look: impl FnOnce(&State) -> T + Send + 'static) -> Result<T, Refusal> {
        let (reply, seen) = oneshot::channel();
        let look = move |state: Result<&State, Refusal>| {
            // The reader may have gone away meanwhile.
            let _ = reply.send(state.map(look));
        };
        self.send(Lane::Readers, Message::Read(Box::new(look)))?;
        seen.await.map_err(|_| stopped())?
    }

    /// Looks at the registry for a moment, here and now unless a turn is under way. What is seen is recorded, and nothing is while
    /// it is looked at: this is for looks that find what they look for by its name.
    pub async fn glance<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.lent.glance(look) {
            Ok(seen) => Ok(seen),
            Err(look) => self.read(look).await,
        }
    }

    /// Reads recorded entries from index `from` on, at most `limit`.
    pub async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, Refusal> {
        let (reply, entries) = oneshot::channel();
        self.send(Lane::Readers, Message::Entries { from, limit, reply })?;
        entries.await.map_err(|_| stopped())?
    }

    /// How far the record is; changes when more is recorded, before anybody is told what it led to.
    pub fn recorded(&self) -> watch::Receiver<Recorded> {
        self.recorded.clone()
    }

    /// What it measures.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Whether its thread has ended.
    pub fn is_over(&self) -> bool {
        self.recorded.has_changed().is_err()
    }

    /// Whether it answers and can record, or why not.
    ///
    /// # Errors
    /// What is missing, in words.
    pub async fn ready(&self) -> Result<(), String> {
        self.meters.can_append()?;
        match tokio::time::timeout(Duration::from_millis(READY_MS_MAX), self.read(|_| ())).await {
            Ok(looked) => looked.map_err(|refusal| refusal.message),
            Err(_) => Err(format!("the cell did not answer within {READY_MS_MAX} ms")),
        }
    }

    /// Ends the thread after what is queued, with a snapshot.
    pub async fn stop(&self) {
        self.intake.close();
        let mut recorded = self.recorded.clone();
        // The thread publishes until its end, and drops the journal before it drops this channel.
        while recorded.changed().await.is_ok() {}
    }

    fn send(&self, lane: Lane, message: Message) -> Result<(), Refusal> {
        match self.intake.push(lane, Waiting { since: Instant::now(), message }) {
            Ok(None) => Ok(()),
            Ok(Some(displaced)) => {
                QUEUED.hit();
                displaced.message.refuse(full());
                Ok(())
            }
            Err(Turned::LaneFull(_)) => {
                LANE_QUEUED.hit();
                let message = format!("{LANE_QUEUED_MAX} requests wait already in this queue, which is the limit");
                Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(RETRY_AFTER_MS))
            }
            Err(Turned::Full(_)) => {
                QUEUED.hit();
                Err(full())
            }
            Err(Turned::Closed(_)) => Err(stopped()),
        }
    }
}

impl Message {
    /// Tells who waits for it. They may have gone away.
    fn refuse(self, refusal: Refusal) {
        match self {
            Self::Submit(submitted) => drop(submitted.reply.send(Err(refusal))),
            Self::Read(look) => look(Err(refusal)),
            Self::Entries { reply, .. } => drop(reply.send(Err(refusal))),
        }
    }
}

/// Whoever waits for its end may open the journal again at once: the registry is dropped first, `publish` last.
struct Runner {
    registry: Registry,
    lent: Lent,
    edge: Edge,
    outlet: Outlet<Waiting>,
    meters: Meters,
    sinks: Sinks,
    openings: Openings,
    expired_at: Timestamp,
    /// The thread that stores a snapshot.
    storing: Option<JoinHandle<()>>,
    publish: watch::Sender<Recorded>,
}

impl Runner {
    fn run(mut self) {
        loop {
            self.lent.lend(self.registry.state_mut());
            let waiting = self.outlet.take(BATCH_REQUESTS_MAX, Duration::from_millis(EXPIRE_EVERY_MS));
            self.lent.recall(self.registry.state_mut());
            let Some(waiting) = waiting else { break };
            let mut submitted = Vec::new();
            let mut reads = Vec::new();
            let begun = Instant::now();
            for Waiting { since, message } in waiting {
                self.meters.waited.observe(begun.saturating_duration_since(since).as_secs_f64());
                match message {
                    Message::Submit(one) => {
                        one.trace.record("cell.queue", since, begun);
                        submitted.push(*one);
                    }
                    Message::Read(_) | Message::Entries { .. } => reads.push(message),
                }
            }
            if !self.turn(submitted, begun) {
                return;
            }
            reads.into_iter().for_each(|read| self.read(read));
            let (queued, lanes, longest) = self.outlet.depth();
            self.meters.depth(queued, lanes, longest);
        }
        self.await_storing();
        if self.outlet.is_abandoned() {
            return;
        }
        if let Err(error) = self.registry.snapshot_after(1) {
            tracing::warn!(%error, "no snapshot at the end; the next start replays the journal");
        }
    }

    /// Refuses what nodes said on streams that are not their newest.
    fn admit(&mut self, submitted: Vec<Submitted>) -> Vec<Submitted> {
        let mut admitted = Vec::with_capacity(submitted.len());
        for one in submitted {
            let refused = match (&one.sink, &one.request.command) {
                (Some((opening, _)), Command::AttachNode { node, .. }) => self.openings.admit(node, *opening).err(),
                _ => None,
            };
            match refused {
                // The stream may have ended meanwhile.
                Some(refusal) => drop(one.reply.send(Err(refusal))),
                None => admitted.push(one),
            }
        }
        admitted
    }

    /// One turn; `false` when the cell cannot go on.
    fn turn(&mut self, submitted: Vec<Submitted>, begun: Instant) -> bool {
        let now = (self.edge.now)();
        let submitted = self.admit(submitted);
        if !submitted.is_empty() {
            self.meters.batch.observe(submitted.len() as f64);
        }
        let traces: Vec<_> = submitted.iter().map(|one| one.trace.clone()).collect();
        let (mut requests, mut replies): (Vec<_>, Vec<_>) =
            submitted.into_iter().map(|one| (one.request, Some((one.sink, one.reply)))).unzip();
        if now.ms_since(self.expired_at) >= EXPIRE_EVERY_MS {
            self.expired_at = now;
            requests.push(Request { caller: Caller::System, idempotency_key: None, command: Command::Expire });
            replies.push(None);
        }
        let turned = self.registry.turn(now, &mut self.edge.entropy, &requests);
        self.meters.trace(&traces, begun, turned.is_err());
        match turned {
            Ok(turn) => {
                let is_news = turn.entries.last().map(|last| self.publish.send_replace(self.registry.recorded(last)));
                let mut answered = Vec::with_capacity(replies.len());
                for ((reply, answer), request) in replies.into_iter().zip(turn.answers).zip(requests) {
                    let Some((sink, reply)) = reply else { continue };
                    if let (Some((_, sink)), Ok(Answered { answer: Answer::Attached { session, .. }, .. })) =
                        (sink, &answer)
                        && let Command::AttachNode { node, .. } = request.command
                    {
                        self.sinks.open(node, *session, sink);
                    }
                    answered.push((reply, answer));
                }
                for (directive, cause) in turn.directives.into_iter().zip(turn.causes) {
                    let trace = cause.and_then(|nth| traces.get(nth).cloned()).unwrap_or_default();
                    self.sinks.deliver(Directed { directive, trace });
                }
                for (reply, answer) in answered {
                    // The caller may have gone away; what it asked for is recorded all the same.
                    let _ = reply.send(answer);
                }
                if is_news.is_some() {
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

    /// Reads the journal again, as often as it takes while it is the system that refuses: a full disk can have room again.
    fn recover(&mut self) -> bool {
        // Recovery removes what is half written.
        self.await_storing();
        let mut pause_ms = RECOVER_MS;
        loop {
            match self.registry.recover() {
                Ok(_) => {
                    let last = self.registry.read(self.registry.state().last_index, 1);
                    if let Some(last) = last.ok().as_ref().and_then(|last| last.first()) {
                        self.publish.send_replace(self.registry.recorded(last));
                    }
                    return true;
                }
                Err(CellError::Journal(error @ JournalError::Io { .. })) => {
                    tracing::error!(%error, pause_ms, "the journal cannot be read again yet; nothing is recorded");
                }
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read again; the control plane stops");
                    return false;
                }
            }
            if !self.refuse_for(Duration::from_millis(pause_ms)) {
                return false;
            }
            pause_ms = (pause_ms * 2).min(RECOVER_MS_MAX);
        }
    }

    /// Refuses whatever comes for so long; `false` when the cell is to end.
    fn refuse_for(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(waiting) = self.outlet.take(BATCH_REQUESTS_MAX, left) else { return false };
            waiting.into_iter().for_each(|waiting| waiting.message.refuse(cannot_write()));
            if left.is_zero() {
                return true;
            }
        }
    }

    /// Begins a snapshot if it is time; another thread writes it, since that can take seconds.
    fn snapshot(&mut self) {
        if self.storing.as_ref().is_some_and(|storing| !storing.is_finished()) {
            return;
        }
        let actors = self.registry.state().actors.len() as u64;
        let begun = match self.registry.begin_snapshot_after(SNAPSHOT_ENTRIES.max(actors / 2)) {
            Ok(None) => return,
            Ok(Some(begun)) => std::thread::Builder::new().name("snapshot".into()).spawn(move || {
                if let Err(error) = begun.store() {
                    tracing::warn!(%error, "no snapshot; the next start takes longer");
                }
            }),
            Err(error) => return tracing::warn!(%error, "no snapshot; the next start takes longer"),
        };
        match begun {
            Ok(storing) => self.storing = Some(storing),
            Err(error) => tracing::warn!(%error, "no thread for a snapshot; the next start takes longer"),
        }
    }

    fn await_storing(&mut self) {
        if let Some(storing) = self.storing.take()
            && storing.join().is_err()
        {
            tracing::error!("storing a snapshot ended in a panic");
        }
    }

    fn read(&mut self, read: Message) {
        match read {
            Message::Read(look) => look(Ok(self.registry.state())),
            Message::Entries { from, limit, reply } => {
                let entries = self.registry.read(from, limit).map_err(|error| {
                    tracing::error!(%error, "the journal cannot be read");
                    Refusal::new(Kind::Unavailable, "the journal cannot be read now").retry_after_ms(RETRY_AFTER_MS)
                });
                // The reader may have gone away.
                let _ = reply.send(entries);
            }
            Message::Submit(_) => {}
        }
    }
}
