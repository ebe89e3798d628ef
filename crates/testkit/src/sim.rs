//! The simulator: the real registry, journal trait and node state machines, with time, network and crashes made of a seed.
//!
//! One number decides everything, so a failing run is repeated exactly by `cargo xtask sim --seed N --steps S`. Nodes and servers
//! have clocks of their own that run a little fast or slow, and a time of day that people set; streams deliver in order and
//! late, break, and are partitioned in one direction or both; servers and nodes crash at any step, and within one: a server between what
//! it decides, appends, publishes, signs, delivers and answers, a node between two effects of its core. Two runs of three have the real file
//! journal on a disk ([`disk`]) that tears writes, forgets what was not synced, fails to sync, fills up and is slow; the
//! others one in memory. Up to three servers want the one cell ([`ground`]) and take turns, or overlap.
//!
//! After every step the checks of [`check`] hold, and when misfortune stops everything comes to rest ([`calm`]), or the run
//! fails. `docs/testing.md` says how far this goes.

mod act;
mod books;
mod calm;
mod check;
mod client;
mod coverage;
mod disk;
mod fault;
mod ground;
mod ledger;
mod network;
mod node;
mod operator;
mod permit;
mod random;
mod server;
mod signature;
mod store;
mod tamper;
mod witness;
mod world;

pub use check::{Broken, Unrest};
pub use coverage::{CAMPAIGN_RUNS_MIN, Coverage};
pub use fault::Fault;
pub use world::run;

/// What to simulate.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How many steps.
    pub steps: u64,
    /// Whether what is asked for has to do with permissions, too. Without it a seed means what it meant before they were drawn.
    pub permissions: bool,
    /// A fault to plant, so that the checks are seen to catch it.
    pub fault: Option<Fault>,
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
    /// Whether permissions were drawn.
    pub permissions: bool,
    /// The last things that happened, oldest first.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}, step {}: {}", self.seed, self.step, self.broken)?;
        let without = if self.permissions { "" } else { " --without-permissions" };
        write!(f, "replay it with: cargo xtask sim --seed {} --steps {}{without}", self.seed, self.step + 1)
    }
}
