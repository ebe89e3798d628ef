//! What was typed. One struct per verb, nothing resolved yet: the files under `verb/` say what it means.

mod authority;
mod backup;
mod bench;
mod daemon;
mod login;
pub(crate) mod misuse;
mod object;
mod permission;
mod subject;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

pub(crate) use authority::{ActivateArgs, AuthorityVerb, RetireArgs, RotateArgs, TaintArgs};
pub(crate) use backup::{BackupArgs, ReleaseArgs, RestoreArgs};
pub(crate) use bench::{BenchArgs, BenchPart, BenchRow};
pub(crate) use daemon::{
    DEV_WORKERS_MAX, DevArgs, EndingArgs, LogFormat, NodeArgs, PassphraseArgs, RunArgs, ServerArgs,
};
pub(crate) use login::LoginArgs;
pub(crate) use object::{ApplyArgs, DeleteArgs, DescribeArgs, DoctorArgs, ExplainArgs, GetArgs, NamespaceArg};
pub(crate) use permission::{CanArgs, DelegationVerb, GrantArgs, ListDelegationsArgs, NarrowArgs, RevokeArgs};
pub(crate) use subject::{
    ActorVerb, BundleArgs, BundleForm, BundleVerb, ClassTestArgs, ClassVerb, CompletionArgs, ConsentArgs,
    CreateActorArgs, DiffArgs, EnableArgs, ExecArgs, InspectArgs, LogVerb, LogsArgs, PermissionsArgs, ReasonArgs,
    ResumeArgs, SuspendArgs, SvidVerb, TailArgs, TokenArgs, TokenVerb, VerifyArgs, WorkerVerb,
};

/// Identity for AI agents: every running agent gets an attested, fenced and attributable SPIFFE identity.
#[derive(Debug, Parser)]
#[command(name = "credence", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 refused, 2 used wrongly, 3 unavailable.\n\
    New here: `credence dev` in one terminal, then `credence get workers` in another.")]
pub(crate) struct CommandLine {
    /// Where to send the command, and how to print the answer.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options that every verb takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The server: unix:PATH of its admin socket, or https://HOST:PORT (default: $CREDENCE_SERVER, else `credence dev`)
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// SPIFFE bundle to trust the server by; needed with https://
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// X.509-SVID (PEM chain) to show the server with https://
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    pub(crate) svid: Option<PathBuf>,
    /// Private key (PEM, PKCS#8) of that SVID
    #[arg(long, global = true, value_name = "FILE", requires = "svid")]
    pub(crate) key: Option<PathBuf>,
    /// Act as the user whom the token in this file names, whoever this connection is; also: `credence login`
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How to print: table, wide (more columns), json or yaml (the API's objects) [default: table]
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) output: Format,
    /// No colours (also: NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// More columns
    Wide,
    /// The API's objects as JSON
    Json,
    /// The API's objects as YAML
    Yaml,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the whole way of an identity on this machine, in under a minute
    Demo(DemoArgs),
    /// Run server, node and a default pool on this machine, for a laptop
    Dev(DevArgs),
    /// Run a program as an actor of a class, in this terminal
    Run(RunArgs),
    /// Run the control plane
    Server(ServerArgs),
    /// Run the daemon of a host
    Node(NodeArgs),
    /// Create or change classes, pools and guards from YAML files
    Apply(ApplyArgs),
    /// List objects
    Get(GetArgs),
    /// Show everything about objects
    Describe(DescribeArgs),
    /// Say why an actor has its identity or none, or why something was decided
    Explain(ExplainArgs),
    /// Say whether an actor may do something, and if not what would allow it
    Can(CanArgs),
    /// Log in as a user at an identity provider, to delegate as oneself
    Login(LoginArgs),
    /// Forget who is logged in
    Logout,
    /// Say who one is, and which actors act for one
    Whoami,
    /// Delegate to actors, and take it back
    #[command(subcommand)]
    Delegation(DelegationVerb),
    /// Say whether this installation is healthy, what is wrong, and what to do
    Doctor(DoctorArgs),
    /// Delete objects
    Delete(DeleteArgs),
    /// Enable, disable, compare and test classes, and consent to what they permit
    #[command(subcommand)]
    Class(ClassVerb),
    /// Create actors and take them through their life
    #[command(subcommand)]
    Actor(ActorVerb),
    /// List workers, take one out of use
    #[command(subcommand)]
    Worker(WorkerVerb),
    /// Make join tokens for nodes
    #[command(subcommand)]
    Token(TokenVerb),
    /// Show the keys of the trust domain
    #[command(subcommand)]
    Bundle(BundleVerb),
    /// Rotate what the trust domain signs with
    #[command(subcommand)]
    Authority(AuthorityVerb),
    /// Explain certificates and tokens, offline
    #[command(subcommand)]
    Svid(SvidVerb),
    /// Ask the server whether a credential's binding and epoch are still the live ones
    Verify(VerifyArgs),
    /// Read the log of everything that happened
    #[command(subcommand)]
    Log(LogVerb),
    /// Copy the data directory of a server, which may run
    Backup(BackupArgs),
    /// Build the data directory of a server from a backup
    Restore(RestoreArgs),
    /// Let a held server go on: one that was restored, or that has lost what it gave out
    Release(ReleaseArgs),
    /// Measure Credence on this machine beside the physical limit of the same work
    Bench(BenchArgs),
    /// Write the completion script of a shell to standard output
    Completion(CompletionArgs),
}

/// `credence demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep everything up at the end, and say what to try next
    #[arg(long)]
    pub(crate) stay: bool,
}
