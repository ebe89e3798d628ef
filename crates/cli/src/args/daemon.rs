//! What was typed after the verbs that stay: `dev`, `server`, `node`, `run`.

use clap::{Args, ValueEnum};
use credence_model::id::{ActorId, ClassRef, NodeName};
use credence_telemetry::otlp::{File, SettingsFile};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Most workers of `credence dev`.
pub(crate) const DEV_WORKERS_MAX: u32 = 64;

/// How a log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How a verb that stays is told to end, besides SIGINT and SIGTERM.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EndingArgs {
    /// End when standard input is closed: for programs that start this one and must not leave it behind
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
    /// How to write the log on standard error: text, or json (one object a line, with the id of the request)
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
}

/// Where the passphrase of the private keys on disk is read from.
#[derive(Debug, Clone, Args)]
pub(crate) struct PassphraseArgs {
    /// Encrypt private keys on disk under the passphrase in this open pipe, by its number
    #[arg(long, value_name = "N", conflicts_with = "key_passphrase_credential")]
    pub(crate) key_passphrase_fd: Option<u32>,
    /// The same, under the passphrase in this file of $CREDENTIALS_DIRECTORY
    #[arg(long, value_name = "NAME")]
    pub(crate) key_passphrase_credential: Option<String>,
}

/// Which collector is told traces and metrics.
#[derive(Debug, Clone, Args)]
pub(crate) struct OtlpArgs {
    /// Tell a collector traces and metrics (OTLP over gRPC): http:// on this machine, https://HOST:PORT, or unix:PATH
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) otlp: Option<String>,
    /// Certificates (PEM) of the authorities that a collector behind https:// is known by
    #[arg(long, value_name = "FILE")]
    pub(crate) otlp_ca: Option<PathBuf>,
    /// Share of the requests to trace that come without a traceparent, from 0 to 1 (default: all)
    #[arg(long, value_name = "RATIO")]
    pub(crate) otlp_ratio: Option<f64>,
}

impl OtlpArgs {
    /// What was typed here wins.
    pub(crate) fn over(self, file: SettingsFile) -> SettingsFile {
        SettingsFile(File {
            endpoint: self.otlp.or(file.0.endpoint),
            ca: self.otlp_ca.or(file.0.ca),
            ratio: self.otlp_ratio.or(file.0.ratio),
            ..file.0
        })
    }
}

/// How a verb that stays begins, besides from nothing.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct BeginningArgs {
    /// Read the options and the configuration, say what is wrong with them, and start nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Go on where the program was that this process was until now
    #[arg(long, hide = true)]
    pub(crate) take_over: bool,
}

/// `credence dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where to keep the journal, keys and sockets (default: ~/.local/state/credence/dev)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Name of the trust domain
    #[arg(long, value_name = "NAME", default_value = "dev.internal")]
    pub(crate) trust_domain: credence_model::spiffe_id::TrustDomain,
    /// Workers of the default pool
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=i64::from(DEV_WORKERS_MAX)))]
    pub(crate) workers: u32,
    /// Address of the TLS listener; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Who is told of it.
    #[command(flatten)]
    pub(crate) otlp: OtlpArgs,
    /// How it is told to end.
    #[command(flatten)]
    pub(crate) ending: EndingArgs,
}

/// `credence run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The class, as NAMESPACE/NAME
    #[arg(long, value_name = "NS/NAME")]
    pub(crate) class: ClassRef,
    /// The actor: resumed if it exists, else created (default: a new one with a generated id)
    #[arg(long, value_name = "ID")]
    pub(crate) actor: Option<ActorId>,
    /// The node's socket (default: $CREDENCE_NODE_SOCKET, else the node of `credence dev`)
    #[arg(long, value_name = "PATH")]
    pub(crate) node_socket: Option<PathBuf>,
    /// The program and its arguments, after --
    #[arg(value_name = "CMD", required = true, last = true)]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// `credence server`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Configuration, TOML; options given here win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to keep the journal, keys and archives
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the TLS listener; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Loopback address of /metrics, /healthz and /readyz; port 0 takes a free one (default: nowhere)
    #[arg(long, value_name = "ADDR")]
    pub(crate) observe: Option<SocketAddr>,
    /// Name of the trust domain; fixed at the first start
    #[arg(long, value_name = "NAME")]
    pub(crate) trust_domain: Option<credence_model::spiffe_id::TrustDomain>,
    /// Whether it only checks, or goes on where another one was.
    #[command(flatten)]
    pub(crate) beginning: BeginningArgs,
    /// What encrypts keys on disk.
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Who is told of it.
    #[command(flatten)]
    pub(crate) otlp: OtlpArgs,
    /// How it is told to end.
    #[command(flatten)]
    pub(crate) ending: EndingArgs,
}

/// `credence node`.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeArgs {
    /// Configuration, TOML; options given here win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Name of this node in the trust domain
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<NodeName>,
    /// HOST:PORT of the server
    #[arg(long = "connect", value_name = "HOST:PORT")]
    pub(crate) connect: Option<String>,
    /// File with the join token, for the first start only; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) join_token_file: Option<PathBuf>,
    /// Workers to offer in a pool: NS/POOL=N; may be given several times
    #[arg(long = "worker", value_name = "NS/POOL=N")]
    pub(crate) workers: Vec<String>,
    /// Loopback address of /metrics, /healthz and /readyz; port 0 takes a free one (default: nowhere)
    #[arg(long, value_name = "ADDR")]
    pub(crate) observe: Option<SocketAddr>,
    /// Where to keep the node's SVID, its sockets and the state of its actors
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Whether it only checks, or goes on where another one was.
    #[command(flatten)]
    pub(crate) beginning: BeginningArgs,
    /// What encrypts keys on disk.
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Who is told of it.
    #[command(flatten)]
    pub(crate) otlp: OtlpArgs,
    /// How it is told to end.
    #[command(flatten)]
    pub(crate) ending: EndingArgs,
}
