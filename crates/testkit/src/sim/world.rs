//! The world: what happens next, decided by the seed.

use super::check::{Broken, Checks};
use super::coverage::Coverage;
use super::disk::Disk;
use super::ground::Ground;
use super::network::{Arrival, Network};
use super::node::{Around, Node};
use super::permit::Permits;
use super::random::Random;
use super::server::{Outside, Server};
use super::{Failure, Fault, Options};
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, OnLost, Runtime};
use credence_model::command::Command;
use credence_model::id::{NodeName, WorkerRef};
use credence_model::time::Timestamp;
use credence_node::core::Input;
use std::collections::VecDeque;

/// When the simulated world begins.
pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Servers that want the cell, at most.
const SERVERS_MAX: u64 = 3;

const EXPIRE_EVERY_MS: u64 = 100;
const TRACE_LINES: usize = 60;
const WHOLE_CHECK_EVERY: u64 = 64;

pub(super) struct World {
    pub(super) options: Options,
    pub(super) random: Random,
    pub(super) now_ms: u64,
    pub(super) next_action_ms: u64,
    pub(super) network: Network,
    pub(super) ground: Ground,
    pub(super) servers: Vec<Server>,
    pub(super) nodes: Vec<Node>,
    pub(super) names: Vec<NodeName>,
    pub(super) checks: Checks,
    pub(super) permits: Permits,
    pub(super) coverage: Coverage,
    /// The class that actors are made of.
    pub(super) spec: ClassSpec,
    trace: VecDeque<String>,
    next_stream: u64,
    pub(super) created: u64,
    /// Join tokens, authorities and whatever else has to be new.
    pub(super) made: u64,
}

/// Runs one simulation.
pub fn run(options: Options) -> Result<Coverage, Box<Failure>> {
    let mut world = World::new(options);
    for step in 0..=options.steps {
        let done = if step < options.steps { world.step(step) } else { world.calm_down() };
        if let Err(broken) = done {
            let trace = world.trace.into_iter().collect();
            let step = step.min(options.steps.saturating_sub(1));
            let (seed, permissions) = (options.seed, options.permissions);
            return Err(Box::new(Failure { seed, step, broken, permissions, trace }));
        }
    }
    Ok(world.coverage)
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
        let servers = 0..random.between(1, SERVERS_MAX) as usize;
        let mut network = Network::default();
        network.doubles = random.one_in(3);
        servers.clone().for_each(|server| network.at(0, Arrival::Expire { server }));
        let on_lost = if random.one_in(4) { OnLost::Suspend } else { OnLost::Resume };
        let runtime = Runtime { command: vec!["program".into()], on_lost, ..Runtime::default() };
        Self {
            options,
            ground: Ground::new(&mut random, options.fault),
            servers: servers.map(|index| Server::new(index, &mut random)).collect(),
            spec: ClassSpec { owner: "sim".into(), runtime, ..ClassSpec::default() },
            random,
            now_ms: 1,
            next_action_ms: 1,
            network,
            nodes,
            names,
            checks: Checks::default(),
            permits: Permits::default(),
            coverage: Coverage::default(),
            trace: VecDeque::new(),
            next_stream: 0,
            created: 0,
            made: 0,
        }
    }

    fn step(&mut self, step: u64) -> Result<(), Broken> {
        let restarted = if step == 0 { self.furnish()? } else { self.happen()? };
        self.check(restarted)?;
        let owner = self.ground.owner.and_then(|owner| self.servers.get(owner));
        if step.is_multiple_of(WHOLE_CHECK_EVERY) { self.checks.whole(owner) } else { Ok(()) }
    }

    /// Whether everything holds at this moment.
    pub(super) fn check(&mut self, restarted: bool) -> Result<(), Broken> {
        self.look_around();
        let owner = self.ground.owner;
        let asked = |server: &Server| owner.map_or(server.registry.is_some(), |owner| owner == server.index);
        let server = self.servers.iter_mut().find(|server| asked(server));
        self.checks.read(server, &mut self.ground, restarted, &mut self.coverage)?;
        self.checks.served(&self.nodes, self.now_ms)
    }

    /// Notes what went wrong with servers, their disk and the network.
    fn look_around(&mut self) {
        for what in std::mem::take(&mut self.ground.noted) {
            self.note(what, String::new());
        }
        let (there, absent, torn) = self.ground.seen.take_counts();
        self.coverage.note("batch under way found there", there);
        self.coverage.note("batch under way found absent", absent);
        self.coverage.note("torn batch cut", torn);
        self.coverage.note("message said twice", std::mem::take(&mut self.network.doubled));
        let seen = self.ground.store.disk().map(Disk::take_seen).unwrap_or_default();
        for (what, count) in seen {
            self.trace_line(format!("disk: {what}"));
            self.coverage.note(what, count);
        }
    }

    /// A class, pools, an authority and attested nodes to begin with.
    fn furnish(&mut self) -> Result<bool, Broken> {
        self.start_server(0)?;
        self.apply_catalogue()?;
        self.adopt_authority();
        for index in 0..self.nodes.len() {
            self.attest(index)?;
        }
        if self.options.permissions {
            self.begin_permits()?;
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
            Arrival::Expire { .. } => None,
            Arrival::ToServer { stream, .. } | Arrival::BrokenAtServer { stream, .. } => {
                let (server, _) = self.network.with.get(stream)?;
                self.servers.get(*server)?.busy(self.now_ms)
            }
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
            Arrival::Expire { server } => {
                self.network.at(self.now_ms + EXPIRE_EVERY_MS, Arrival::Expire { server });
                let is_busy = self.servers.get(server).is_some_and(|server| server.busy(self.now_ms).is_some());
                if !is_busy && self.options.fault != Some(Fault::NeverExpires) {
                    self.with_server(server, |server, outside| server.ask(outside, Caller::System, Command::Expire));
                }
            }
            Arrival::ToServer { node, stream, message } => {
                self.trace_line(format!("{node} says {message:?}"));
                if let Some(server) = self.server_of(stream) {
                    self.with_server(server, |server, outside| server.hear(outside, node, stream, message));
                }
            }
            Arrival::ToNode { node, stream, message } => {
                self.trace_line(format!("{node} is told {message:?}"));
                self.with_node(node, |node, around| node.hear(around, stream, message));
            }
            Arrival::BrokenAtServer { node, stream } => {
                self.note("stream broken at server", format!("{node}"));
                if let Some(server) = self.server_of(stream) {
                    self.with_server(server, |server, outside| server.broken(outside, node, stream));
                }
                self.network.with.remove(&stream);
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

    pub(super) fn connect(&mut self) -> Result<(), Broken> {
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
            let down = self.some_server().is_none() || self.network.cut.contains_key(&index);
            if down || self.network.open.contains_key(&index) || !self.random.one_in(3) {
                continue;
            }
            self.open_stream(index)?;
        }
        Ok(())
    }

    /// Whoever is not connected is.
    pub(super) fn reconnect(&mut self) -> Result<(), Broken> {
        for index in 0..self.nodes.len() {
            if !self.network.open.contains_key(&index) {
                self.open_stream(index)?;
            }
        }
        Ok(())
    }

    /// A node that is not known any more proves its origin again first.
    fn open_stream(&mut self, index: usize) -> Result<(), Broken> {
        let is_known = self.names.get(index).is_some_and(|name| self.checks.state().nodes.contains_key(name));
        if !is_known {
            self.attest(index)?;
        }
        let Some(server) = self.some_server() else { return Ok(()) };
        let life = self.servers.get(server).map_or(0, |server| server.life);
        self.next_stream += 1;
        let stream = self.next_stream;
        self.network.open_stream(index, stream, (server, life));
        self.note("stream opened", format!("{index} to {server}"));
        self.with_node(index, |node, around| node.input(around, Input::Opened { stream }));
        Ok(())
    }

    /// A server that is up and listens.
    pub(super) fn some_server(&mut self) -> Option<usize> {
        let up = self.servers.iter().filter(|server| server.registry.is_some() && server.busy(self.now_ms).is_none());
        let up: Vec<_> = up.map(|server| server.index).collect();
        up.get(self.random.below(up.len() as u64) as usize).copied()
    }

    /// The server that a stream is with, if it has not been started again since.
    fn server_of(&self, stream: u64) -> Option<usize> {
        let (server, life) = *self.network.with.get(&stream)?;
        self.servers.get(server).filter(|server| server.life == life).map(|server| server.index)
    }

    pub(super) fn ask(&mut self, command: Command) {
        self.trace_line(format!("{command:?}"));
        let Some(server) = self.some_server() else { return };
        let local = Caller::Local { uid: 0 };
        let answer = self.with_server(server, |server, outside| server.ask(outside, local, command));
        self.trace_line(format!("  → {answer:?}"));
    }

    pub(super) fn with_server<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Server, &mut Outside) -> T,
    ) -> Option<T> {
        let mut outside = Outside {
            now_ms: self.now_ms,
            random: &mut self.random,
            network: &mut self.network,
            ground: &mut self.ground,
            names: &self.names,
            fault: self.options.fault,
        };
        self.servers.get_mut(index).map(|server| act(server, &mut outside))
    }

    pub(super) fn with_node(&mut self, index: usize, act: impl FnOnce(&mut Node, &mut Around)) {
        let mut around = Around {
            now_ms: self.now_ms,
            wall: self.checks.state().last_at,
            random: &mut self.random,
            network: &mut self.network,
            noted: &mut self.ground.noted,
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
