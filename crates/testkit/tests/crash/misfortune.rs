//! What can happen, and in which order it does.

/// A seed, and every number that follows from it (splitmix64).
pub(super) struct Seed(pub(super) u64);

impl Seed {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("it is below the end")
    }
}

/// A misfortune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// SIGKILL to the server, which is started again.
    ServerKilled,
    /// SIGSTOP to the server for less than a lease.
    ServerStopped,
    /// SIGSTOP to the server until every lease is over.
    ServerStoppedLong,
    /// SIGKILL to a node, which is started again.
    NodeKilled,
    /// SIGSTOP to a node until its lease is over.
    NodeStopped,
    /// SIGKILL to the supervisor of an actor.
    SupervisorKilled,
    /// A relay swallows everything between a node and the server, in either direction, until the lease is over.
    NodeCutOff,
    /// No room on the server's disk for a while.
    DiskFull,
    /// SIGKILL to the server, whose disk is read-only when it is to start again.
    DiskReadOnly,
    /// The disk becomes read-only under the running server.
    DiskReadOnlyRunning,
    /// The interface of a node is down until the lease is over.
    LinkDown,
    /// Packets between a node and the server are lost without a word, in both directions, until the lease is over.
    PacketsLost,
    /// Packets from a node to the server are lost, those back are not.
    PacketsToServerLost,
    /// Packets from the server to a node are lost, those back are not.
    PacketsToNodeLost,
}

/// What this machine lets a campaign do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means {
    pub(super) mounts: bool,
    pub(super) netns: bool,
}

/// With how often each of them is chosen: mostly kills.
const ANYWHERE: [(Kind, usize); 7] = [
    (Kind::ServerKilled, 16),
    (Kind::NodeKilled, 14),
    (Kind::SupervisorKilled, 12),
    (Kind::ServerStopped, 2),
    (Kind::ServerStoppedLong, 1),
    (Kind::NodeStopped, 2),
    (Kind::NodeCutOff, 2),
];
const WITH_MOUNTS: [(Kind, usize); 3] = [(Kind::DiskFull, 2), (Kind::DiskReadOnly, 2), (Kind::DiskReadOnlyRunning, 2)];
const WITH_NETNS: [(Kind, usize); 4] =
    [(Kind::LinkDown, 1), (Kind::PacketsLost, 1), (Kind::PacketsToServerLost, 1), (Kind::PacketsToNodeLost, 1)];

/// The order of misfortunes: first each kind once, then by chance.
pub(super) struct Fate {
    ahead: Vec<Kind>,
    chances: Vec<Kind>,
}

impl Fate {
    pub(super) fn new(means: Means, chance: &mut Seed) -> Self {
        let with_mounts = means.mounts.then_some(WITH_MOUNTS).into_iter().flatten();
        let with_netns = means.netns.then_some(WITH_NETNS).into_iter().flatten();
        let kinds: Vec<_> = ANYWHERE.into_iter().chain(with_mounts).chain(with_netns).collect();
        let mut ahead: Vec<_> = kinds.iter().map(|(kind, _)| *kind).collect();
        for last in (1..ahead.len()).rev() {
            ahead.swap(last, chance.below(last + 1));
        }
        Self { ahead, chances: kinds.into_iter().flat_map(|(kind, times)| vec![kind; times]).collect() }
    }

    /// The kinds that have not happened yet.
    pub(super) fn ahead(&self) -> &[Kind] {
        &self.ahead
    }

    pub(super) fn next(&mut self, chance: &mut Seed) -> Kind {
        self.ahead.pop().unwrap_or_else(|| self.chances[chance.below(self.chances.len())])
    }
}
