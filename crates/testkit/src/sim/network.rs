//! Streams between nodes and the server: in order, late, broken at any moment.

use super::random::Random;
use super::signature::Signed;
use credence_model::command::{Held, Unbind};
use credence_model::id::{ActorId, BindingId, ClassRef, Digest};
use credence_node::core::message::{BindNotice, FromNodeMessage};
use std::collections::BTreeMap;

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub(super) enum Arrival {
    ToServer {
        node: usize,
        stream: u64,
        message: ToServer,
    },
    ToNode {
        node: usize,
        stream: u64,
        message: ToNode,
    },
    /// The server notices that a stream broke.
    BrokenAtServer {
        node: usize,
        stream: u64,
    },
    /// The node notices that a stream broke.
    BrokenAtNode {
        node: usize,
        stream: u64,
    },
    /// A node's processes did something.
    Below {
        node: usize,
        life: u64,
        input: Box<credence_node::core::Input>,
    },
    /// A server looks at leases and queues.
    Expire {
        server: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) enum ToServer {
    Core(FromNodeMessage),
    Keys(Vec<Digest>),
    Renew(Held, Digest),
    Mint(Held),
    /// A node asks for a new SVID of its own.
    RenewNode(Digest),
    BindProcess(ClassRef, Option<ActorId>),
    BundleHeld {
        sequence: u64,
        reissued: bool,
    },
}

impl ToServer {
    /// Whether it may be said twice. A key that is offered twice would be certified twice.
    fn may_double(&self) -> bool {
        !matches!(self, Self::Keys(_) | Self::Renew(..) | Self::RenewNode(_))
    }
}

#[derive(Debug, Clone)]
pub(super) enum ToNode {
    Welcome {
        session: u64,
        lease_ms: u64,
        heartbeat_ms: u64,
        unbind: Vec<Unbind>,
    },
    Ack(u64),
    Bind(Box<BindNotice>),
    Unbind(Unbind),
    X509(BindingId, Box<Signed>),
    /// A token, or the node's own SVID: what becomes of it is of no matter here.
    Other,
    /// What is to be believed, and what is to be replaced.
    Bundle {
        sequence: u64,
        tainted: Vec<Digest>,
    },
}

/// In which directions a node is cut off: what is sent there arrives very late, if the stream lives so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    ToServer,
    ToNode,
    Both,
}

impl Cut {
    pub(super) const ALL: [Self; 3] = [Self::ToServer, Self::ToNode, Self::Both];
}

/// Numbers below are for what is deferred.
const DEFERRED_MAX: u64 = 1 << 32;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Network {
    arrivals: BTreeMap<(u64, u64), Arrival>,
    sequence: u64,
    deferred: u64,
    /// When the last message of a stream and direction arrives, so that none overtakes another.
    last: BTreeMap<(usize, u64, bool), u64>,
    /// Streams that are open on both sides, by node.
    pub(super) open: BTreeMap<usize, u64>,
    /// Nodes that are cut off, and in which directions.
    pub(super) cut: BTreeMap<usize, Cut>,
    /// With which server a stream is, and in which of its lives it was opened.
    pub(super) with: BTreeMap<u64, (usize, u64)>,
    /// Nothing is slow any more.
    pub(super) is_calm: bool,
    /// Whether messages are said twice now and then, and how often one was.
    pub(super) doubles: bool,
    pub(super) doubled: u64,
}

impl Network {
    pub(super) fn at(&mut self, when_ms: u64, arrival: Arrival) {
        self.sequence += 1;
        self.arrivals.insert((when_ms, DEFERRED_MAX + self.sequence), arrival);
    }

    /// Something that arrived at somebody who does not listen before `when_ms`: it comes before what arrives then.
    pub(super) fn defer(&mut self, when_ms: u64, arrival: Arrival) {
        self.deferred += 1;
        self.arrivals.insert((when_ms, self.deferred), arrival);
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.arrivals.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self, now_ms: u64) -> Option<Arrival> {
        let key = *self.arrivals.keys().next().filter(|(at, _)| *at <= now_ms)?;
        self.arrivals.remove(&key)
    }

    pub(super) fn send_to_server(
        &mut self,
        now_ms: u64,
        random: &mut Random,
        node: usize,
        stream: u64,
        message: ToServer,
    ) {
        if self.open.get(&node) != Some(&stream) {
            return;
        }
        for _ in 0..self.times(random, message.may_double()) {
            let at = self.delay(now_ms, random, (node, stream, true));
            self.at(at, Arrival::ToServer { node, stream, message: message.clone() });
        }
    }

    pub(super) fn send_to_node(&mut self, now_ms: u64, random: &mut Random, node: usize, stream: u64, message: ToNode) {
        if self.open.get(&node) != Some(&stream) {
            return;
        }
        for _ in 0..self.times(random, true) {
            let at = self.delay(now_ms, random, (node, stream, false));
            self.at(at, Arrival::ToNode { node, stream, message: message.clone() });
        }
    }

    /// How often a message is said. No stream doubles anything by itself; a sender that sends twice does.
    fn times(&mut self, random: &mut Random, may_double: bool) -> u64 {
        let twice = self.doubles && may_double && !self.is_calm && random.one_in(25);
        self.doubled += u64::from(twice);
        1 + u64::from(twice)
    }

    /// Opens a stream of a node to a server.
    pub(super) fn open_stream(&mut self, node: usize, stream: u64, server: (usize, u64)) {
        self.open.insert(node, stream);
        self.with.insert(stream, server);
    }

    /// Breaks a node's stream. Each side notices in its own time; what is under way is lost, or still heard until then.
    pub(super) fn cut_stream(&mut self, now_ms: u64, random: &mut Random, node: usize) -> bool {
        let Some(stream) = self.open.remove(&node) else { return false };
        let (server, client) = (random.between(0, 15_000), random.between(0, 15_000));
        let (to_server, to_node) = (random.one_in(2), random.one_in(2));
        self.arrivals.retain(|(at, _), arrival| match arrival {
            Arrival::ToServer { node: n, stream: s, .. } if (*n, *s) == (node, stream) => {
                to_server && *at < now_ms + server
            }
            Arrival::ToNode { node: n, stream: s, .. } if (*n, *s) == (node, stream) => {
                to_node && *at < now_ms + client
            }
            _ => true,
        });
        self.at(now_ms + server, Arrival::BrokenAtServer { node, stream });
        self.at(now_ms + client, Arrival::BrokenAtNode { node, stream });
        true
    }

    fn delay(&mut self, now_ms: u64, random: &mut Random, way: (usize, u64, bool)) -> u64 {
        let slow = random.one_in(20) && !self.is_calm;
        let (_, _, to_server) = way;
        let is_cut = self.cut.get(&way.0).is_some_and(|cut| match cut {
            Cut::ToServer => to_server,
            Cut::ToNode => !to_server,
            Cut::Both => true,
        });
        let delay = match (is_cut, slow) {
            (true, _) => random.between(5_000, 40_000),
            (false, true) => random.between(100, 8_000),
            (false, false) => random.between(1, 20),
        };
        let last = self.last.entry(way).or_default();
        *last = (now_ms + delay).max(*last);
        *last
    }
}
