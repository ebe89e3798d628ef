//! The simulator: the real registry, journal trait and node state machines, with time, network and crashes made of a seed.
//!
//! One number decides everything, so a failing run is repeated exactly by `cargo xtask sim --seed N --steps S`. Nodes have
//! clocks of their own that run a little fast or slow; streams deliver in order and late, break, and are partitioned
//! in one direction or both; the server and the nodes crash at any step, the server also within one: between what it decides,
//! appends, publishes, signs, delivers and answers. Two runs of three have the real file journal on a disk ([`disk`]) that
//! tears writes, forgets what was not synced, fails to sync, fills up and is slow; the others one in memory that another server
//! may take over. Machines are suspended, and the server's wall clock is set. A TCP stream neither duplicates nor reorders,
//! so duplicates are those that clients make: commands that are sent again.
//!
//! After every step the checks of [`check`] hold, and when misfortune stops everything comes to rest ([`calm`]), or the run
//! fails.

mod act;
mod calm;
mod check;
mod coverage;
mod disk;
mod network;
mod node;
mod random;
mod server;
mod store;
mod witness;
mod world;

pub use check::Broken;
pub use coverage::{CAMPAIGN_RUNS_MIN, Coverage};
pub use world::run;

/// What to simulate.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How many steps.
    pub steps: u64,
    /// A fault to plant, so that the checks are seen to catch it.
    pub fault: Option<Fault>,
}

/// A fault in the product itself, planted to see it caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nodes are told a longer lease than the server counts: one actor, two holders.
    LeaseTooLong,
    /// Nodes go on serving after their lease is over: credentials outside a live binding.
    LeaseIgnored,
    /// The server answers although the append failed: an acknowledged change is lost.
    AnswersUnrecorded,
    /// A node binds a second actor to a worker that is held.
    WorkerShared,
    /// The journal gives an actor its old epoch again.
    EpochRepeated,
    /// The journal gives a deleted actor's id to a new one.
    IdentityReused,
    /// The keys that nodes offer are lost on the way: nobody can be bound, and somebody waits.
    KeysLost,
    /// A program that is told to end never does: its actor is being suspended for ever.
    NeverEnds,
    /// A retried command is done a second time.
    RetriedAnew,
    /// The server answers before what it recorded is on the disk: the journal does not wait for the sync.
    AcknowledgesBeforeSync,
    /// A sync failed, and the journal goes on as if it had not.
    IgnoresFailedSync,
    /// A torn batch at the end of the journal is believed as far as it can be read.
    BelievesTornTail,
    /// A server that is killed and starts again forgets the file lock: two serve from one journal.
    ForgetsLock,
    /// A node's clock stands while its machine is suspended.
    ClockStands,
    /// What a node said on an older stream, and comes after what it said on a newer one, is believed.
    OldWordsBelieved,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::LeaseTooLong,
        Self::LeaseIgnored,
        Self::AnswersUnrecorded,
        Self::WorkerShared,
        Self::EpochRepeated,
        Self::IdentityReused,
        Self::KeysLost,
        Self::NeverEnds,
        Self::RetriedAnew,
        Self::AcknowledgesBeforeSync,
        Self::IgnoresFailedSync,
        Self::BelievesTornTail,
        Self::ForgetsLock,
        Self::ClockStands,
        Self::OldWordsBelieved,
    ];
}

/// A run that broke an invariant.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// At which step.
    pub step: u64,
    /// What broke.
    pub broken: Broken,
    /// The last things that happened, oldest first.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}, step {}: {}", self.seed, self.step, self.broken)?;
        write!(f, "replay it with: cargo xtask sim --seed {} --steps {}", self.seed, self.step + 1)
    }
}
