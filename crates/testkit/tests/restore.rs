//! Restores in simulated time: the real registry and the real state machines of nodes, clocks that run apart, nodes that are
//! cut off, and a server that goes back to an old backup again and again.
//!
//! At every moment: an actor has at most one holder, whatever the server has forgotten; and no pair of an actor and an
//! epoch ever belongs to two bindings.

use credence_control::{Answered, Registry};
use credence_journal::{Journal as _, MemoryDisk, MemoryJournal};
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, Runtime};
use credence_model::command::{Answer, Command, Report, Request};
use credence_model::directive::Directive;
use credence_model::hold::HoldCause;
use credence_model::id::{ActorRef, BindingId, Digest, Epoch, NodeName, WorkerRef};
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use credence_node::core::message::{BindNotice, FromNodeMessage};
use credence_node::core::{Core, Effect, Input, MonoMs};
use std::collections::{BTreeMap, VecDeque};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const SEEDS: u64 = 16;
const STEPS: u64 = 800;
const ACTORS: u64 = 5;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self) -> [u8; 32] {
        Digest::of(&self.next().to_be_bytes()).0
    }
}

struct Node {
    name: NodeName,
    core: Core,
    rate_per_mille: u64,
    /// Its open stream and the session that the server gave it.
    stream: Option<u64>,
    session: u64,
    /// Neither hears nor is heard.
    cut: bool,
}

/// How often the things happened without which a run shows nothing.
#[derive(Default)]
struct Seen {
    restores: u64,
    forgotten: u64,
    releases: u64,
    bound_after: u64,
}

struct World {
    random: Random,
    now_ms: u64,
    rate_per_mille: u64,
    registry: Registry,
    /// The entries of the last backup.
    backup: Vec<Vec<u8>>,
    nodes: Vec<Node>,
    inputs: VecDeque<(usize, Input)>,
    streams: u64,
    keys: u64,
    given: BTreeMap<(ActorRef, Epoch), BindingId>,
    seen: Seen,
}

fn settings() -> Settings {
    Settings::new(TrustDomain::parse("sim.internal").expect("granted"))
}

fn open(entries: &[Vec<u8>], now: Timestamp, entropy: [u8; 32]) -> Registry {
    let disk = MemoryDisk::new();
    if !entries.is_empty() {
        let mut journal = MemoryJournal::open(&disk);
        let fence = journal.recover().expect("granted").fence;
        entries.chunks(100).for_each(|batch| {
            journal.append(fence, batch).expect("granted");
        });
    }
    Registry::open(Box::new(MemoryJournal::open(&disk)), settings(), now, &entropy).expect("granted").0
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let node = |name: &str, rate_per_mille| Node {
            name: name.parse().expect("granted"),
            core: Core::new(vec![worker(name)]),
            rate_per_mille,
            stream: None,
            session: 0,
            cut: false,
        };
        let mut rate = || 985 + random.below(31);
        let nodes = vec![node("alpha", rate()), node("beta", rate()), node("gamma", rate())];
        let rate_per_mille = rate();
        let registry = open(&[], START, random.bytes());
        let mut world = Self {
            random,
            now_ms: 1,
            rate_per_mille,
            registry,
            backup: Vec::new(),
            nodes,
            inputs: VecDeque::new(),
            streams: 0,
            keys: 0,
            given: BTreeMap::new(),
            seen: Seen::default(),
        };
        world.furnish();
        world.back_up();
        world
    }

    fn furnish(&mut self) {
        let runtime = Runtime { command: vec!["program".into()], ..Runtime::default() };
        let spec = ClassSpec { owner: "sim".into(), runtime, ..ClassSpec::default() };
        let (class, labels) = ("ns/class".parse().expect("granted"), Labels::new());
        self.ask(Command::ApplyClass { class, labels, spec, if_version: None }).expect("granted");
        let (pool, labels) = ("ns/pool".parse().expect("granted"), Labels::new());
        self.ask(Command::ApplyPool { pool, labels, spec: PoolSpec::default(), if_version: None }).expect("granted");
        for node in 0..self.nodes.len() {
            let node = self.nodes[node].name.clone();
            let token = Digest::of(node.as_str().as_bytes());
            let grants = vec![PoolGrant { pool: "ns/pool".parse().expect("granted"), workers_max: 1 }];
            self.ask(Command::CreateJoinToken { token, node: None, grants, ttl_secs: 60 }).expect("granted");
            self.ask(Command::AttestNode { node, token, key: token }).expect("granted");
        }
        for number in 0..ACTORS {
            let (class, id) =
                ("ns/class".parse().expect("granted"), Some(format!("a-{number}").parse().expect("granted")));
            self.ask(Command::CreateActor { class, id, labels: Labels::new() }).expect("granted");
        }
    }

    fn clock(&self) -> Timestamp {
        START.plus_ms(self.now_ms * self.rate_per_mille / 1000)
    }

    fn mono(&self, node: usize) -> MonoMs {
        MonoMs(self.now_ms * self.nodes[node].rate_per_mille / 1000)
    }

    fn ask(&mut self, command: Command) -> Option<Answered> {
        let request = Request { caller: Caller::Local { uid: 0 }, idempotency_key: None, command };
        let (now, random) = (self.clock(), &mut self.random);
        let turn = self.registry.turn(now, &mut || random.bytes(), &[request]).expect("granted");
        for directive in turn.directives {
            let node = self.nodes.iter().position(|node| node.name == *directive.node()).expect("granted");
            let Some(stream) = self.nodes[node].stream else { continue };
            let heard = !self.nodes[node].cut;
            match directive {
                Directive::Bind(bind) => {
                    self.give(&bind.actor, bind.epoch, bind.binding);
                    if heard {
                        let bind = Box::new(BindNotice::from_directive(&bind, Vec::new()));
                        self.inputs.push_back((node, Input::Bind { stream, bind }));
                    }
                }
                Directive::Unbind { unbind, .. } if heard => {
                    self.inputs.push_back((node, Input::Unbind { stream, unbind }))
                }
                Directive::EndSessions { before, .. } if self.nodes[node].session < before => self.close(node),
                _ => {}
            }
        }
        turn.answers.into_iter().next().expect("granted").ok()
    }

    /// INVARIANT: an epoch of an actor is one binding's, for ever.
    fn give(&mut self, actor: &ActorRef, epoch: Epoch, binding: BindingId) {
        let first = *self.given.entry((actor.clone(), epoch)).or_insert(binding);
        assert_eq!(first, binding, "epoch {epoch} of {actor} is given out twice");
        self.seen.bound_after += u64::from(self.seen.releases > 0);
    }

    fn close(&mut self, node: usize) {
        if let Some(stream) = self.nodes[node].stream.take() {
            self.inputs.push_back((node, Input::Closed { stream }));
        }
    }

    fn settle(&mut self) {
        while let Some((node, input)) = self.inputs.pop_front() {
            let now = self.mono(node);
            for effect in self.nodes[node].core.step(now, input) {
                match effect {
                    Effect::Send { stream, message } if self.nodes[node].stream == Some(stream) => {
                        self.hear(node, stream, message);
                    }
                    Effect::Start(bind) => self.inputs.push_back((node, Input::Started { binding: bind.binding })),
                    Effect::Stop { binding, .. } => {
                        let stopped = Input::Stopped { binding, archive: None, trouble: None };
                        self.inputs.push_back((node, stopped));
                    }
                    Effect::Disconnect { .. } => self.close(node),
                    Effect::Send { .. } => {}
                }
            }
        }
        self.check();
    }

    fn hear(&mut self, node: usize, stream: u64, message: FromNodeMessage) {
        if self.nodes[node].cut {
            return;
        }
        let name = self.nodes[node].name.clone();
        let FromNodeMessage::Hello { workers, held } = message else {
            let number = if let FromNodeMessage::Heartbeat { number } = message { Some(number) } else { None };
            let (session, report) = (self.nodes[node].session, message.report().expect("granted"));
            let answered = self.ask(Command::Report { node: name, session, report });
            match (number, answered) {
                (Some(number), Some(_)) => self.inputs.push_back((node, Input::HeartbeatAck { stream, number })),
                (Some(_), None) => self.close(node),
                (None, _) => {}
            }
            return;
        };
        match self.ask(Command::AttachNode { node: name.clone(), workers, held }).map(|answered| answered.answer) {
            Some(Answer::Attached { session, unbind }) => {
                self.nodes[node].session = session;
                let Settings { lease_ms, heartbeat_ms, .. } = settings();
                self.inputs.push_back((node, Input::Welcome { stream, session, lease_ms, heartbeat_ms, unbind }));
                self.keys += 20;
                let keys = (0..20).map(|n| Digest::of(&(self.keys + n).to_be_bytes())).collect();
                self.ask(Command::Report { node: name, session, report: Report::KeysOffered(keys) });
            }
            _ => self.close(node),
        }
    }

    /// INVARIANT: an actor has one holder at most.
    fn check(&self) {
        let mut holders: BTreeMap<ActorRef, String> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for held in node.core.held(self.mono(index)) {
                let here = format!("epoch {} on {}", held.epoch, node.name);
                if let Some(other) = holders.insert(held.actor.clone(), here.clone()) {
                    panic!("{} has two holders: {other}, and {here}", held.actor);
                }
            }
        }
    }

    fn back_up(&mut self) {
        let last = self.registry.state().last_index;
        let entries =
            (0..last.div_ceil(1_000)).flat_map(|page| self.registry.read(page * 1_000 + 1, 1_000).expect("granted"));
        self.backup = entries.map(|entry| entry.encode()).collect();
    }

    /// The server is gone; another one starts from the last backup, on a machine with a clock of its own.
    fn restore(&mut self) {
        self.seen.restores += 1;
        self.seen.forgotten += self.registry.state().last_index - self.backup.len() as u64;
        for node in 0..self.nodes.len() {
            self.close(node);
            // Not everybody finds the other machine at once.
            self.nodes[node].cut |= self.random.below(2) == 0;
        }
        self.rate_per_mille = 985 + self.random.below(31);
        let last = self
            .backup
            .last()
            .map(|bytes| credence_model::event::Entry::decode(bytes).expect("granted"))
            .expect("granted");
        self.registry = open(&self.backup, self.clock(), self.random.bytes());
        let (made_at, last_index, last_at) = (last.at, last.index, last.at);
        self.ask(Command::Hold { cause: HoldCause::Restored { made_at, last_index, last_at } }).expect("granted");
    }

    fn step(&mut self) {
        self.now_ms += 1 + self.random.below(700);
        self.ask(Command::Expire);
        for node in 0..self.nodes.len() {
            self.inputs.push_back((node, Input::Tick));
            if self.nodes[node].stream.is_none() && !self.nodes[node].cut && self.random.below(3) == 0 {
                self.streams += 1;
                self.nodes[node].stream = Some(self.streams);
                self.inputs.push_back((node, Input::Opened { stream: self.streams }));
            }
        }
        self.settle();
        let actor = format!("ns/a-{}", self.random.below(ACTORS)).parse().expect("granted");
        let node = usize::try_from(self.random.below(3)).expect("granted");
        match self.random.below(60) {
            0..=24 => drop(self.ask(Command::ResumeActor { actor, worker: None, wait_ms: None })),
            25..=34 => drop(self.ask(Command::SuspendActor { actor })),
            35..=37 => self.nodes[node].cut = true,
            38..=40 => self.nodes[node].cut = false,
            44 if self.registry.state().hold.is_none() => self.back_up(),
            45 if self.random.below(2) == 0 => self.restore(),
            46 => {
                let last = self.backup.len();
                self.back_up();
                let whole = std::mem::take(&mut self.backup);
                self.backup = whole[..last].to_vec();
                (0..self.nodes.len()).for_each(|node| self.close(node));
                self.registry = open(&whole, self.clock(), self.random.bytes());
            }
            47..=54 => {
                let released = self.ask(Command::Release { reason: None }).is_some();
                self.seen.releases += u64::from(released);
            }
            _ => {}
        }
        self.settle();
    }
}

fn worker(node: &str) -> WorkerRef {
    format!("ns/pool/{node}-w").parse().expect("granted")
}

#[test]
fn whatever_a_server_forgets_nobody_has_two_holders_and_no_epoch_is_given_out_twice() {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        (0..STEPS).for_each(|_| world.step());
        seen.restores += world.seen.restores;
        seen.forgotten += world.seen.forgotten;
        seen.releases += world.seen.releases;
        seen.bound_after += world.seen.bound_after;
    }
    // A run in which nothing happened would show nothing.
    assert!(seen.restores > 3 * SEEDS && seen.forgotten > 100 * SEEDS, "{} restores", seen.restores);
    assert!(seen.releases > SEEDS && seen.bound_after > 10 * SEEDS, "{} after {}", seen.bound_after, seen.releases);
}
