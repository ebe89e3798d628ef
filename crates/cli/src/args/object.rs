//! What was typed after the verbs that treat all kinds of objects alike.

use clap::Args;
use credence_model::id::Namespace;
use std::path::PathBuf;

/// Which namespace is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamespaceArg {
    /// Namespace of objects that are named without one
    #[arg(short, long, value_name = "NS", default_value = "default")]
    pub(crate) namespace: Namespace,
}

/// `credence apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// YAML file with one or more objects; - is standard input; may be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
    /// Only check the files, send nothing
    #[arg(long)]
    pub(crate) check: bool,
}

/// `credence get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// KIND [NAME…] or KIND/NAME…; kinds are class, pool, guard, actor, node, worker
    #[arg(value_name = "KIND", required = true)]
    pub(crate) words: Vec<String>,
    /// Only this namespace; also the namespace of objects that are named without one
    #[arg(short, long, value_name = "NS")]
    pub(crate) namespace: Option<Namespace>,
    /// All namespaces, which is what a list shows anyway
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Only actors of this class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Only actors in this state
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Go on printing what changes
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// `credence describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// KIND NAME… or KIND/NAME…
    #[arg(value_name = "KIND/NAME", required = true)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// KIND NAME… or KIND/NAME…
    #[arg(value_name = "KIND/NAME", required = true)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence explain`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0 if the actor has its identity, 1 if not.")]
pub(crate) struct ExplainArgs {
    /// The actor (actor/ID, actor/NS/ID or actor/NS/CLASS/ID), or a decision (decision/ID)
    #[arg(value_name = "actor/ID|decision/ID")]
    pub(crate) actor: String,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "It changes nothing, and says what can be said when the server is down. Exit codes: 0 nothing fails, 1 something does."
)]
pub(crate) struct DoctorArgs {
    /// The server's configuration, to be read as a start would
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The server's data directory (default: that of the configuration, else of `credence dev`)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The node's data directory (default: that of `credence dev`)
    #[arg(long, value_name = "DIR")]
    pub(crate) node_data_dir: Option<PathBuf>,
}
