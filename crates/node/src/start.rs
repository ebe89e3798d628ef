//! The node's start and end: what is kept where, and in which order everything comes up.

use crate::attest::{AttestError, attest};
use crate::clock::{MonoClock, wall};
use crate::config::Config;
use crate::dial::Dial;
use crate::endpoint::socket_name;
use crate::event::{EVENTS, Event, Events};
use crate::handover::{Handover, HandoverError, Inherited};
use crate::holder::Workshop;
use crate::hub::{Hub, HubParts};
use crate::identity::{self, IdentityError, NodeIdentity};
use crate::judge::Judge;
use crate::local;
use crate::meter::Meters;
use crate::observe::Watched;
use crate::runtime::process::{ProcessDriver, ProcessSettings};
use crate::runtime::{Driver, RuntimeError};
use crate::session::Session;
use crate::signing::Signing;
use crate::trust::Keeper;
use credence_model::id::{BindingId, NodeName};
use credence_telemetry::door;
use credence_telemetry::otlp::{Export, Exporter, Teller};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use zeroize::Zeroizing;

/// Below the data directory: the actors' private directories and archives, and their logs.
const STATE_DIR: &str = "state";
const LOG_DIR: &str = "logs";
/// Name of the socket for local programs.
const LOCAL_SOCKET: &str = "node.sock";

/// Why a node does not start. Each says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another process uses the data directory.
    #[error("the data directory {} is in use by another node; stop it first, or choose another with --data-dir", .0.display())]
    InUse(PathBuf),
    /// It has no identity, and nothing to get one with.
    #[error("this node has no valid identity in {}; pass a join token with --join-token-file (credence token create)", .0.display())]
    NoIdentity(PathBuf),
    /// The saved identity is another node's.
    #[error("the identity in {} belongs to {found}; choose another --data-dir, or that --name", dir.display())]
    OtherNode {
        /// The data directory.
        dir: PathBuf,
        /// Whose it is.
        found: String,
    },
    /// It was not let in.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// Its identity cannot be read or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What an earlier program of this process left cannot be taken over.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// Programs cannot be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The address of metrics and probes cannot be listened on.
    #[error("cannot listen on {addr} for metrics and probes: {source}; choose another with --observe")]
    Observe {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A file, directory or socket is in the way.
    #[error("cannot {doing} {}: {source}; give it to the user this node runs as, or choose another --data-dir", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    name: NodeName,
    socket: PathBuf,
    /// Listens beside the one that accepts, for the program that comes after this one.
    local: std::os::unix::net::UnixListener,
    observed: Observed,
    connected: watch::Receiver<bool>,
    events: Events,
    hub: JoinHandle<()>,
    /// Ended with the node.
    others: JoinSet<()>,
    /// Locked as long as the node runs.
    _lock: File,
}

impl Node {
    /// Whether a node that starts on this data directory needs a join token.
    pub fn needs_join_token(data_dir: &Path) -> Result<bool, StartError> {
        Ok(NodeIdentity::load(data_dir, None, wall())?.is_none())
    }

    /// Forgets the identity in this data directory, of a node that was deleted: the next start needs a join token.
    pub fn forget_identity(data_dir: &Path) -> Result<(), StartError> {
        Ok(identity::forget(data_dir)?)
    }

    /// Opens the data directory, attests if there is no valid identity yet, and begins to connect. The join token is not
    /// looked at if there is one.
    pub async fn start(config: Config, join_token: Option<Zeroizing<String>>) -> Result<Self, StartError> {
        Self::start_with(config, join_token, |config| driver(config, &BTreeSet::new())).await
    }

    /// Goes on where another program of this process was.
    pub async fn start_again(config: Config, handover: Handover) -> Result<Self, StartError> {
        let inherited = Inherited::take(handover)?;
        let in_use = inherited.in_use();
        Self::start_from(config, None, Some(inherited), |config| driver(config, &in_use)).await
    }

    /// The same with another driver than the one of Linux process trees.
    pub async fn start_with<D: Driver + 'static>(
        config: Config,
        join_token: Option<Zeroizing<String>>,
        driver: impl FnOnce(&Config) -> Result<D, RuntimeError>,
    ) -> Result<Self, StartError> {
        Self::start_from(config, join_token, None, driver).await
    }

    async fn start_from<D: Driver + 'static>(
        config: Config,
        join_token: Option<Zeroizing<String>>,
        inherited: Option<Inherited>,
        driver: impl FnOnce(&Config) -> Result<D, RuntimeError>,
    ) -> Result<Self, StartError> {
        private_dir(&config.data_dir)?;
        let lock = lock(&config.data_dir)?;
        let observe = observe(config.observe).await?;
        let dial = Dial::new(config.connect.clone());
        let identity = identity(&config, &dial, join_token).await?;
        let (driver, socket_dir) = (driver(&config)?, config.socket_dir());
        clean_sockets(&socket_dir, inherited.as_ref().map(Inherited::in_use))?;
        let local_socket = local_socket(&config, &socket_dir);
        let (bindings, estate, given) = match inherited {
            Some(Inherited { estate, local, bindings }) => (bindings, Some(estate), Some(local.into())),
            None => (Vec::new(), None, None),
        };
        let (local, listener) = listen(&local_socket, given)?;

        let trust_domain = identity.trust_domain();
        let (events, happening) = Events::new(&EVENTS);
        let (bundles, bundle) = watch::channel(Arc::new(identity.bundle().clone()));
        let (signings, signing) = watch::channel(Signing::default());
        let (identities, identity) = watch::channel(Arc::new(identity));
        let (channels, channel) = watch::channel(None);
        let (connections, connected) = watch::channel(false);
        let export = Export::new(config.otlp.as_ref());
        let clock = estate.as_ref().map_or_else(MonoClock::start, Hub::clock_of);
        let mut others = JoinSet::new();
        let (judge, told) = Judge::begin(clock, &events, connected.clone(), export.tracer(), &mut others);
        let workshop = Workshop {
            tracer: export.tracer(),
            driver: Arc::new(driver),
            socket_dir,
            incoming_dir: config.data_dir.join(STATE_DIR),
            events: events.clone(),
            bundles: bundle.clone(),
            signing: signing.clone(),
            channel,
            judge,
        };
        let meters = Meters::default();
        let mut hub = Hub::new(HubParts {
            workers: config.workers.clone(),
            trust_domain,
            workshop: Arc::new(workshop),
            bundles,
            signing: signings,
            connected: connections,
            meters: meters.clone(),
            clock,
            told,
            log_dir: config.data_dir.join(LOG_DIR),
            data_dir: config.data_dir.clone(),
            inherited: estate,
            served: bindings.iter().map(|left| (*left.state.notice).clone()).collect(),
        });
        bindings.into_iter().for_each(|left| hub.adopt(left));
        let session = Session {
            dial,
            server_path: config.server_path.clone(),
            identity,
            bundles: bundle.clone(),
            events: events.clone(),
            channel: channels,
        };
        others.spawn(session.keep_open());
        others.spawn(local::serve(listener, events.clone(), export.tracer()));
        let keeper = Keeper::new(&config, identities, bundle, signing, (connected.clone(), events.clone()));
        others.spawn(keeper.keep());
        let watched = Watched::new(meters, connected.clone());
        let observed = Observed::begin(watched, observe, export, &config.name, &mut others);
        let (hub, name) = (tokio::spawn(hub.work(happening)), config.name);
        Ok(Self { name, socket: local_socket, local, observed, connected, events, hub, others, _lock: lock })
    }

    /// Its name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Where programs of this machine become actors.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where its metrics and probes are, if they were asked for.
    pub fn observed_at(&self) -> Option<SocketAddr> {
        self.observed.at
    }

    /// Resolves when the control plane has welcomed the node (again).
    pub async fn connected(&self) {
        let mut connected = self.connected.clone();
        if connected.wait_for(|connected| *connected).await.is_err() {
            // The hub ended: the node will never be connected.
            std::future::pending().await
        }
    }

    /// Resolves if the node has come to its end by itself, which it never should: it serves nobody any more.
    pub async fn broken(&self) {
        let mut connected = self.connected.clone();
        while connected.changed().await.is_ok() {}
    }

    /// Makes way for another program of this process: lets go of everything without ending it. It comes back unchanged if it
    /// cannot now, because bindings are being started or ended all the time.
    pub async fn hand_over(self) -> Result<Handover, Self> {
        let (answer, answered) = oneshot::channel();
        if self.events.send(Event::HandOver(answer)).await.is_err() {
            return Err(self);
        }
        let Ok(Some((estate, bindings))) = answered.await else { return Err(self) };
        let Ok(local) = self.local.try_clone() else { return Err(self) };
        match (Inherited { estate, local: local.into(), bindings }).leave() {
            Ok(handover) => {
                self.observed.exporter.hand_over().await;
                Ok(handover)
            }
            Err(error) => {
                tracing::error!(%error, "the node cannot make way");
                Err(self)
            }
        }
    }

    /// Suspends its actors, tells the control plane, and ends. Those whose end could not be told are lost until their
    /// lease is over.
    pub async fn stop(mut self) {
        // A hub that is gone has nothing to end.
        let _ = self.events.send(Event::Shutdown).await;
        if let Err(error) = self.hub.await {
            tracing::error!(%error, "the node did not end in order");
        }
        self.others.shutdown().await;
        self.observed.exporter.end().await;
        // Whoever starts next replaces the socket anyway.
        let _ = fs::remove_file(&self.socket);
    }
}

/// Who is told of the node: whoever asks, and the collector.
#[derive(Debug)]
struct Observed {
    at: Option<SocketAddr>,
    exporter: Exporter,
}

impl Observed {
    fn begin(
        watched: Watched,
        listener: Option<TcpListener>,
        export: Export,
        name: &NodeName,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let watched = Arc::new(watched);
        let at = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = listener {
            tasks.spawn(door::serve(listener, Arc::<Watched>::clone(&watched)));
        }
        let teller = Teller { service: "credence-node", instance: name.to_string() };
        Self { at, exporter: export.start(&teller, watched) }
    }
}

async fn observe(addr: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    let Some(addr) = addr else { return Ok(None) };
    door::open(addr).await.map(Some).map_err(|source| StartError::Observe { addr, source })
}

async fn identity(
    config: &Config,
    dial: &Dial,
    join_token: Option<Zeroizing<String>>,
) -> Result<NodeIdentity, StartError> {
    let found = match NodeIdentity::load(&config.data_dir, config.passphrase.as_deref(), wall())? {
        Some(saved) => saved,
        None => {
            let token = join_token.ok_or_else(|| StartError::NoIdentity(config.data_dir.clone()))?;
            let fresh = attest(dial, &config.server_path, &config.name, &token, wall()).await?;
            fresh.save(&config.data_dir, config.passphrase.as_deref())?;
            fresh
        }
    };
    let id = &found.svid().id;
    // The template of the trust domain says which segment it is, and is not known here.
    if !id.path().split('/').any(|segment| segment == config.name.as_str()) {
        return Err(StartError::OtherNode { dir: config.data_dir.clone(), found: id.to_string() });
    }
    Ok(found)
}

fn driver(config: &Config, in_use: &BTreeSet<BindingId>) -> Result<ProcessDriver, RuntimeError> {
    let (supervisor, supervisor_args) = config.supervisor.clone();
    let driver = ProcessDriver::new(ProcessSettings {
        supervisor,
        supervisor_args,
        state_dir: config.data_dir.join(STATE_DIR),
        log_dir: config.data_dir.join(LOG_DIR),
        environment: config.environment.clone(),
        now: wall,
    })?;
    // What an earlier life left behind; its programs ended with it.
    driver.clean(in_use)?;
    Ok(driver)
}

/// Two nodes on one directory would fight for its identity.
fn lock(dir: &Path) -> Result<File, StartError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StartError::InUse(dir.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// Makes the directory of sockets, or makes sure that it is ours alone, and removes what an earlier life left in it
/// and nobody goes on with.
fn clean_sockets(dir: &Path, in_use: Option<BTreeSet<BindingId>>) -> Result<(), StartError> {
    private_dir(dir)?;
    let metadata = fs::symlink_metadata(dir).map_err(io_error("look at", dir))?;
    let is_ours = metadata.is_dir() && metadata.uid() == rustix::process::getuid().as_raw();
    if !is_ours || metadata.permissions().mode() & 0o077 != 0 {
        let why = "it is not a directory of this user alone; remove it, or choose a shorter --data-dir";
        return Err(io_error("use", dir)(io::Error::other(why)));
    }
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = entry.map_err(io_error("list", dir))?.path();
        let is_used = |name: &OsStr, in_use: &BTreeSet<BindingId>| {
            name == LOCAL_SOCKET || in_use.iter().any(|binding| name == &*socket_name(*binding))
        };
        if path.file_name().zip(in_use.as_ref()).is_some_and(|(name, in_use)| is_used(name, in_use)) {
            continue;
        }
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
    }
    Ok(())
}

/// The socket for local programs, beside the directory of the actors' sockets, so that its path is short enough too.
fn local_socket(config: &Config, socket_dir: &Path) -> PathBuf {
    let is_usual = socket_dir.starts_with(&config.data_dir);
    if is_usual { config.data_dir.join(LOCAL_SOCKET) } else { socket_dir.join(LOCAL_SOCKET) }
}

/// Listens on it, or on what was given, twice: one end accepts, the other is for the program that comes after this one.
fn listen(
    path: &Path,
    given: Option<std::os::unix::net::UnixListener>,
) -> Result<(std::os::unix::net::UnixListener, UnixListener), StartError> {
    let local = given.map_or_else(|| listen_anew(path), Ok)?;
    let listener = local.try_clone().and_then(UnixListener::from_std).map_err(io_error("listen on", path))?;
    Ok((local, listener))
}

/// Listens on it; one that an earlier node left is replaced.
fn listen_anew(path: &Path) -> Result<std::os::unix::net::UnixListener, StartError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("replace", path)(error)),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path).map_err(io_error("listen on", path))?;
    listener.set_nonblocking(true).map_err(io_error("listen on", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io_error("protect", path))?;
    Ok(listener)
}

fn private_dir(dir: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("create", dir))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::Io { doing, path, source }
}
