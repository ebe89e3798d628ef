//! Requests to try, and a registry whose clock and randomness are set by hand.

use credence_control::{Cell, Edge, LIMITS, Registry, StartReport};
use credence_journal::{Journal, MemoryDisk, MemoryJournal};
use credence_model::apply::apply;
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, DESCRIPTION_BYTES_MAX, Runtime};
use credence_model::command::{Command, Held, Report, Request};
use credence_model::decide::Entropy;
use credence_model::directive::Bind;
use credence_model::event::Entry;
use credence_model::id::{ActorRef, Digest, NodeName, WorkerRef};
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::state::State;
use credence_model::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

static DRAWS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn entropy() -> Entropy {
    Digest::of(&DRAWS.fetch_add(1, Ordering::Relaxed).to_be_bytes()).0
}

pub(crate) fn settings() -> Settings {
    Settings::new(TrustDomain::parse("demo.internal").unwrap())
}

pub(crate) fn registry(disk: &MemoryDisk) -> (Registry, StartReport) {
    Registry::open(Box::new(MemoryJournal::open(disk)), settings(), START, &entropy()).unwrap()
}

/// A cell whose time stands still: nothing expires by itself.
pub(crate) fn cell_on(journal: Box<dyn Journal>) -> (Cell, StartReport) {
    let edge = Edge { now: Box::new(|| START), entropy: Box::new(entropy) };
    Cell::start(journal, settings(), edge).unwrap()
}

pub(crate) fn cell(disk: &MemoryDisk) -> Cell {
    cell_on(Box::new(MemoryJournal::open(disk))).0
}

/// Everything that is recorded.
pub(crate) fn recorded(registry: &mut Registry) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        let page = registry.read(entries.len() as u64 + 1, usize::MAX).unwrap();
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}

/// The state that a whole journal says.
pub(crate) fn replayed(entries: &[Entry]) -> State {
    entries.iter().fold(State::default(), |mut state, entry| {
        apply(&mut state, entry);
        state
    })
}

pub(crate) fn by_admin(command: Command) -> Request {
    Request { caller: Caller::Local { uid: 0 }, idempotency_key: None, command }
}

pub(crate) fn retried(key: &str, command: Command) -> Request {
    Request { idempotency_key: Some(key.into()), ..by_admin(command) }
}

pub(crate) fn apply_pool() -> Command {
    let pool = "finance/standard".parse().unwrap();
    Command::ApplyPool { pool, labels: Labels::new(), spec: PoolSpec::default(), if_version: None }
}

pub(crate) fn spec() -> ClassSpec {
    let runtime = Runtime { command: vec!["expense-agent".into()], ..Runtime::default() };
    ClassSpec { owner: "finance@example.org".into(), runtime, ..ClassSpec::default() }
}

pub(crate) fn apply_class(spec: ClassSpec) -> Command {
    let class = "finance/expense-agent".parse().unwrap();
    Command::ApplyClass { class, labels: Labels::new(), spec, if_version: None }
}

/// A class whose entry has about so many bytes.
pub(crate) fn large_class(bytes: usize) -> Command {
    let mut spec = spec();
    let longest = DESCRIPTION_BYTES_MAX;
    spec.runtime.command.extend(std::iter::repeat_n("x".repeat(longest), bytes / longest));
    spec.runtime.command.push("x".repeat(bytes % longest));
    apply_class(spec)
}

pub(crate) fn actor(id: &str) -> ActorRef {
    format!("finance/{id}").parse().unwrap()
}

/// How often a limit was reached.
pub(crate) fn hits(name: &str) -> u64 {
    LIMITS.iter().find(|limit| limit.name == name).unwrap().hits()
}

pub(crate) fn create(id: &str) -> Command {
    let class = "finance/expense-agent".parse().unwrap();
    Command::CreateActor { class, id: Some(id.parse().unwrap()), labels: Labels::new() }
}

pub(crate) fn resume(id: &str) -> Command {
    Command::ResumeActor { actor: actor(id), worker: None, wait_ms: None }
}

pub(crate) fn suspend(id: &str) -> Command {
    Command::SuspendActor { actor: actor(id) }
}

pub(crate) fn alpha() -> NodeName {
    NodeName::parse("alpha").unwrap()
}

pub(crate) fn worker(id: &str) -> WorkerRef {
    format!("finance/standard/{id}").parse().unwrap()
}

pub(crate) fn join_token(ttl_secs: u64) -> Command {
    let grants = vec![PoolGrant { pool: "finance/standard".parse().unwrap(), workers_max: 4 }];
    Command::CreateJoinToken { token: Digest::of(b"token"), node: None, grants, ttl_secs }
}

pub(crate) fn attest() -> Command {
    Command::AttestNode { node: alpha(), token: Digest::of(b"token"), key: Digest::of(b"alpha") }
}

pub(crate) fn keys(from: u64, count: u64) -> Report {
    Report::KeysOffered((from..from + count).map(|nth| Digest::of(&nth.to_be_bytes())).collect())
}

pub(crate) fn report(session: u64, report: Report) -> Request {
    let caller = Caller::Node { name: alpha() };
    Request { caller, idempotency_key: None, command: Command::Report { node: alpha(), session, report } }
}

pub(crate) fn held(bind: &Bind) -> Held {
    Held { binding: bind.binding, epoch: bind.epoch }
}
