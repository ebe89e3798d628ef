//! What the verbs that stay have in common: their log on standard error, and how they are told to end.

use crate::args::{EndingArgs, LogFormat};
use crate::environment::{self, Environment};
use crate::failure::Failure;
use crate::output::Output;
use credence_model::refusal::Kind;
use credence_node::config::{Config, ConfigFile};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The verb of the process that keeps an actor's process tree together; see `main`.
const SUPERVISOR_ARG: &str = "actor-init";

/// Has the kernel give this process memory in small pages, for a node: it keeps many buffers of which only the beginning
/// is ever used, and a huge page around one makes all of it resident. A kernel that refuses costs memory and nothing else.
pub(crate) fn use_small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Lets this process open as many files as it may: each connection and each actor's socket is one, and by default a process
/// allows itself few. The programs of actors begin with few again.
pub(crate) fn allow_all_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "this process takes fewer connections than it could");
    }
}

/// The signals that end a daemon in order.
pub(crate) struct Ending {
    interrupt: Signal,
    terminate: Signal,
    with_stdin: bool,
}

impl Ending {
    /// From now on these signals do not end the process by themselves.
    pub(crate) fn catch(args: EndingArgs) -> Result<Self, Failure> {
        Ok(Self {
            interrupt: caught(SignalKind::interrupt())?,
            terminate: caught(SignalKind::terminate())?,
            with_stdin: args.until_stdin_closes,
        })
    }

    /// Waits until one of them comes.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = stdin_closed(), if self.with_stdin => {}
        }
    }
}

/// What an operator tells a daemon while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// End in order (SIGINT, SIGTERM).
    End,
    /// Read the configuration again (SIGHUP).
    Reload,
    /// Make way for the program that lies where this one lay (SIGUSR2).
    Upgrade,
}

/// The signals of a daemon that can do more than end.
pub(crate) struct Orders {
    ending: Ending,
    hangup: Signal,
    upgrade: Signal,
}

impl Orders {
    /// From now on these signals do not end the process by themselves.
    pub(crate) fn catch(args: EndingArgs) -> Result<Self, Failure> {
        let ending = Ending::catch(args)?;
        Ok(Self { ending, hangup: caught(SignalKind::hangup())?, upgrade: caught(SignalKind::user_defined2())? })
    }

    /// Waits for the next one.
    pub(crate) async fn told(&mut self) -> Told {
        tokio::select! {
            () = self.ending.wait() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
            _ = self.upgrade.recv() => Told::Upgrade,
        }
    }
}

/// What became of an order; with `-o json` one line that a program can wait for.
#[derive(Serialize)]
pub(crate) struct Noted {
    /// The order.
    pub(crate) order: &'static str,
    /// What changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changed: Vec<&'static str>,
    /// Why it was not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Noted {
    /// It was followed, and nothing changed by it.
    pub(crate) fn of(order: &'static str) -> Self {
        Self { order, changed: Vec::new(), error: None }
    }

    /// People read it in the log.
    pub(crate) fn tell(&self, out: Output) -> Result<(), Failure> {
        if out.is_object() { out.stream_object(self) } else { Ok(()) }
    }
}

fn caught(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Kind::Unavailable, format!("signals cannot be caught: {error}")))
}

/// Whoever holds the other end of standard input is gone, however it ended.
async fn stdin_closed() {
    let (mut stdin, mut ignored) = (tokio::io::stdin(), [0; 64]);
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}

/// Writes the log of this process to standard error: what `CREDENCE_LOG` names, else `default`.
pub(crate) fn write_log(environment: &Environment, default: &str, written: LogFormat) -> Result<(), Failure> {
    let filter = environment.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::used_wrongly(format!("CREDENCE_LOG cannot be read: {error}")).hint("Write e.g. info")
    })?;
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Only the first log of a process counts.
    let _ = match written {
        LogFormat::Text => format.with_ansi(environment.color).try_init(),
        LogFormat::Json => format.json().flatten_event(true).with_span_list(false).try_init(),
    };
    Ok(())
}

/// Adds what comes from the surroundings: this program as supervisor, its environment, and where sockets may lie.
pub(crate) fn node_config(file: ConfigFile) -> Result<Config, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Kind::Unavailable, format!("this program cannot find itself: {error}")))?;
    let supervisor = (program, vec![SUPERVISOR_ARG.into()]);
    file.resolve(supervisor, environment::variables(), environment::runtime_dir())
        .map_err(|error| Failure::caused(Kind::Malformed, &error))
}
