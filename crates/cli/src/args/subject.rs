//! What was typed after the verbs that belong to one kind of thing: actors, classes, tokens, credentials, the log.

use crate::args::NamespaceArg;
use clap::{Args, Subcommand};
use credence_model::id::{Namespace, NodeName};
use credence_model::permission::Permission;
use std::path::PathBuf;

/// `credence class …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ClassVerb {
    /// Let actors of the class be bound again
    Enable(EnableArgs),
    /// Let no actor of the class be bound
    Disable(EnableArgs),
    /// Consent to what a revision permits, so that it may be in force
    Consent(ConsentArgs),
    /// Take a consent back
    Withdraw(EnableArgs),
    /// Say what a revision permits more and less than another
    Diff(DiffArgs),
    /// Try what a class permits on the cases of a file, without a server
    Test(ClassTestArgs),
}

/// `credence class test`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 all cases are as expected, 1 one is not.\n\
    Example: credence class test examples/expenses-test.yaml")]
pub(crate) struct ClassTestArgs {
    /// YAML files with tests; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence class consent`.
#[derive(Debug, Args)]
pub(crate) struct ConsentArgs {
    /// The class
    #[arg(value_name = "CLASS")]
    pub(crate) class: String,
    /// The revision, instead of the newest
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u32>,
    /// Only this, of what it permits; can be given several times
    #[arg(long, value_name = "PERMISSION")]
    pub(crate) only: Vec<Permission>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence class diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The class
    #[arg(value_name = "CLASS")]
    pub(crate) class: String,
    /// Compare this revision, instead of the newest
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u32>,
    /// Compare with this revision, instead of the one in force
    #[arg(long, value_name = "N")]
    pub(crate) with: Option<u32>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence class enable|disable`.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    /// The class
    #[arg(value_name = "CLASS")]
    pub(crate) class: String,
    /// Only this revision
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u32>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence actor …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ActorVerb {
    /// Create an actor, suspended
    Create(CreateActorArgs),
    /// Admit an actor and bind it to a worker
    Resume(ResumeArgs),
    /// End an actor's binding and keep its state
    Suspend(SuspendArgs),
    /// Say what an actor may do, layer by layer
    Permissions(PermissionsArgs),
    /// End an actor for ever; its id is never used again
    Terminate(ReasonArgs),
    /// Stop an actor at once and keep the evidence
    Quarantine(ReasonArgs),
    /// Print what an actor wrote
    Logs(LogsArgs),
    /// Run a command beside a running actor, with its identity
    Exec(ExecArgs),
}

/// `credence actor create`.
#[derive(Debug, Args)]
pub(crate) struct CreateActorArgs {
    /// Its id: a DNS label that was never used (default: a generated one)
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Its class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: String,
    /// A label, KEY=VALUE; may be given several times
    #[arg(short, long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// The user whom it acts for, as NAME@ISSUER
    #[arg(long, value_name = "NAME@ISSUER")]
    pub(crate) user: Option<String>,
    /// The session of that user in which it acts
    #[arg(long, value_name = "ID", requires = "user")]
    pub(crate) session: Option<String>,
    /// The actor that it is a copy of
    #[arg(long, value_name = "ACTOR")]
    pub(crate) copy_of: Option<String>,
    /// Resume it at once and wait until it runs
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence actor permissions`.
#[derive(Debug, Args)]
pub(crate) struct PermissionsArgs {
    /// The actor
    #[arg(value_name = "ACTOR")]
    pub(crate) actor: String,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence actor resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The actors
    #[arg(value_name = "ACTOR", required = true)]
    pub(crate) actors: Vec<String>,
    /// On this worker and no other: NS/POOL/WORKER
    #[arg(long, value_name = "WORKER")]
    pub(crate) worker: Option<String>,
    /// How long it may wait for a free worker, in seconds (default: the trust domain's setting)
    #[arg(long, value_name = "SECS")]
    pub(crate) wait: Option<u64>,
    /// Do not wait until it runs
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence actor suspend`.
#[derive(Debug, Args)]
pub(crate) struct SuspendArgs {
    /// The actors
    #[arg(value_name = "ACTOR", required = true)]
    pub(crate) actors: Vec<String>,
    /// Do not wait until it is suspended
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence actor terminate|quarantine`.
#[derive(Debug, Args)]
pub(crate) struct ReasonArgs {
    /// The actors
    #[arg(value_name = "ACTOR", required = true)]
    pub(crate) actors: Vec<String>,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence actor logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The actor
    #[arg(value_name = "ACTOR")]
    pub(crate) actor: String,
    /// Go on printing what it writes
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence actor exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The actor
    #[arg(value_name = "ACTOR")]
    pub(crate) actor: String,
    /// Longest time the command may take, in seconds
    #[arg(long, value_name = "SECS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
    /// The command and its arguments, after --
    #[arg(value_name = "CMD", required = true, last = true)]
    pub(crate) command: Vec<String>,
}

/// `credence worker …`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerVerb {
    /// List workers
    List(WorkerListArgs),
    /// Give a worker no further actor, and move its present one away
    Drain(DrainArgs),
}

/// `credence worker list`.
#[derive(Debug, Args)]
pub(crate) struct WorkerListArgs {
    /// Only workers of this pool
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<String>,
    /// Only workers of pools in this namespace
    #[arg(short, long, value_name = "NS")]
    pub(crate) namespace: Option<Namespace>,
}

/// `credence worker drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The workers, as POOL/WORKER or NS/POOL/WORKER
    #[arg(value_name = "WORKER", required = true)]
    pub(crate) workers: Vec<String>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence token …`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a join token: a node attests with it, once
    Create(TokenArgs),
}

/// `credence token create`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The node that may use it (default: any)
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<NodeName>,
    /// Workers that the node may hold in a pool: POOL=N; 0 allows only process trees; may be given several times
    #[arg(long = "pool", value_name = "POOL=N", required = true)]
    pub(crate) pools: Vec<String>,
    /// How long it may be used, in seconds
    #[arg(long, value_name = "SECS", default_value_t = 600)]
    pub(crate) ttl: u64,
    /// Write it to this file, readable by you alone, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence bundle …`.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleVerb {
    /// Print the trust domain's SPIFFE bundle
    Show(BundleArgs),
}

/// `credence bundle show`.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// As what: words, spiffe (the bundle document, a JWK set) or pem (the X.509 authorities)
    #[arg(long, value_name = "FORM", default_value = "words", hide_possible_values = true)]
    pub(crate) form: BundleForm,
}

/// How a bundle is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BundleForm {
    /// What is in it
    Words,
    /// The SPIFFE bundle document (a JWK set)
    Spiffe,
    /// The X.509 authorities as PEM
    Pem,
}

/// `credence svid …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SvidVerb {
    /// Say in words what a certificate or token is; nothing is sent anywhere
    Inspect(InspectArgs),
}

/// `credence svid inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// X.509-SVID (PEM or DER) or JWT-SVID; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `credence verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// X.509-SVID (PEM) or JWT-SVID; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Audience that a JWT-SVID must have
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,
}

/// `credence log …`.
#[derive(Debug, Subcommand)]
pub(crate) enum LogVerb {
    /// Print entries of the log, one line each
    Tail(TailArgs),
}

/// `credence log tail`. Routine (heartbeats, keys made ready, remembered answers) is only told with -o wide or to programs.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Begin with this entry (default: the last 20; -o wide also tells routine such as heartbeats)
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// Go on printing what happens
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// `credence completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
