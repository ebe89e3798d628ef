//! The world: what happens next, decided by the seed.

use super::check::{Broken, Checks};
use super::network::{Arrival, Cut, Network, ToServer};
use super::node::{Around, Node};
use super::random::Random;
use super::server::{Outside, Server};
use super::{Failure, Fault, Options};
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, OnLost, Runtime};
use credence_model::command::{Command, Held, Request};
use credence_model::id::{ActorRef, Digest, NodeName, WorkerRef};
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use credence_node::core::Input;
use std::collections::{BTreeMap, VecDeque};

/// When the simulated world begins.
pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The lease that nodes are told.
pub(super) const LEASE_MS: u64 = 10_000;

const EXPIRE_EVERY_MS: u64 = 100;
const TRACE_LINES: usize = 60;
const WHOLE_CHECK_EVERY: u64 = 64;
/// Actors at a time; those that were deleted make room for others.
const ACTORS: u64 = 8;

/// How often each thing happened in a run.
pub type Coverage = BTreeMap<&'static str, u64>;

pub(super) struct World {
    options: Options,
    pub(super) random: Random,
    pub(super) now_ms: u64,
    pub(super) next_action_ms: u64,
    pub(super) network: Network,
    pub(super) server: Server,
    pub(super) nodes: Vec<Node>,
    names: Vec<NodeName>,
    pub(super) checks: Checks,
    coverage: Coverage,
    trace: VecDeque<String>,
    next_stream: u64,
    created: u64,
}

/// Runs one simulation.
pub fn run(options: Options) -> Result<Coverage, Box<Failure>> {
    let mut world = World::new(options);
    for step in 0..=options.steps {
        let done = if step < options.steps { world.step(step) } else { world.calm_down() };
        if let Err(broken) = done {
            let trace = world.trace.into_iter().collect();
            let step = step.min(options.steps.saturating_sub(1));
            return Err(Box::new(Failure { seed: options.seed, step, broken, trace }));
        }
    }
    let bindings = world.checks.known.iter();
    let bound = bindings.filter(|e| matches!(e.event, credence_model::event::Event::ActorBound { .. })).count();
    world.coverage.insert("bindings", bound as u64);
    Ok(world.coverage)
}

pub(super) fn settings() -> Settings {
    let mut settings = Settings::new(TrustDomain::parse("sim.internal").unwrap_or_else(|_| unreachable!()));
    settings.lease_ms = LEASE_MS;
    settings
}

impl World {
    fn new(options: Options) -> Self {
        let mut random = Random::new(options.seed);
        let names: Vec<_> = ["alpha", "beta", "gamma"].iter().filter_map(|name| NodeName::parse(name).ok()).collect();
        let node = |(index, name): (usize, &NodeName)| {
            let workers = (1..=2).filter_map(|nth| worker(&format!("{name}-w{nth}"))).collect();
            Node::new(index, name.clone(), workers, &mut random)
        };
        let nodes = names.iter().enumerate().map(node).collect();
        let mut network = Network::default();
        network.at(0, Arrival::Expire);
        Self {
            options,
            server: Server::new(&mut random),
            random,
            now_ms: 1,
            next_action_ms: 1,
            network,
            nodes,
            names,
            checks: Checks::default(),
            coverage: Coverage::new(),
            trace: VecDeque::new(),
            next_stream: 0,
            created: 0,
        }
    }

    fn step(&mut self, step: u64) -> Result<(), Broken> {
        let restarted = if step == 0 { self.furnish()? } else { self.happen()? };
        self.check(restarted)?;
        if step.is_multiple_of(WHOLE_CHECK_EVERY) { self.checks.whole(&self.server) } else { Ok(()) }
    }

    /// Whether everything holds at this moment.
    pub(super) fn check(&mut self, restarted: bool) -> Result<(), Broken> {
        let fault = self.options.fault;
        self.checks.read(&mut self.server, fault, restarted)?;
        self.checks.served(&self.nodes, self.now_ms, fault)
    }

    /// A class, a pool and attested nodes to begin with.
    fn furnish(&mut self) -> Result<bool, Broken> {
        self.start_server()?;
        let pool = || "ns/pool".parse().map_err(|_| Broken::Stuck("a wrong name".into()));
        let class = "ns/class".parse().map_err(|_| Broken::Stuck("a wrong name".into()))?;
        let on_lost = if self.random.one_in(4) { OnLost::Suspend } else { OnLost::Resume };
        let runtime = Runtime { command: vec!["program".into()], on_lost, ..Runtime::default() };
        let spec = ClassSpec { owner: "sim".into(), runtime, ..ClassSpec::default() };
        let pool_spec = PoolSpec::default();
        self.ask(Command::ApplyClass { class, labels: Labels::new(), spec, if_version: None });
        self.ask(Command::ApplyPool { pool: pool()?, labels: Labels::new(), spec: pool_spec, if_version: None });
        for name in self.names.clone() {
            let (token, grants) =
                (Digest::of(name.as_str().as_bytes()), vec![PoolGrant { pool: pool()?, workers_max: 2 }]);
            self.ask(Command::CreateJoinToken { token, node: None, grants, ttl_secs: 60 });
            self.ask(Command::AttestNode { node: name.clone(), token, key: token });
        }
        self.nodes.iter_mut().for_each(Node::start);
        Ok(false)
    }

    /// When the next thing arrives or the next deadline passes.
    pub(super) fn next_thing_ms(&self) -> Option<u64> {
        let deadlines = self.nodes.iter().filter_map(Node::deadline_ms);
        deadlines.chain(self.network.next_at()).min()
    }

    /// The next thing but what somebody does.
    pub(super) fn happen_without_acting(&mut self) -> Result<bool, Broken> {
        // Strictly later, so that only arrivals and deadlines are left.
        self.next_action_ms += 1;
        self.happen()
    }

    /// The next thing: something arrives, a deadline passes, or somebody acts. Says whether the server restarted.
    fn happen(&mut self) -> Result<bool, Broken> {
        let deadlines = self.nodes.iter().enumerate().filter_map(|(index, node)| Some((node.deadline_ms()?, index)));
        let deadline = deadlines.min().filter(|(at, _)| *at <= self.next_action_ms);
        let arrival = self.network.next_at().filter(|at| *at <= self.next_action_ms);
        match (arrival, deadline) {
            (Some(at), deadline) if deadline.is_none_or(|(due, _)| at <= due) => {
                self.now_ms = self.now_ms.max(at);
                if let Some(arrival) = self.network.pop(self.now_ms) {
                    self.arrive(arrival);
                }
                Ok(false)
            }
            (_, Some((at, index))) => {
                // The very instant of a deadline counts too.
                self.now_ms = self.now_ms.max(at);
                self.note("deadline", format!("{index}"));
                self.with_node(index, |node, around| node.input(around, Input::Tick));
                Ok(false)
            }
            _ => {
                self.now_ms = self.now_ms.max(self.next_action_ms);
                self.next_action_ms = self.now_ms + self.random.between(1, 400);
                self.act()
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Expire => {
                self.network.at(self.now_ms + EXPIRE_EVERY_MS, Arrival::Expire);
                self.with_server(|server, outside| server.ask(outside, Caller::System, Command::Expire));
            }
            Arrival::ToServer { node, stream, message } => {
                self.trace_line(format!("{node} says {message:?}"));
                self.with_server(|server, outside| server.hear(outside, node, stream, message));
            }
            Arrival::ToNode { node, stream, message } => {
                self.trace_line(format!("{node} is told {message:?}"));
                self.with_node(node, |node, around| node.hear(around, stream, message));
            }
            Arrival::BrokenAtServer { node, stream } => {
                self.note("stream broken at server", format!("{node}"));
                self.with_server(|server, outside| server.broken(outside, node, stream));
            }
            Arrival::BrokenAtNode { node, stream } => {
                self.note("stream broken at node", format!("{node}"));
                self.with_node(node, |node, around| node.input(around, Input::Closed { stream }));
            }
            Arrival::Below { node, life, input } => {
                if self.nodes.get(node).is_some_and(|node| node.life == life) {
                    self.trace_line(format!("{node} below: {input:?}"));
                    self.with_node(node, |node, around| node.input(around, *input));
                }
            }
        }
    }

    /// Somebody does something: a client, an operator, or misfortune. Says whether the server restarted.
    fn act(&mut self) -> Result<bool, Broken> {
        self.connect();
        if self.server.registry.is_none() {
            if self.random.one_in(8) {
                self.start_server()?;
                return Ok(true);
            }
            return Ok(false);
        }
        match self.random.below(100) {
            0 if self.random.one_in(4) => self.rival()?,
            0 => self.crash_server(),
            1 => self.crash_node(),
            2..=4 => self.break_stream(),
            5 => self.partition(),
            6..=11 => self.renew(),
            12 => self.end_node(),
            13 => self.snapshot(),
            _ => self.command()?,
        }
        Ok(false)
    }

    fn connect(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(index) else { continue };
            if node.core.is_none() {
                if self.random.one_in(10) {
                    node.start();
                    self.note("node started", format!("{index}"));
                }
                continue;
            }
            if node.has_ended() {
                node.crash();
                self.note("node ended", format!("{index}"));
                self.network.cut_stream(self.now_ms, &mut self.random, index);
                continue;
            }
            let down = self.server.registry.is_none() || self.network.cut.contains_key(&index);
            if down || self.network.open.contains_key(&index) || !self.random.one_in(3) {
                continue;
            }
            self.open_stream(index);
        }
    }

    /// Whoever is not connected is.
    pub(super) fn reconnect(&mut self) {
        for index in 0..self.nodes.len() {
            if !self.network.open.contains_key(&index) {
                self.open_stream(index);
            }
        }
    }

    fn open_stream(&mut self, index: usize) {
        self.next_stream += 1;
        let stream = self.next_stream;
        self.network.open.insert(index, stream);
        self.note("stream opened", format!("{index}"));
        self.with_node(index, |node, around| node.input(around, Input::Opened { stream }));
    }

    fn command(&mut self) -> Result<(), Broken> {
        let actor = self.some_actor();
        let (name, command) = match self.random.below(30) {
            0..=2 => {
                // A new id, or one that was used before and must be refused.
                let known = self.checks.state().actors.len() as u64;
                let again = known >= ACTORS || self.random.one_in(5);
                let number = if again { self.random.below(self.created + 1) } else { self.created };
                self.created += u64::from(!again);
                let id = format!("actor-{number}").parse().ok();
                let Ok(class) = "ns/class".parse() else { return Ok(()) };
                ("create", Command::CreateActor { class, id, labels: Labels::new() })
            }
            3..=14 => {
                let wait_ms = Some(self.random.between(0, 60_000));
                let worker = self.random.one_in(5).then(|| self.some_worker()).flatten();
                ("resume", Command::ResumeActor { actor, worker, wait_ms })
            }
            15..=24 => ("suspend", Command::SuspendActor { actor }),
            25 if self.random.one_in(2) => ("terminate", Command::TerminateActor { actor, reason: None }),
            25 => ("quarantine", Command::QuarantineActor { actor, reason: None }),
            26..=27 => ("delete", Command::DeleteActor { actor }),
            28 => {
                let Some(worker) = self.some_worker().filter(|_| self.random.one_in(4)) else { return Ok(()) };
                ("drain", Command::DrainWorker { worker })
            }
            _ => {
                let (Ok(class), enabled) = ("ns/class".parse(), !self.random.one_in(3)) else { return Ok(()) };
                ("enable", Command::EnableClass { class, revision: None, enabled })
            }
        };
        self.note(name, String::new());
        if self.random.one_in(10) {
            return self.ask_twice(command);
        }
        self.ask(command);
        Ok(())
    }

    /// A client that did not hear the answer asks again, with the same key.
    fn ask_twice(&mut self, command: Command) -> Result<(), Broken> {
        self.note("command retried", format!("{command:?}"));
        let key = format!("key-{}", self.random.below(u64::MAX));
        let caller = Caller::Local { uid: 0 };
        let mut request = Request { caller, idempotency_key: Some(key), command };
        let first = self.with_server(|server, outside| server.ask_again(outside, &request));
        if self.options.fault == Some(Fault::RetriedAnew) {
            request.idempotency_key = Some("another".into());
        }
        let recorded = self.server.registry.as_ref().map(|registry| registry.state().last_index);
        let second = self.with_server(|server, outside| server.ask_again(outside, &request));
        match (first, second) {
            (Some(Ok(first)), Some(Ok(second))) if first.answer != second.answer || Some(second.index) != recorded => {
                Err(Broken::Retried(format!("{:?}: {:?}, then {:?}", request.command, first.answer, second.answer)))
            }
            (Some(Ok(_)), Some(Err(refusal))) => Err(Broken::Retried(format!("{:?}: {refusal}", request.command))),
            _ => Ok(()),
        }
    }

    fn snapshot(&mut self) {
        if self.server.snapshot() {
            self.note("snapshot", String::new());
        }
    }

    fn rival(&mut self) -> Result<(), Broken> {
        self.note("rival server", String::new());
        if self.with_server(|server, outside| server.rival(outside)) { Ok(()) } else { Err(Broken::Replaced) }
    }

    fn renew(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        let Some(node) = self.nodes.get_mut(index) else { return };
        let held = node.held(self.now_ms);
        let Some(live) = held.first() else { return };
        let held = Held { binding: live.binding, epoch: live.epoch };
        let message = if self.random.one_in(2) { ToServer::Mint(held) } else { ToServer::Renew(held, node.key()) };
        let Some(stream) = self.network.open.get(&index).copied() else { return };
        self.note("renewal", format!("{index}"));
        self.network.send_to_server(self.now_ms, &mut self.random, index, stream, message);
    }

    fn crash_server(&mut self) {
        self.note("server crashed", String::new());
        self.with_server(|server, outside| server.crash(outside));
    }

    pub(super) fn start_server(&mut self) -> Result<(), Broken> {
        self.note("server started", String::new());
        self.with_server(|server, outside| server.start(outside)).map_err(Broken::Stuck)
    }

    fn crash_node(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.note("node crashed", format!("{index}"));
        if let Some(node) = self.nodes.get_mut(index) {
            node.crash();
        }
        self.network.cut_stream(self.now_ms, &mut self.random, index);
    }

    fn end_node(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.note("node told to end", format!("{index}"));
        self.with_node(index, |node, around| node.end(around));
    }

    fn break_stream(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.note("stream cut", format!("{index}"));
        self.network.cut_stream(self.now_ms, &mut self.random, index);
    }

    fn partition(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        if self.network.cut.remove(&index).is_some() {
            return self.note("partition ends", format!("{index}"));
        }
        let nth = self.random.below(Cut::ALL.len() as u64) as usize;
        let Some(cut) = Cut::ALL.get(nth) else { return };
        self.network.cut.insert(index, *cut);
        let name = if *cut == Cut::Both { "partition begins" } else { "one-way partition begins" };
        self.note(name, format!("{index} {cut:?}"));
    }

    fn some_actor(&mut self) -> ActorRef {
        let known: Vec<_> = self.checks.state().actors.names().collect();
        let nth = self.random.below(known.len() as u64 + 1) as usize;
        let nobody = || "ns/nobody".parse().unwrap_or_else(|_| unreachable!());
        known.into_iter().nth(nth).unwrap_or_else(nobody)
    }

    fn some_worker(&mut self) -> Option<WorkerRef> {
        let nodes: Vec<_> = self.nodes.iter().flat_map(|node| node.workers.clone()).collect();
        let nth = self.random.below(nodes.len() as u64) as usize;
        nodes.into_iter().nth(nth)
    }

    fn ask(&mut self, command: Command) {
        self.trace_line(format!("{command:?}"));
        let answer = self.with_server(|server, outside| server.ask(outside, Caller::Local { uid: 0 }, command));
        self.trace_line(format!("  → {answer:?}"));
    }

    fn with_server<T>(&mut self, act: impl FnOnce(&mut Server, &mut Outside) -> T) -> T {
        let mut outside = Outside {
            now_ms: self.now_ms,
            random: &mut self.random,
            network: &mut self.network,
            names: &self.names,
            fault: self.options.fault,
        };
        act(&mut self.server, &mut outside)
    }

    fn with_node(&mut self, index: usize, act: impl FnOnce(&mut Node, &mut Around)) {
        let mut around = Around {
            now_ms: self.now_ms,
            random: &mut self.random,
            network: &mut self.network,
            fault: self.options.fault,
        };
        if let Some(node) = self.nodes.get_mut(index) {
            act(node, &mut around);
        }
    }

    pub(super) fn note(&mut self, what: &'static str, about: String) {
        *self.coverage.entry(what).or_default() += 1;
        self.trace_line(format!("{what} {about}"));
    }

    fn trace_line(&mut self, line: String) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>9} ms  {line}", self.now_ms));
    }
}

fn worker(id: &str) -> Option<WorkerRef> {
    format!("ns/pool/{id}").parse().ok()
}
