//! The world: what happens next, decided by the seed.

use super::check::{Broken, Checks};
use super::coverage::Coverage;
use super::disk::Disk;
use super::network::{Arrival, Network};
use super::node::{Around, Node};
use super::random::Random;
use super::server::{Outside, Server};
use super::{Failure, Options};
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, OnLost, Runtime};
use credence_model::command::Command;
use credence_model::id::{Digest, NodeName, WorkerRef};
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use credence_node::core::Input;
use std::collections::VecDeque;

/// When the simulated world begins.
pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The lease that nodes are told.
pub(super) const LEASE_MS: u64 = 10_000;

const EXPIRE_EVERY_MS: u64 = 100;
const TRACE_LINES: usize = 60;
const WHOLE_CHECK_EVERY: u64 = 64;

pub(super) struct World {
    pub(super) options: Options,
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
    pub(super) created: u64,
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
            server: Server::new(&mut random, options.fault),
            random,
            now_ms: 1,
            next_action_ms: 1,
            network,
            nodes,
            names,
            checks: Checks::default(),
            coverage: Coverage::default(),
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
        self.look_at_server();
        self.checks.read(&mut self.server, fault, restarted, &mut self.coverage)?;
        self.checks.served(&self.nodes, self.now_ms, fault)
    }

    /// Notes what went wrong with the server and its disk.
    fn look_at_server(&mut self) {
        for what in std::mem::take(&mut self.server.noted) {
            self.note(what, String::new());
        }
        let (there, absent, torn) = self.server.seen.take_counts();
        self.coverage.note("batch under way found there", there);
        self.coverage.note("batch under way found absent", absent);
        self.coverage.note("torn batch cut", torn);
        let seen = self.server.store.disk().map(Disk::take_seen).unwrap_or_default();
        for (what, count) in seen {
            self.trace_line(format!("disk: {what}"));
            self.coverage.note(what, count);
        }
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

    /// Until when the one it is for does not hear it, if so.
    fn deaf(&self, arrival: &Arrival) -> Option<u64> {
        match arrival {
            Arrival::Expire => None,
            Arrival::ToServer { .. } | Arrival::BrokenAtServer { .. } => self.server.busy(self.now_ms),
            Arrival::ToNode { node, .. } | Arrival::BrokenAtNode { node, .. } | Arrival::Below { node, .. } => {
                self.nodes.get(*node)?.paused(self.now_ms)
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        if let Some(until_ms) = self.deaf(&arrival) {
            return self.network.defer(until_ms, arrival);
        }
        match arrival {
            Arrival::Expire => {
                self.network.at(self.now_ms + EXPIRE_EVERY_MS, Arrival::Expire);
                if self.server.busy(self.now_ms).is_some() {
                    return;
                }
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

    pub(super) fn connect(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(index) else { continue };
            if node.paused(self.now_ms).is_some() {
                continue;
            }
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

    pub(super) fn ask(&mut self, command: Command) {
        self.trace_line(format!("{command:?}"));
        let answer = self.with_server(|server, outside| server.ask(outside, Caller::Local { uid: 0 }, command));
        self.trace_line(format!("  → {answer:?}"));
    }

    pub(super) fn with_server<T>(&mut self, act: impl FnOnce(&mut Server, &mut Outside) -> T) -> T {
        let mut outside = Outside {
            now_ms: self.now_ms,
            random: &mut self.random,
            network: &mut self.network,
            names: &self.names,
            fault: self.options.fault,
        };
        act(&mut self.server, &mut outside)
    }

    pub(super) fn with_node(&mut self, index: usize, act: impl FnOnce(&mut Node, &mut Around)) {
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
        self.coverage.note(what, 1);
        self.trace_line(format!("{what} {about}"));
    }

    pub(super) fn trace_line(&mut self, line: String) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>9} ms  {line}", self.now_ms));
    }
}

fn worker(id: &str) -> Option<WorkerRef> {
    format!("ns/pool/{id}").parse().ok()
}
