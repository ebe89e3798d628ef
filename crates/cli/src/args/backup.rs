//! What was typed after `backup` and `restore`.

use clap::Args;
use std::path::PathBuf;

/// `credence backup`.
#[derive(Debug, Args)]
#[command(
    after_help = "Run it on the server's machine, as its user; the server may run. Without --with-keys keep a copy of \
    the directory `authority` in a safe place: a restore needs it. With --with-keys whoever has the backup has the authority."
)]
pub(crate) struct BackupArgs {
    /// Where to; must not be there
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The server's data directory (default: that of `credence dev`)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Put the authority's private keys in it, too, as they lie on disk
    #[arg(long)]
    pub(crate) with_keys: bool,
}

/// `credence restore`.
#[derive(Debug, Args)]
#[command(after_help = "Everything is verified before the directory gets its name: it is there whole or not at all.\n\
    The server started on it is held until you decide: credence release")]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The data directory to build; must not be there or be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// A copy of the directory `authority`, for a backup without keys
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
}

/// `credence release`.
#[derive(Debug, Args)]
#[command(
    after_help = "First make sure that no other server of this trust domain runs. What happened after the backup stays\n\
    unknown; every later epoch is above everything that anybody has seen, so that old holders are refused."
)]
pub(crate) struct ReleaseArgs {
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}
