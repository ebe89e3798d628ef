//! How a slot's program is run: the seam between the daemon and what executes actors.
//!
//! A driver prepares an empty process tree (so that the endpoint can be opened for it before anything runs in it), starts
//! the program in it, and ends it as a whole: when [`Running::stop`] or [`Running::kill`] has returned, no process of the
//! tree is left, whatever it forked. The one driver of this crate is the Linux process tree, [`process`].
//!
//! It knows nothing of leases, credentials or the control plane.

use credence_attest::process_tree::TreeRoot;
use credence_model::id::{ActorRef, BindingId, Digest};
use credence_model::refusal::Kind;
use credence_telemetry::limit::Limit;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

pub mod archive;
pub mod control;
pub mod foreground;
pub mod log;
pub mod process;
pub mod supervisor;

mod tree;

/// Most bytes of a command's output that [`Running::exec`] keeps, for stdout and stderr each; the rest is read and dropped.
pub const EXEC_OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Longest run of [`Running::exec`], in milliseconds.
pub const EXEC_TIMEOUT_MS_MAX: u64 = 60_000;
/// Most commands that [`Running::exec`] runs at once in one tree.
pub const EXECS_MAX: usize = 8;
/// A tree runs too many commands at once.
pub(crate) static EXECS: Limit =
    Limit::new("actor_commands", EXECS_MAX as u64, "commands beside an actor", "refused: limited");

/// What to run, and as whom.
#[derive(Debug, Clone)]
pub struct StartSpec {
    /// The binding: names the private state directory.
    pub binding: BindingId,
    /// The actor: names the log.
    pub actor: ActorRef,
    /// Program and arguments; the program is looked up in `PATH` if it has no `/`.
    pub command: Vec<String>,
    /// Variables with fixed values (the class's `env`).
    pub env: Vec<(String, String)>,
    /// Names of variables to pass on from the node's environment (the class's `passEnv`).
    pub pass_env: Vec<String>,
    /// The actor's endpoint: becomes `SPIFFE_ENDPOINT_SOCKET` and `CREDENCE_METADATA`.
    pub endpoint: PathBuf,
    /// Archive of state to begin from: a file that was fetched and whose digest was checked.
    pub archive: Option<PathBuf>,
}

/// The state of an actor that has ended, packed into one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The file: lies in the node's state directory until [`Running::discard`].
    pub path: PathBuf,
    /// Its SHA-256: its content address.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Entries that were left out: links that lead outside, sockets, devices.
    pub skipped: u64,
}

/// What a command inside an actor's tree did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutput {
    /// Exit code; 128 + signal if a signal ended it.
    pub exit_code: i32,
    /// Beginning of its stdout.
    pub stdout: Vec<u8>,
    /// Beginning of its stderr.
    pub stderr: Vec<u8>,
}

/// What is to be remembered of a program that runs, to go on with it in another program of this process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TreeState {
    /// The process tree.
    pub root: TreeRoot,
    /// The actor's private directory.
    pub home: PathBuf,
    /// Its archive, once it is packed.
    pub archive: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// The variable that only processes of this tree have in their environment.
    pub endpoint: Option<(String, String)>,
    /// What the supervisor said and nobody has read.
    pub inbox: Vec<u8>,
}

/// A program that runs, for another program of this process.
#[derive(Debug)]
pub struct KeptTree {
    /// What is to be remembered.
    pub state: TreeState,
    /// The socket to the supervisor, and the program's standard output and standard error.
    pub files: Vec<OwnedFd>,
}

/// Why something could not be run.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The class names no program.
    #[error("runtime: the class has no command; set spec.runtime.command, or run the program with `credence run`")]
    NoCommand,
    /// The program is not there or cannot be executed. The text says which and why.
    #[error("runtime: cannot start {program}: {reason}")]
    Program {
        /// As the class names it.
        program: String,
        /// From the operating system.
        reason: String,
    },
    /// The process that keeps the tree together failed.
    #[error("runtime: the supervisor {0}")]
    Supervisor(String),
    /// The tree has ended.
    #[error("runtime: the actor's program has ended")]
    Gone,
    /// A command inside the tree ran too long and was killed.
    #[error("runtime: the command did not end within {0} ms and was killed")]
    TimedOut(u64),
    /// Too many commands at once.
    #[error("runtime: {EXECS_MAX} commands run in this actor already; wait for one to end")]
    Busy,
    /// The state archive could not be written or read.
    #[error("runtime: state archive")]
    Archive(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system refused.
    #[error("runtime: cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl RuntimeError {
    /// What kind of refusal it is for whoever asked.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoCommand | Self::Program { .. } => Kind::Malformed,
            Self::Gone => Kind::NotFound,
            Self::Busy | Self::TimedOut(_) => Kind::Limited,
            Self::Supervisor(_) | Self::Archive(_) | Self::Io { .. } => Kind::Unavailable,
        }
    }
}

/// Something that executes actors.
pub trait Driver: Send + Sync {
    /// Makes the private state directory (from the archive, if there is one) and an empty process tree.
    fn prepare(&self, spec: StartSpec) -> BoxFuture<'_, Result<Box<dyn Prepared>, RuntimeError>>;

    /// Goes on with a program that an earlier program of this process started.
    fn adopt(&self, _: KeptTree) -> Result<Arc<dyn Running>, RuntimeError> {
        Err(RuntimeError::Supervisor("cannot be taken over by this driver".to_owned()))
    }
}

/// A process tree with nothing in it but its root. Dropping it ends it and removes its state directory.
pub trait Prepared: Send + Sync {
    /// The tree that the endpoint must serve.
    fn tree_root(&self) -> TreeRoot;
    /// Starts the program; an error says why it could not be executed.
    fn go(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Running>, RuntimeError>>;
}

/// A running program and everything it forked. Dropping the last reference kills it.
pub trait Running: Send + Sync {
    /// The process tree.
    fn tree_root(&self) -> TreeRoot;
    /// Resolves once the whole tree is gone: the program's exit code, 128 + signal if a signal ended it. Any number of
    /// callers may wait.
    fn wait(&self) -> BoxFuture<'static, i32>;
    /// SIGTERM to the program's process group, SIGKILL to the whole tree after `grace` or once the program has ended;
    /// resolves like [`Self::wait`].
    fn stop(&self, grace: Duration) -> BoxFuture<'static, i32>;
    /// SIGKILL to the whole tree; resolves like [`Self::wait`].
    fn kill(&self) -> BoxFuture<'static, i32>;
    /// Runs a command inside the tree, in the program's directory and with its environment.
    fn exec(&self, command: Vec<String>, timeout: Duration) -> BoxFuture<'static, Result<ExecOutput, RuntimeError>>;
    /// Packs the state directory and the log, after the tree is gone (it waits for that).
    fn archive(&self) -> BoxFuture<'static, Result<Archive, RuntimeError>>;
    /// Lets go of it without ending it, for another program of this process; `None` if it has ended, or is to.
    fn leave(&self) -> BoxFuture<'static, Option<KeptTree>> {
        Box::pin(std::future::ready(None))
    }
    /// Removes the state directory and the archive file, after the tree is gone (it waits for that).
    fn discard(&self) -> BoxFuture<'static, ()>;
}
