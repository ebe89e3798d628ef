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
    /// SIGSTOP to the server for a while.
    ServerStopped,
    /// SIGKILL to a node, which is started again.
    NodeKilled,
    /// SIGSTOP to a node until its lease is over.
    NodeStopped,
    /// SIGKILL to the supervisor of an actor.
    SupervisorKilled,
    /// Nothing passes between a node and the server, in either direction, until the lease is over.
    NodeCutOff,
    /// No room on the server's disk for a while.
    DiskFull,
    /// SIGKILL to the server, whose disk is read-only when it is to start again.
    DiskReadOnly,
}

/// With how often each of them is chosen.
const ANYWHERE: [(Kind, usize); 6] = [
    (Kind::ServerKilled, 6),
    (Kind::NodeKilled, 5),
    (Kind::SupervisorKilled, 4),
    (Kind::ServerStopped, 2),
    (Kind::NodeStopped, 2),
    (Kind::NodeCutOff, 2),
];
const WITH_MOUNTS: [(Kind, usize); 2] = [(Kind::DiskFull, 2), (Kind::DiskReadOnly, 2)];

impl Kind {
    pub(super) fn choose(chance: &mut Seed, with_mounts: bool) -> Self {
        let more = with_mounts.then_some(WITH_MOUNTS).into_iter().flatten();
        let kinds: Vec<_> = ANYWHERE.into_iter().chain(more).flat_map(|(kind, times)| vec![kind; times]).collect();
        kinds[chance.below(kinds.len())]
    }
}
