//! A registry with many suspended actors, and a load that takes them through their bindings.

use crate::BenchError;
use credence_control::{Registry, Turn};
use credence_journal::{Fence, FileJournal, FileOptions, Index, Journal, JournalError, Recovered, StoreSnapshot};
use credence_model::actor::Outcome;
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, Runtime};
use credence_model::command::{Answer, Command, Held, Report, Request};
use credence_model::decide::Entropy;
use credence_model::directive::Directive;
use credence_model::id::{ActorId, ActorRef, ClassRef, Digest, ID_ENTROPY_BYTES, Namespace, NodeName, WorkerRef};
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::order::{JwtOrder, X509Order};
use credence_model::pool::PoolSpec;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nodes that hold the workers.
const NODES: usize = 8;
/// Workers of each node.
const WORKERS_PER_NODE: usize = 128;
/// Most actors that are bound at the same time: one on each worker.
pub(crate) const COHORT_MAX: usize = NODES * WORKERS_PER_NODE;
/// Actors created in one turn while the registry is filled.
const CREATED_PER_TURN: u64 = 8_192;

const NAMESPACE: &str = "bench";
const CLASS: &str = "assistant";
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The sizes of the batches that a journal was given, in bytes.
pub(crate) type BatchSizes = Arc<Mutex<Vec<usize>>>;

/// A file journal that notes how large its batches are.
struct Noted {
    inner: FileJournal,
    sizes: BatchSizes,
}

impl Journal for Noted {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        self.inner.recover()
    }

    fn append(&mut self, fence: Fence, batch: &[Vec<u8>]) -> Result<Index, JournalError> {
        let bytes = batch.iter().map(Vec::len).sum();
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        self.inner.append(fence, batch)
    }

    fn begin_snapshot(&mut self, fence: Fence, upto: Index) -> Result<StoreSnapshot, JournalError> {
        self.inner.begin_snapshot(fence, upto)
    }

    fn read(&mut self, from: Index, limit: usize) -> Result<Vec<(Index, Vec<u8>)>, JournalError> {
        self.inner.read(from, limit)
    }
}

/// A registry on a file journal.
pub(crate) struct World {
    /// The registry.
    pub(crate) registry: Registry,
    /// Sizes of the batches recorded since they were last taken.
    pub(crate) sizes: BatchSizes,
    /// How long turns took since this was last taken: what callers do is not in it.
    pub(crate) busy: Duration,
    sessions: Vec<(NodeName, u64)>,
    draws: u64,
    keys: u64,
    actors: u64,
    next: u64,
}

impl World {
    /// Opens the journal in `dir`, whatever it holds.
    pub(crate) fn open(dir: &Path) -> Result<Self, BenchError> {
        let sizes = BatchSizes::default();
        let inner = FileJournal::open(dir, FileOptions::default())?;
        let settings = Settings::new(TrustDomain::parse("bench.internal")?);
        let journal = Box::new(Noted { inner, sizes: Arc::clone(&sizes) });
        let (registry, _) = Registry::open(journal, settings, START, &[7; 32])?;
        let actors = registry.state().actors.len() as u64;
        Ok(Self { registry, sizes, busy: Duration::ZERO, sessions: Vec::new(), draws: 0, keys: 0, actors, next: 0 })
    }

    /// Registers a class and as many suspended actors, with generated ids.
    pub(crate) fn fill(&mut self, actors: u64) -> Result<(), BenchError> {
        let runtime = Runtime { command: vec!["assistant".into()], ..Runtime::default() };
        let spec = ClassSpec { owner: "bench@example.org".into(), runtime, ..ClassSpec::default() };
        self.admin(vec![Command::ApplyClass { class: class()?, labels: Labels::new(), spec, if_version: None }])?;
        while self.actors < actors {
            let count = CREATED_PER_TURN.min(actors - self.actors);
            let mut commands = Vec::new();
            for nth in self.actors..self.actors + count {
                commands.push(Command::CreateActor { class: class()?, id: Some(actor_id(nth)), labels: Labels::new() });
            }
            self.admin(commands)?;
            self.actors += count;
        }
        Ok(())
    }

    /// Lets the nodes attest and open their streams.
    pub(crate) fn attach(&mut self) -> Result<(), BenchError> {
        let pool: credence_model::id::PoolRef = format!("{NAMESPACE}/standard").parse()?;
        let spec = PoolSpec::default();
        self.admin(vec![Command::ApplyPool { pool: pool.clone(), labels: Labels::new(), spec, if_version: None }])?;
        for nth in 0..NODES {
            let name = NodeName::parse(&format!("node-{nth}"))?;
            let token = Digest::of(name.as_str().as_bytes());
            let grants = vec![PoolGrant { pool: pool.clone(), workers_max: WORKERS_PER_NODE as u32 }];
            let attest = Command::AttestNode { node: name.clone(), token, key: token };
            let token = Command::CreateJoinToken { token, node: None, grants, ttl_secs: 600 };
            self.admin(vec![token, attest])?;
            let worker =
                |slot: usize| -> Result<WorkerRef, BenchError> { Ok(format!("{pool}/{name}-{slot}").parse()?) };
            let workers = (0..WORKERS_PER_NODE).map(worker).collect::<Result<Vec<_>, _>>()?;
            let attach = Command::AttachNode { node: name.clone(), workers, held: Vec::new() };
            for answer in self.turn(&[by_node(&name, attach)])?.answers {
                if let Answer::Attached { session, .. } = answer?.answer {
                    self.sessions.push((name.clone(), session));
                }
            }
        }
        Ok(())
    }

    /// Makes at least so many transitions, `cohort` of them in each turn. Gives their number.
    pub(crate) fn transitions(&mut self, count: usize, cohort: usize) -> Result<u64, BenchError> {
        let mut made = 0;
        while made < count as u64 {
            made += self.cycle(cohort)?;
        }
        Ok(made)
    }

    /// Takes the next so many actors, at most [`COHORT_MAX`], through one whole life each: bound, running, told to end,
    /// ended. Each of these steps is one turn for all of them. Gives the number of binding transitions, all recorded.
    fn cycle(&mut self, cohort: usize) -> Result<u64, BenchError> {
        let count = cohort as u64;
        let cohort: Vec<ActorRef> = (0..count).map(|nth| self.nth_actor(nth)).collect::<Result<_, _>>()?;
        self.next += count;
        let mut requests = self.keys(cohort.len());
        let offers = requests.len();
        requests.extend(
            cohort
                .iter()
                .map(|actor| by_admin(Command::ResumeActor { actor: actor.clone(), worker: None, wait_ms: Some(0) })),
        );
        let turn = self.turn(&requests)?;
        let mut held = Vec::with_capacity(cohort.len());
        for answered in turn.answers.into_iter().skip(offers) {
            match answered?.answer {
                Answer::Actor { binding: Some(binding), epoch, .. } => held.push(Held { binding, epoch }),
                _ => return Err(BenchError::Unexpected("an actor was not bound")),
            }
        }
        let nodes: Vec<_> = turn.directives.iter().map(|directive| directive.node().clone()).collect();
        let report = |report: fn(Held) -> Report, world: &Self| {
            let one = |(held, node): (&Held, &NodeName)| world.report(node, report(*held));
            held.iter().zip(&nodes).map(one).collect::<Vec<_>>()
        };
        let running = report(Report::Running, self);
        let ended =
            report(|held| Report::Ended { held, outcome: Outcome::Stopped, archive: Some(Digest([3; 32])) }, self);
        self.all(&running)?;
        let suspend = |actor: &ActorRef| by_admin(Command::SuspendActor { actor: actor.clone() });
        self.all(&cohort.iter().map(suspend).collect::<Vec<_>>())?;
        self.all(&ended)?;
        Ok(4 * count)
    }

    /// The orders for an X.509-SVID with this key and a JWT-SVID of an actor that is bound for it.
    pub(crate) fn orders(&mut self, key: Digest) -> Result<(X509Order, JwtOrder), BenchError> {
        let offers: Vec<_> =
            self.sessions.iter().map(|(node, _)| self.report(node, Report::KeysOffered(vec![key]))).collect();
        self.all(&offers)?;
        let actor = self.nth_actor(0)?;
        let turn = self.turn(&[by_admin(Command::ResumeActor { actor, worker: None, wait_ms: Some(0) })])?;
        let Some(Directive::Bind(bind)) = turn.directives.into_iter().next() else {
            return Err(BenchError::Unexpected("an actor was not bound"));
        };
        let held = Held { binding: bind.binding, epoch: bind.epoch };
        let mint = Report::MintJwt { held, audience: vec!["spiffe://bench.internal/tool".into()] };
        let answered = self.turn(&[self.report(&bind.node, mint)])?.answers.into_iter().next();
        let orders = answered.transpose()?.map(|answered| answered.orders).unwrap_or_default();
        match orders.into_iter().next() {
            Some(Directive::Jwt { order, .. }) => Ok((bind.order, order)),
            _ => Err(BenchError::Unexpected("no token was ordered")),
        }
    }

    fn nth_actor(&self, nth: u64) -> Result<ActorRef, BenchError> {
        // A stride that has no factor in common with any round number, so that no cohort lies together in memory.
        let id = actor_id((self.next + nth).wrapping_mul(7_919) % self.actors.max(1));
        Ok(ActorRef { namespace: Namespace::parse(NAMESPACE)?, actor: id })
    }

    /// A key for each actor, of each node as many as of any other.
    fn keys(&mut self, actors: usize) -> Vec<Request> {
        let sessions = self.sessions.clone();
        let of_each = actors.div_ceil(NODES) as u64;
        let offer = |(node, _): &(NodeName, u64)| {
            let keys = (0..of_each).map(|nth| Digest::of(&(self.keys + nth).to_be_bytes())).collect();
            self.keys += of_each;
            self.report(node, Report::KeysOffered(keys))
        };
        sessions.iter().map(offer).collect()
    }

    fn report(&self, node: &NodeName, report: Report) -> Request {
        let session = self.sessions.iter().find(|(name, _)| name == node).map_or(0, |(_, session)| *session);
        by_node(node, Command::Report { node: node.clone(), session, report })
    }

    pub(crate) fn admin(&mut self, commands: Vec<Command>) -> Result<(), BenchError> {
        self.all(&commands.into_iter().map(by_admin).collect::<Vec<_>>())
    }

    fn all(&mut self, requests: &[Request]) -> Result<(), BenchError> {
        for answered in self.turn(requests)?.answers {
            answered?;
        }
        Ok(())
    }

    fn turn(&mut self, requests: &[Request]) -> Result<Turn, BenchError> {
        let draws = &mut self.draws;
        let begin = Instant::now();
        let turn = self.registry.turn(START, &mut || draw(draws), requests)?;
        self.busy += begin.elapsed();
        Ok(turn)
    }
}

/// Cheap and distinct: what is measured is not the system's random number generator.
fn draw(draws: &mut u64) -> Entropy {
    *draws += 1;
    let mut entropy = [0; 32];
    entropy.chunks_exact_mut(8).zip(1_u64..).for_each(|(to, lane)| {
        to.copy_from_slice(&draws.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17 * lane as u32).to_be_bytes());
    });
    entropy
}

fn class() -> Result<ClassRef, BenchError> {
    Ok(format!("{NAMESPACE}/{CLASS}").parse()?)
}

fn actor_id(nth: u64) -> ActorId {
    let mut entropy = [0; ID_ENTROPY_BYTES];
    entropy.iter_mut().zip(nth.to_be_bytes()).for_each(|(to, from)| *to = from);
    ActorId::generate(START, entropy)
}

fn by_admin(command: Command) -> Request {
    Request { caller: Caller::Local { uid: 0 }, idempotency_key: None, command }
}

fn by_node(name: &NodeName, command: Command) -> Request {
    Request { caller: Caller::Node { name: name.clone() }, idempotency_key: None, command }
}
