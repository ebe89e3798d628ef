//! The driver for programs on this machine: a Linux process tree under a supervisor, a private state directory, a log.
//!
//! INVARIANT: a tree is reported as ended only after the supervisor said that nobody is left, or, if the supervisor itself
//! was killed, after every process that can be told to be of this tree was killed too.

use crate::queue::Queue;
use crate::runtime::archive::{self, ArchiveError};
use crate::runtime::control::{self, Notice, Order, Program};
use crate::runtime::log::{self, LogWriter};
use crate::runtime::process::child::Supervised;
use crate::runtime::process::tend::{Ask, Tended};
use crate::runtime::{
    Archive, Driver, EXEC_TIMEOUT_MS_MAX, ExecOutput, KeptTree, Prepared, Running, RuntimeError, StartSpec, TreeState,
};
use credence_attest::process_tree::TreeRoot;
use credence_model::id::BindingId;
use credence_model::time::Timestamp;
use credence_telemetry::limit::Limit;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};

mod child;
mod output;
mod sweep;
mod tend;

/// How long a supervisor may take to become the root of a tree, or to start the program, in milliseconds.
const SUPERVISOR_MS_MAX: u64 = 10_000;
/// An actor's tree does not keep up.
pub(crate) static ORDERS: Limit = Limit::new("actor_orders", 32, "orders to an actor's tree", "further ones wait");
/// Where programs are looked for if the node's environment has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How programs are run on this node.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// The program that is the supervisor: this one, in production.
    pub supervisor: PathBuf,
    /// Its arguments (`actor-init`).
    pub supervisor_args: Vec<OsString>,
    /// Where the actors' private directories and archives are made.
    pub state_dir: PathBuf,
    /// Where the actors' logs are.
    pub log_dir: PathBuf,
    /// The node's own environment, from which `PATH`, `LANG`, `TZ` and what a class names are passed on.
    pub environment: BTreeMap<String, String>,
    /// The wall clock, for the log.
    pub now: fn() -> Timestamp,
}

/// The driver.
#[derive(Debug, Clone)]
pub struct ProcessDriver {
    settings: Arc<ProcessSettings>,
}

impl ProcessDriver {
    /// A driver with these settings. The state directory is made (mode 0700) if it is missing.
    pub fn new(settings: ProcessSettings) -> Result<Self, RuntimeError> {
        make_dir(&settings.state_dir)?;
        make_dir(&settings.log_dir)?;
        Ok(Self { settings: Arc::new(settings) })
    }

    /// Removes what an earlier run of the node left behind, but for the bindings that go on. The programs of the others
    /// ended with it. Call it before the first [`Driver::prepare`].
    pub fn clean(&self, in_use: &BTreeSet<BindingId>) -> Result<(), RuntimeError> {
        let dir = &self.settings.state_dir;
        let entries = fs::read_dir(dir).map_err(|source| io("list", dir, source))?;
        for entry in entries {
            let path = entry.map_err(|source| io("list", dir, source))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| in_use.iter().any(|binding| name == binding.to_string())) {
                continue;
            }
            remove(&path).map_err(|source| io("remove", &path, source))?;
        }
        Ok(())
    }

    async fn prepare_tree(&self, spec: StartSpec) -> Result<Box<dyn Prepared>, RuntimeError> {
        if spec.command.is_empty() {
            return Err(RuntimeError::NoCommand);
        }
        let place = Place::of(&self.settings, &spec);
        let (unpacked, from) = (place.clone(), spec.archive.clone());
        blocking(move || unpacked.make(from.as_deref())).await?;
        let log = LogWriter::open(&place.log, self.settings.now).map_err(|source| io("open", &place.log, source))?;
        let mut supervisor = Supervisor::start(&self.settings, log)?;
        match supervisor.next_notice().await? {
            Notice::Ready => {}
            other => return Err(RuntimeError::Supervisor(format!("began with {other:?}"))),
        }
        let root =
            TreeRoot::of(supervisor.pid).map_err(|error| RuntimeError::Supervisor(format!("vanished: {error}")))?;
        let env = environment(&spec, &self.settings.environment, &place.home);
        let program = Program { command: spec.command, env, dir: place.home.clone() };
        Ok(Box::new(PreparedTree { root, supervisor: Some(supervisor), program, place }))
    }
}

impl Driver for ProcessDriver {
    fn prepare(&self, spec: StartSpec) -> BoxFuture<'_, Result<Box<dyn Prepared>, RuntimeError>> {
        self.prepare_tree(spec).boxed()
    }

    fn adopt(&self, kept: KeptTree) -> Result<Arc<dyn Running>, RuntimeError> {
        let KeptTree { state, files } = kept;
        let TreeState { root, home, archive, log, endpoint, inbox } = state;
        let place = Place { home, archive, log };
        let log = LogWriter::open(&place.log, self.settings.now).map_err(|source| io("open", &place.log, source))?;
        let supervisor = Supervisor::adopt(root.pid(), inbox, files, log)
            .map_err(|error| RuntimeError::Supervisor(format!("cannot be taken over: {error}")))?;
        Ok(RunningTree::start(root, supervisor, place, endpoint))
    }
}

/// What an actor's program finds in its environment, and nothing else.
fn environment(spec: &StartSpec, node: &BTreeMap<String, String>, home: &Path) -> Vec<(String, String)> {
    let mut env = BTreeMap::new();
    env.insert("PATH".to_owned(), node.get("PATH").cloned().unwrap_or_else(|| PATH.to_owned()));
    env.insert("LANG".to_owned(), node.get("LANG").cloned().unwrap_or_else(|| "C.UTF-8".to_owned()));
    for name in ["TZ"].into_iter().chain(spec.pass_env.iter().map(String::as_str)) {
        if let Some(value) = node.get(name) {
            env.insert(name.to_owned(), value.clone());
        }
    }
    env.extend(spec.env.iter().cloned());
    // Last, so that nothing can claim another socket.
    env.insert("HOME".to_owned(), home.to_string_lossy().into_owned());
    for name in ["SPIFFE_ENDPOINT_SOCKET", "CREDENCE_METADATA"] {
        env.insert(name.to_owned(), format!("unix://{}", spec.endpoint.display()));
    }
    env.into_iter().collect()
}

/// Where the files of one binding are.
#[derive(Debug, Clone)]
struct Place {
    /// The actor's private directory.
    home: PathBuf,
    /// Its archive, once it is packed.
    archive: PathBuf,
    /// Its log.
    log: PathBuf,
}

impl Place {
    fn of(settings: &ProcessSettings, spec: &StartSpec) -> Self {
        let name = spec.binding.to_string();
        Self {
            home: settings.state_dir.join(&name),
            archive: settings.state_dir.join(format!("{name}.out.tar")),
            log: log::path(&settings.log_dir, &spec.actor),
        }
    }

    fn make(&self, archive: Option<&Path>) -> Result<(), RuntimeError> {
        remove(&self.home).map_err(|source| io("remove", &self.home, source))?;
        make_dir(&self.home)?;
        let Some(from) = archive else { return Ok(()) };
        archive::unpack(from, &self.home, &self.log).map_err(|error| {
            self.clear();
            failed_archive(error)
        })
    }

    fn pack(&self) -> Result<Archive, RuntimeError> {
        let packed = archive::pack(&self.home, &self.log, &self.archive).map_err(failed_archive)?;
        Ok(Archive { path: self.archive.clone(), digest: packed.digest, bytes: packed.bytes, skipped: packed.skipped })
    }

    fn clear(&self) {
        for path in [&self.home, &self.archive] {
            if let Err(error) = remove(path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove what a binding left behind");
            }
        }
    }
}

fn failed_archive(error: ArchiveError) -> RuntimeError {
    RuntimeError::Archive(Box::new(error))
}

/// Removes a file or a whole directory; one that is not there is as good.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn make_dir(path: &Path) -> Result<(), RuntimeError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| io("create", path, source))
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> RuntimeError {
    RuntimeError::Io { what, path: path.to_owned(), source }
}

/// Runs something that reads or writes many files where it does not hold up the daemon.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(RuntimeError::Supervisor("was not reached: the daemon is shutting down".to_owned())))
}

/// A supervisor process and the socket to it.
struct Supervisor {
    pid: u32,
    child: Supervised,
    control: UnixStream,
    inbox: Vec<u8>,
    output: output::Pumps,
}

impl Supervisor {
    fn start(settings: &ProcessSettings, log: LogWriter) -> Result<Self, RuntimeError> {
        let failed = |error: std::io::Error| {
            RuntimeError::Supervisor(format!("could not be started as {}: {error}", settings.supervisor.display()))
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let theirs = theirs.into_std().map_err(failed)?;
        theirs.set_nonblocking(false).map_err(failed)?;
        let mut command = tokio::process::Command::new(&settings.supervisor);
        command.args(&settings.supervisor_args).env_clear().stdin(Stdio::from(OwnedFd::from(theirs)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        // The command holds the other end of the socket, which must be closed for its closing to be seen.
        drop(command);
        let pid = child.id().unwrap_or_default();
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(RuntimeError::Supervisor("has no pipes".to_owned()));
        };
        let pipes = [out.into_owned_fd().map_err(failed)?, err.into_owned_fd().map_err(failed)?];
        let output = output::Pumps::start(pipes, log).map_err(failed)?;
        Ok(Self { pid, child: Supervised::Started(child), control: ours, inbox: Vec::new(), output })
    }

    /// One that an earlier program of this process started.
    fn adopt(pid: u32, inbox: Vec<u8>, files: Vec<OwnedFd>, log: LogWriter) -> std::io::Result<Self> {
        let files = <[OwnedFd; 3]>::try_from(files);
        let [control, out, err] = files.map_err(|_| std::io::Error::other("its open files are not three"))?;
        let control = UnixStream::from_std(control.into())?;
        let output = output::Pumps::start([out, err], log)?;
        Ok(Self { pid, child: Supervised::adopt(pid)?, control, inbox, output })
    }

    async fn tell(&mut self, order: &Order) -> Result<(), RuntimeError> {
        let frame = control::encode(order).map_err(|error| RuntimeError::Supervisor(error.to_string()))?;
        let sent = self.control.write_all(&frame).await;
        sent.map_err(|error| RuntimeError::Supervisor(format!("does not listen: {error}")))
    }

    /// The next notice during the start, which has a time limit.
    async fn next_notice(&mut self) -> Result<Notice, RuntimeError> {
        let late = Duration::from_millis(SUPERVISOR_MS_MAX);
        match tokio::time::timeout(late, self.notice()).await {
            Ok(Ok(Some(notice))) => Ok(notice),
            Ok(Ok(None)) => Err(RuntimeError::Supervisor("ended before it was told to".to_owned())),
            Ok(Err(error)) => Err(RuntimeError::Supervisor(error.to_string())),
            Err(_) => Err(RuntimeError::Supervisor(format!("did not answer within {SUPERVISOR_MS_MAX} ms"))),
        }
    }

    /// The next notice; `None` when the supervisor is gone. Safe to drop halfway.
    async fn notice(&mut self) -> std::io::Result<Option<Notice>> {
        loop {
            if let Some(notice) = control::take(&mut self.inbox).map_err(std::io::Error::other)? {
                return Ok(Some(notice));
            }
            if self.control.read_buf(&mut self.inbox).await? == 0 {
                return Ok(None);
            }
        }
    }
}

struct PreparedTree {
    root: TreeRoot,
    supervisor: Option<Supervisor>,
    program: Program,
    place: Place,
}

impl Prepared for PreparedTree {
    fn tree_root(&self) -> TreeRoot {
        self.root
    }

    fn go(mut self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Running>, RuntimeError>> {
        async move {
            let Some(mut supervisor) = self.supervisor.take() else { return Err(RuntimeError::Gone) };
            let name = self.program.command.first().cloned().unwrap_or_default();
            supervisor.tell(&Order::Go(self.program.clone())).await.inspect_err(|_| self.place.clear())?;
            let answer = supervisor.next_notice().await.inspect_err(|_| self.place.clear())?;
            match answer {
                Notice::Started => {}
                Notice::Failed { reason } => {
                    self.place.clear();
                    return Err(RuntimeError::Program { program: name, reason });
                }
                other => {
                    self.place.clear();
                    return Err(RuntimeError::Supervisor(format!("answered {other:?}")));
                }
            }
            let endpoint = self.program.env.iter().find(|(name, _)| name == "SPIFFE_ENDPOINT_SOCKET").cloned();
            Ok(RunningTree::start(self.root, supervisor, self.place.clone(), endpoint))
        }
        .boxed()
    }
}

impl Drop for PreparedTree {
    fn drop(&mut self) {
        // Never started: the supervisor ends when its socket closes, and nothing was ever in the tree.
        if self.supervisor.take().is_some() {
            self.place.clear();
        }
    }
}

#[derive(Debug)]
struct RunningTree {
    root: TreeRoot,
    asks: Queue<Ask>,
    code: watch::Receiver<Option<i32>>,
    place: Place,
    endpoint: Option<(String, String)>,
}

impl RunningTree {
    /// Talks to its supervisor from now on.
    fn start(
        root: TreeRoot,
        supervisor: Supervisor,
        place: Place,
        endpoint: Option<(String, String)>,
    ) -> Arc<dyn Running> {
        let (asks, asked) = Queue::new(&ORDERS);
        let (gone, code) = watch::channel(None);
        tokio::spawn(tend::tend(Tended { supervisor, asked, gone, endpoint: endpoint.clone() }));
        Arc::new(Self { root, asks, code, place, endpoint })
    }

    /// Sends an order, if there is still somebody to obey, and waits for the end.
    fn end(&self, order: Order) -> BoxFuture<'static, i32> {
        let (asks, gone) = (self.asks.clone(), self.wait());
        async move {
            // A tree that is gone does not take orders; the wait below tells its code.
            let _ = asks.send(Ask::Order(order)).await;
            drop(asks);
            gone.await
        }
        .boxed()
    }
}

impl Running for RunningTree {
    fn tree_root(&self) -> TreeRoot {
        self.root
    }

    fn wait(&self) -> BoxFuture<'static, i32> {
        let mut code = self.code.clone();
        async move {
            let gone = code.wait_for(Option::is_some).await;
            // The sender goes only after it has told the code, or with the whole daemon.
            gone.ok().and_then(|code| *code).unwrap_or(tend::KILLED)
        }
        .boxed()
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'static, i32> {
        self.end(Order::Stop { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) })
    }

    fn kill(&self) -> BoxFuture<'static, i32> {
        self.end(Order::Kill)
    }

    fn exec(&self, command: Vec<String>, timeout: Duration) -> BoxFuture<'static, Result<ExecOutput, RuntimeError>> {
        let asks = self.asks.clone();
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).min(EXEC_TIMEOUT_MS_MAX);
        async move {
            if command.is_empty() {
                return Err(RuntimeError::NoCommand);
            }
            let (answer, answered) = oneshot::channel();
            asks.send(Ask::Exec { command, timeout_ms, answer }).await.map_err(|_| RuntimeError::Gone)?;
            drop(asks);
            answered.await.unwrap_or(Err(RuntimeError::Gone))
        }
        .boxed()
    }

    fn archive(&self) -> BoxFuture<'static, Result<Archive, RuntimeError>> {
        let (gone, place) = (self.wait(), self.place.clone());
        async move {
            gone.await;
            blocking(move || place.pack()).await
        }
        .boxed()
    }

    fn leave(&self) -> BoxFuture<'static, Option<KeptTree>> {
        let (asks, root, endpoint) = (self.asks.clone(), self.root, self.endpoint.clone());
        let Place { home, archive, log } = self.place.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            asks.send(Ask::Leave(answer)).await.ok()?;
            drop(asks);
            let tend::Left { inbox, files } = answered.await.ok()?;
            Some(KeptTree { state: TreeState { root, home, archive, log, endpoint, inbox }, files })
        }
        .boxed()
    }

    fn discard(&self) -> BoxFuture<'static, ()> {
        let (gone, place) = (self.wait(), self.place.clone());
        async move {
            gone.await;
            // It fails only when the daemon is going down, and the next one cleans up at its start.
            let _ = blocking(move || {
                place.clear();
                Ok(())
            })
            .await;
        }
        .boxed()
    }
}
