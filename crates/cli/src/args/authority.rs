//! `credence authority …`.

use clap::{Args, Subcommand};

/// `credence authority …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityVerb {
    /// List what the trust domain signs with
    List,
    /// Make a new authority: everybody learns to believe it, and it signs nothing yet
    Prepare,
    /// Have a prepared authority sign from now on
    Activate(ActivateArgs),
    /// Say that an old authority's key is in wrong hands: what it signed is replaced at once
    Taint(TaintArgs),
    /// Stop believing an old authority, and remove its keys
    Retire(RetireArgs),
    /// Prepare an authority, wait until everybody has it, and activate it
    Rotate(RotateArgs),
}

/// `credence authority activate`.
#[derive(Debug, Args)]
pub(crate) struct ActivateArgs {
    /// The authority: its id or the first digits of it (default: the prepared one)
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Even if connected nodes do not have it yet: their actors refuse what it signs until they do
    #[arg(long)]
    pub(crate) force: bool,
}

/// `credence authority taint`.
#[derive(Debug, Args)]
pub(crate) struct TaintArgs {
    /// The authority: its id or the first digits of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `credence authority retire`.
#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    /// The authority: its id or the first digits of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Even if credentials that it signed are still valid: everybody refuses them from then on
    #[arg(long)]
    pub(crate) force: bool,
}

/// `credence authority rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// How long workloads get to take the new bundle once every node has it, in seconds
    #[arg(long, value_name = "SECS", default_value_t = 10)]
    pub(crate) overlap: u64,
    /// Longest wait for nodes, in seconds
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    pub(crate) timeout: u64,
}
