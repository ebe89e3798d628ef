//! What was typed after `bench`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `credence bench`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    /// What to measure: registry, minting, decision, life, authzen, gateway, narrowing or resume; may be given more than once (default: everything)
    #[arg(long = "row", value_name = "ROW", hide_possible_values = true)]
    pub(crate) rows: Vec<BenchRow>,
    /// Suspended actors in the registry that is measured
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_024..=20_000_000))]
    pub(crate) actors: u64,
    /// Directory on the disk that is to be measured (default: that of temporary files)
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Show the figures of this file beside, and which are worse now
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,
    /// Measure one row in this process
    #[arg(long, hide = true)]
    pub(crate) alone: bool,
    /// Be the actor of a measurement
    #[arg(long, hide = true, value_name = "PART", hide_possible_values = true)]
    pub(crate) as_actor: Option<BenchPart>,
}

/// What is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchRow {
    /// Binding transitions, memory and restart of a large registry
    Registry,
    /// X.509-SVIDs and JWT-SVIDs from orders
    Minting,
    /// What an actor may do, among few and among many classes
    Decision,
    /// `credence dev`, first SVIDs, tokens and streams of the Workload API
    Life,
    /// What is asked of the server over HTTP
    Authzen,
    /// What a gateway asks over an actor's socket
    Gateway,
    /// How soon a narrower delegation is in force on the node
    Narrowing,
    /// Resume to a served identity, with server and node as processes
    Resume,
}

impl BenchRow {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Minting => "minting",
            Self::Decision => "decision",
            Self::Life => "life",
            Self::Authzen => "authzen",
            Self::Gateway => "gateway",
            Self::Narrowing => "narrowing",
            Self::Resume => "resume",
        }
    }
}

/// What an actor does in a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchPart {
    /// Fetch one SVID
    Once,
    /// Fetch an SVID on one new connection after another
    Connections,
    /// Fetch tokens
    Tokens,
    /// Leave streams open, each on a connection of its own
    Streams,
    /// Leave streams open that share connections
    SharedStreams,
    /// Ask what a gateway asks
    Checks,
    /// Make a delegation narrower and ask until the node knows
    Narrowings,
}

impl BenchPart {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Connections => "connections",
            Self::Tokens => "tokens",
            Self::Streams => "streams",
            Self::SharedStreams => "shared-streams",
            Self::Checks => "checks",
            Self::Narrowings => "narrowings",
        }
    }
}
