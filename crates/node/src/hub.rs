//! The hub: the one task that owns the state machine. Everything that happens to the node passes through here, and every
//! effect starts here.
//!
//! INVARIANT: the hub never waits for anybody who may wait for it. It sends only where there is room: a stream that does
//! not take more is cut, a question that cannot be asked is refused.

pub(crate) mod call;
pub(crate) mod decide;
mod handover;
mod holding;
mod stream;

use crate::clock::MonoClock;
use crate::core::message::BindNotice;
use crate::core::{Core, Effect, Input, MonoMs};
use crate::event::{Event, HolderEvent, LocalRun, Renewed, RunNotice};
use crate::handover::Estate;
use crate::holder::{Reins, Workshop};
use crate::judge::keeper::Told;
use crate::mark::Marks;
use crate::meter::Meters;
use crate::reservoir::Reservoir;
use crate::runtime::Running;
use crate::signing::Signing;
use credence_attest::process_tree::TreeRoot;
use credence_credential::bundle::Bundle;
use credence_model::guard::Guard;
use credence_model::id::{ActorRef, BindingId, WorkerRef};
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::TrustDomain;
use credence_telemetry::limit::Limit;
use credence_telemetry::span::Span;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stream::OpenStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

/// Most questions to the control plane, of each kind, that wait for an answer.
const ASKED_MAX: usize = 4096;
/// The node's actors want too many tokens at once.
pub(crate) static TOKENS: Limit =
    Limit::new("server_tokens", ASKED_MAX as u64, "tokens asked of the server", "refused: unavailable");
/// Too many programs want to be actors at once.
pub(crate) static PROGRAMS: Limit =
    Limit::new("server_programs", ASKED_MAX as u64, "programs that wait for a binding", "refused: unavailable");
/// Longest end of a node that was told to end, in milliseconds: the longest grace of a class, and a little.
const SHUTDOWN_MS_MAX: u64 = 75_000;

/// Longest time without a look at the clock while there is a lease, in milliseconds.
const LOOK_AGAIN_MS: u64 = 500;

/// What the hub is made with.
pub(crate) struct HubParts {
    pub(crate) workers: Vec<WorkerRef>,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) bundles: watch::Sender<Arc<Bundle>>,
    pub(crate) signing: watch::Sender<Signing>,
    pub(crate) connected: watch::Sender<bool>,
    pub(crate) meters: Meters,
    /// The node's clock.
    pub(crate) clock: MonoClock,
    /// Where what is told of permissions goes.
    pub(crate) told: mpsc::Sender<Told>,
    pub(crate) log_dir: PathBuf,
    /// Where the last mark is kept.
    pub(crate) data_dir: PathBuf,
    /// What an earlier program of this process left.
    pub(crate) inherited: Option<Estate>,
    /// The bindings that go on.
    pub(crate) served: Vec<BindNotice>,
}

/// The node's one owner of state.
pub(crate) struct Hub {
    parts: HubParts,
    clock: MonoClock,
    core: Core,
    marks: Marks,
    /// Inputs that wait for the effects of the one before them.
    inputs: VecDeque<Input>,
    stepping: bool,
    stream: Option<OpenStream>,
    reservoir: Reservoir,
    holders: BTreeMap<BindingId, Held>,
    /// Bindings of process trees whose callers are not known yet.
    unclaimed: BTreeMap<BindingId, Box<BindNotice>>,
    /// The requests that led to bindings which are not held yet.
    requests: BTreeMap<BindingId, String>,
    /// What is recorded of bindings that were not reported to run yet.
    starting: BTreeMap<BindingId, Span>,
    /// Process trees that wait for their binding, by request.
    runs: HashMap<u64, Box<LocalRun>>,
    /// JWT-SVIDs that were asked for, by request.
    mints: HashMap<u64, oneshot::Sender<Result<String, Refusal>>>,
    /// Decisions that were asked for, and decisions that are to be recorded, by request.
    decisions: HashMap<u64, decide::Waiting>,
    records: HashMap<u64, decide::Recorded>,
    /// What owners of resources say, as far as it was told on this stream; nothing before its first part and after the last.
    guards: Option<Vec<Guard>>,
    /// How old what is known of permissions may be, in milliseconds; the control plane said it.
    decision_age_ms: Option<u64>,
    /// X.509-SVIDs that were asked for.
    renewals: HashMap<BindingId, oneshot::Sender<Renewed>>,
    node_renewal: Option<oneshot::Sender<Renewed>>,
    last_request: u64,
    /// Room for questions of the control plane that are being answered.
    calls: Arc<Semaphore>,
    ends_by: Option<Instant>,
    handing: Option<handover::Handing>,
}

/// A binding that is held.
struct Held {
    actor: ActorRef,
    /// Its process tree, as soon as there is one.
    root: Option<TreeRoot>,
    reins: Reins,
    running: Option<Arc<dyn Running>>,
    /// Whether it runs and its identity is served.
    started: bool,
    /// The last request about it that the control plane named, for the log.
    request: Option<String>,
    /// Where a caller goes that comes back to a tree which was an actor already.
    rejoin: Option<mpsc::Sender<Box<LocalRun>>>,
}

impl Hub {
    pub(crate) fn new(mut parts: HubParts) -> Self {
        let served = std::mem::take(&mut parts.served);
        let core = match parts.inherited.take() {
            Some(estate) => Core::resume(parts.workers.clone(), estate.lease, served, estate.ends.clone()),
            None => Core::new(parts.workers.clone()),
        };
        Self {
            core,
            marks: Marks::open(&parts.data_dir),
            clock: parts.clock,
            parts,
            inputs: VecDeque::new(),
            stepping: false,
            stream: None,
            reservoir: Reservoir::default(),
            holders: BTreeMap::new(),
            unclaimed: BTreeMap::new(),
            requests: BTreeMap::new(),
            starting: BTreeMap::new(),
            runs: HashMap::new(),
            mints: HashMap::new(),
            decisions: HashMap::new(),
            records: HashMap::new(),
            guards: None,
            decision_age_ms: None,
            renewals: HashMap::new(),
            node_renewal: None,
            last_request: 0,
            calls: Arc::new(Semaphore::new(call::CALLS_MAX)),
            ends_by: None,
            handing: None,
        }
    }

    /// Works until the node was told to end and everything has ended.
    pub(crate) async fn work(mut self, mut events: mpsc::Receiver<Event>) {
        loop {
            let deadline = self.core.next_deadline();
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                () = until(self.clock, deadline) => self.step(Input::Tick),
                () = expired(self.handing.as_ref().map(|handing| handing.by)) => {}
                () = self.parts.workshop.judge.records().drained(), if self.is_ending() => {}
                () = expired(self.ends_by) => return tracing::warn!("not everything has ended in time"),
            }
            if self.has_made_way() {
                return;
            }
            if self.ends_by.is_some() && self.is_at_rest() {
                return;
            }
        }
    }

    /// Whether it waits for what is left, to end or to make way.
    fn is_ending(&self) -> bool {
        self.handing.is_some() || self.ends_by.is_some()
    }

    /// Whether the end has nothing left to wait for. Without a stream nobody can be told, and the leases tell it.
    fn is_at_rest(&self) -> bool {
        let is_told = self.core.is_settled() && self.parts.workshop.judge.records().left() == 0;
        self.holders.is_empty() && (is_told || self.core.connected().is_none())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Stream { stream, event } => self.streamed(stream, event),
            Event::Holder { binding, event } => self.holder_told(binding, event),
            Event::Renew { held, csr, answer } => self.renew(held, csr, answer),
            Event::RenewNode { csr, answer } => self.renew_node(csr, answer),
            Event::BundleKept { sequence, reissued } => self.bundle_kept(sequence, reissued),
            Event::Chains(answer) => {
                // Whoever asked may have gone away.
                let _ = answer.send(self.holders.values().filter_map(|held| held.reins.chain()).collect());
            }
            Event::Mint { held, audience, trace, answer } => self.mint(held, audience, &trace, answer),
            Event::Decide { asker, inquiries, trace, answer, turn } => {
                self.decide(asker, inquiries, &trace, decide::Waiting { answer, _turn: turn });
            }
            Event::Record { batch, answer } => self.record(&batch, answer),
            Event::Run(run) => self.run(run),
            Event::HandOver(answer) => self.make_way(answer),
            Event::Shutdown => {
                self.ends_by = Some(Instant::now() + Duration::from_millis(SHUTDOWN_MS_MAX));
                self.step(Input::Shutdown);
            }
        }
    }

    fn holder_told(&mut self, binding: BindingId, event: HolderEvent) {
        let request = self.holders.get(&binding).and_then(|held| held.request.clone());
        let input = match event {
            HolderEvent::Rooted(root) => {
                if let Some(held) = self.holders.get_mut(&binding) {
                    held.root = Some(root);
                }
                return;
            }
            HolderEvent::Started(running) => {
                if let Some(held) = self.holders.get_mut(&binding) {
                    held.running = running;
                    held.started = true;
                }
                tracing::info!(%binding, request, "a binding runs");
                Input::Started { binding }
            }
            HolderEvent::Left(left) => return self.take_left(binding, *left),
            HolderEvent::Exited(code) => {
                tracing::info!(%binding, request, code, "a program ended");
                Input::Exited { binding, code }
            }
            HolderEvent::StartFailed(reason) => {
                self.forget(binding);
                self.starting.get_mut(&binding).into_iter().for_each(|part| part.fail_if(true));
                tracing::warn!(%binding, request, reason, "a binding could not be started");
                Input::StartFailed { binding, reason }
            }
            HolderEvent::Stopped { archive, trouble } => {
                self.forget(binding);
                tracing::info!(%binding, request, trouble, "a binding is over");
                Input::Stopped { binding, archive, trouble }
            }
        };
        self.step(input);
    }

    /// Steps the state machine and does what it says. What an effect leads to at once comes after the effects before it.
    fn step(&mut self, input: Input) {
        self.inputs.push_back(input);
        if std::mem::replace(&mut self.stepping, true) {
            return;
        }
        while let Some(input) = self.inputs.pop_front() {
            for effect in self.core.step(self.clock.now(), input) {
                match effect {
                    Effect::Send { stream, message } => {
                        let part = message.running().and_then(|held| self.starting.remove(&held.binding));
                        let message = crate::protocol::from_node(message, self.marks.last());
                        self.send_on(stream, message, &part.map(|part| part.trace()).unwrap_or_default());
                    }
                    Effect::Start(notice) => self.start(notice),
                    Effect::Stop { binding, mode } => self.stop(binding, mode),
                    Effect::Disconnect { stream } => self.disconnect(stream),
                }
            }
        }
        self.stepping = false;
        self.requests.retain(|binding, _| self.core.holds(*binding));
        self.starting.retain(|binding, _| self.core.holds(*binding));
        self.reservoir.keep_claimed(|binding| self.core.holds(binding));
        let is_connected = self.core.connected().is_some();
        self.parts.meters.stepped(self.clock, is_connected, self.holders.len(), self.core.lease_until());
        self.parts.connected.send_if_modified(|connected| std::mem::replace(connected, is_connected) != is_connected);
    }

    fn next_request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }
}

fn away() -> Refusal {
    Refusal::new(Kind::Unavailable, "the node is not connected to the control plane").retry_after_ms(1_000)
}

/// The control plane owes too many answers. Whoever asks next comes again.
fn busy(limit: &Limit) -> Refusal {
    limit.hit();
    let message = format!("{} {} wait already, which is the limit", limit.value, limit.unit);
    Refusal::new(Kind::Unavailable, message).hint("try again").retry_after_ms(1_000)
}

fn refuse(run: &LocalRun, refusal: Refusal) {
    // The caller may have gone already.
    let _ = run.notices.try_send(RunNotice::Refused(refusal));
}

async fn until(clock: MonoClock, deadline: Option<MonoMs>) {
    match deadline {
        // Timers stand while the machine is suspended, and the lease does not: it is looked at soon after.
        Some(deadline) => {
            let look_again = Instant::now() + Duration::from_millis(LOOK_AGAIN_MS);
            tokio::time::sleep_until(clock.at(deadline).min(look_again)).await;
        }
        None => std::future::pending().await,
    }
}

async fn expired(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
