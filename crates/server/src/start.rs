//! The server's start and end: what is kept where, and in which order everything comes up.

use crate::access;
use crate::administrators::Administrators;
use crate::app::{App, stopped};
use crate::archive::Archives;
use crate::attest_limit::AttestLimit;
use crate::backup::{BackupError, Restored, forget_restored, read_restored};
use crate::call::Calls;
use crate::clock::Clock;
use crate::compiled::CompiledPolicies;
use crate::config::Config;
use crate::identity_provider::IdentityProviders;
use crate::listen::Doors;
use crate::listeners::{Listeners, ListenersError, admin_socket};
use crate::mark::Marks;
use crate::meter::Meters;
use crate::observe::Watched;
use crate::seal::Seal;
use crate::signer::{Keyring, OpenError, SERVER_TTL_SECS, Signer};
use credence_attest::join_token::SECRET_BYTES;
use credence_control::{Cell, CellError, Edge, StartReport};
use credence_credential::tls::TlsError;
use credence_credential::x509_svid::ServerNames;
use credence_issuer::{AuthorityError, Config as AuthorityConfig};
use credence_journal::{FileJournal, FileOptions, JournalError, Verify};
use credence_model::caller::Caller;
use credence_model::command::{Command, Request};
use credence_model::hold::{Hold, HoldCause};
use credence_model::refusal::Refusal;
use credence_model::spiffe_id::TrustDomain;
use credence_telemetry::door;
use credence_telemetry::otlp::{Export, Exporter, Teller};
use credence_telemetry::span::Tracer;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// How often it is looked whether authorities changed, in milliseconds, while anything is recorded.
const FOLLOW_EVERY_MS: u64 = 50;
/// How long the server waits before it tries again to renew its own SVID, in seconds.
const RENEW_AGAIN_SECS: u64 = 60;

/// Why the server does not start. Each says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// The journal cannot be opened or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The registry cannot be built from it.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// What a restore left cannot be read.
    #[error(transparent)]
    Restored(#[from] BackupError),
    /// It could not be recorded that the data directory was restored.
    #[error("that this data directory was restored cannot be recorded: {0}")]
    Hold(Refusal),
    /// The authority's keys cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The server's own identity could not be made.
    #[error("the server's own identity could not be made: {0}")]
    Identity(Refusal),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory cannot be one.
    #[error("cannot use {} as the data directory: {}; choose another with --data-dir", path.display(), obstacle(source))]
    DataDir {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file, directory or socket is in the way.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot listen.
    #[error(transparent)]
    Listeners(#[from] ListenersError),
    /// The address of metrics and probes cannot be listened on.
    #[error("cannot listen on {addr} for metrics and probes: {source}; choose another with --observe")]
    Observe {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A running server.
pub struct Server {
    pub(crate) app: Arc<App>,
    /// The configuration in force.
    pub(crate) config: Mutex<Config>,
    listeners: Listeners,
    addr: SocketAddr,
    observed_at: Option<SocketAddr>,
    admin_socket: PathBuf,
    trust_domain: TrustDomain,
    report: StartReport,
    cell: Cell,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    exporter: Exporter,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the data directory and serves.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_on(None, config).await
    }

    /// The same on the sockets that an earlier server left, if they are where the configuration says.
    pub async fn start_on(inherited: Option<Listeners>, config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        let dir = config.data_dir.clone();
        // The journal's lock comes first: everything else in the directory belongs to who holds it.
        private_dir(&dir)?;
        // A record of years must not delay the start: what a snapshot covers is checked when it is read.
        let options = FileOptions { verify: Verify::SinceSnapshot, ..FileOptions::default() };
        let journal = FileJournal::open(&dir.join("journal"), options)?;
        let edge = Edge { now: Box::new(move || clock.now()), entropy: Box::new(entropy) };
        let (cell, report) = Cell::start(Box::new(journal), config.settings.clone(), edge)?;
        let started = match hold_restored(&dir, &cell).await {
            Ok(()) => Self::serve(inherited, config, clock, cell.clone(), report).await,
            Err(error) => Err(error),
        };
        if started.is_err() {
            // Whoever tries again at once finds the directory free.
            cell.stop().await;
        }
        started
    }

    async fn serve(
        inherited: Option<Listeners>,
        config: Config,
        clock: Clock,
        cell: Cell,
        report: StartReport,
    ) -> Result<Self, StartError> {
        let dir = config.data_dir.clone();
        let (stop, stopping) = watch::channel(false);
        let export = Export::new(config.otlp.as_ref());
        let app = compose(&config, &dir, clock, cell.clone(), stopping.clone()).await?;
        let app = Arc::new(App { tracer: export.tracer(), ..app });
        app.signer.renew_own(&app.cell, clock.now()).await.map_err(StartError::Identity)?;
        let listeners = match inherited {
            Some(listeners) => listeners.suit(&config)?,
            None => Listeners::open(&config)?,
        };
        let doors = Doors::new(Arc::clone(&app), access::router(&app), stopping);
        let acceptor = doors.acceptor()?;
        let (tcp, unix) = listeners.serving()?;
        let listen = |source| ListenersError::Listen { addr: config.listen, source };
        let addr = tcp.local_addr().map_err(listen)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(doors.clone().serve_tcp(tcp, acceptor));
        tasks.spawn(doors.serve_unix(unix));
        let mut observed_at = None;
        if let Some(addr) = config.observe {
            let observe = |source| StartError::Observe { addr, source };
            let listener = door::open(addr).await.map_err(observe)?;
            observed_at = Some(listener.local_addr().map_err(observe)?);
            tasks.spawn(observed(listener, Arc::clone(&app)));
        }
        let teller = Teller { service: "credence-server", instance: config.settings.trust_domain.to_string() };
        let exporter = export.start(&teller, Arc::new(Watched::new(Arc::clone(&app))));
        tasks.spawn(keep_identity(Arc::clone(&app)));
        tasks.spawn(follow_authorities(Arc::clone(&app)));
        tasks.spawn(keep_keys(Arc::clone(&app)));
        let (admin_socket, trust_domain) = (admin_socket(&dir), config.settings.trust_domain.clone());
        let config = Mutex::new(config);
        Ok(Self {
            app,
            config,
            listeners,
            addr,
            observed_at,
            admin_socket,
            trust_domain,
            report,
            cell,
            stop,
            tasks,
            exporter,
        })
    }

    /// Where it listens for TLS.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its metrics and probes are, if they were asked for.
    pub fn observed_at(&self) -> Option<SocketAddr> {
        self.observed_at
    }

    /// Where administrators of this machine reach it.
    pub fn admin_socket(&self) -> &Path {
        &self.admin_socket
    }

    /// The trust domain that it serves.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// What was found at the start.
    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// Resolves if the registry cannot go on, which it never should: nothing can be recorded or read any more.
    pub async fn broken(&self) {
        let mut recorded = self.cell.recorded();
        while recorded.changed().await.is_ok() {}
    }

    /// Lets open requests end, then ends itself. What was acknowledged is in the journal.
    pub async fn stop(self) {
        let Ended { exporter, admin_socket, .. } = self.end().await;
        exporter.end().await;
        let _ = std::fs::remove_file(admin_socket);
    }

    /// The same, but its sockets stay: whoever connects meanwhile waits for the server that goes on with them.
    pub async fn hand_over(self) -> Listeners {
        let Ended { exporter, listeners, .. } = self.end().await;
        exporter.hand_over().await;
        listeners
    }

    async fn end(mut self) -> Ended {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.cell.stop().await;
        Ended { exporter: self.exporter, listeners: self.listeners, admin_socket: self.admin_socket }
    }
}

/// What is left of a server that has ended.
struct Ended {
    exporter: Exporter,
    listeners: Listeners,
    admin_socket: PathBuf,
}

/// Tells of itself until the server stops.
async fn observed(listener: TcpListener, app: Arc<App>) {
    let mut stopping = app.stopping.clone();
    tokio::select! {
        () = stopped(&mut stopping) => {}
        () = door::serve(listener, Arc::new(Watched::new(app))) => {}
    }
}

/// Holds the server whose data directory was restored, before anybody can reach it; the file goes when that is recorded.
/// Says so at every start while it is held.
async fn hold_restored(data_dir: &Path, cell: &Cell) -> Result<(), StartError> {
    if let Some(Restored { made_at, last_index, last_at, .. }) = read_restored(data_dir)? {
        let command = Command::Hold { cause: HoldCause::Restored { made_at, last_index, last_at } };
        let request = Request { caller: Caller::System, idempotency_key: None, command };
        cell.submit(request).await.map_err(StartError::Hold)?;
        forget_restored(data_dir)?;
    }
    let held = cell.read(|state| state.hold.as_ref().map(Hold::refusal)).await.map_err(StartError::Hold)?;
    held.inspect(|refusal| tracing::warn!(%refusal));
    Ok(())
}

async fn compose(
    config: &Config,
    dir: &Path,
    clock: Clock,
    cell: Cell,
    stopping: watch::Receiver<bool>,
) -> Result<App, StartError> {
    let trust_domain = config.settings.trust_domain.clone();
    let made_with = AuthorityConfig {
        algorithm: config.algorithm,
        intermediate: config.intermediate,
        passphrase: config.passphrase.clone(),
        ..AuthorityConfig::new(trust_domain.clone())
    };
    let names = ServerNames { dns: config.dns_names.clone(), ip: config.ip_addrs.clone() };
    let meters = Meters::default();
    let keyring = Keyring { dir: dir.join("authority"), made_with };
    let signer = Signer::open(keyring, &cell, clock.now(), names, meters.clone()).await;
    let signer = signer.map_err(|error| match error {
        OpenError::Authority(error) => StartError::Authority(error),
        OpenError::Refused(refusal) => StartError::Identity(refusal),
    })?;
    let archives = dir.join("archives");
    let archives = Archives::open(&archives, config.limits.archive_bytes).map_err(io_error("open", &archives))?;
    let token_seed = secret(&dir.join("token-seed"))?;
    Ok(App {
        cell,
        signer,
        meters,
        limits: config.limits.clone().within(descriptors()),
        tracer: Tracer::default(),
        clock,
        archives,
        calls: Calls::default(),
        policies: CompiledPolicies::default(),
        // Each question takes the memory of a registry.
        past: Semaphore::new(1),
        subject_types: config.subject_types.clone(),
        attest_limit: AttestLimit::default(),
        trust_domain,
        templates: config.settings.templates.clone(),
        administrators: Administrators::new(config),
        identity_providers: IdentityProviders::new(config)?,
        page_seal: Seal::new(&*token_seed, "pages").map_err(StartError::Identity)?,
        token_seed,
        marks: Marks::new(&*secret(&dir.join("mark-key"))?),
        stopping,
    })
}

/// Looks after every recorded change whether it was one of the authorities: some happen by themselves.
async fn follow_authorities(app: Arc<App>) {
    let (mut stopping, mut recorded) = (app.stopping.clone(), app.cell.recorded());
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            changed = recorded.changed() => if changed.is_err() { return },
        }
        recorded.mark_unchanged();
        if let Err(refusal) = app.signer.follow(&app.cell, app.clock.now()).await {
            tracing::warn!(%refusal, "the authorities are not as the registry says");
        }
        // Under load there is always something recorded.
        tokio::time::sleep(Duration::from_millis(FOLLOW_EVERY_MS)).await;
    }
}

/// Renews the server's own SVID when a third of its life is over, again and again.
async fn keep_identity(app: Arc<App>) {
    let mut stopping = app.stopping.clone();
    let mut pause_secs = SERVER_TTL_SECS / 3;
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            () = tokio::time::sleep(Duration::from_secs(pause_secs)) => {}
        }
        pause_secs = match app.signer.renew_own(&app.cell, app.clock.now()).await {
            Ok(()) => SERVER_TTL_SECS / 3,
            Err(error) => {
                tracing::error!(%error, "the server's own SVID could not be renewed");
                RENEW_AGAIN_SECS
            }
        };
    }
}

/// Keeps the keys of identity providers fresh until the server stops.
async fn keep_keys(app: Arc<App>) {
    let mut stopping = app.stopping.clone();
    tokio::select! {
        () = stopped(&mut stopping) => {}
        () = app.identity_providers.keep_keys(app.clock) => {}
    }
}

/// How many files this process may have open.
fn descriptors() -> usize {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    most.and_then(|most| most.try_into().ok()).unwrap_or(usize::MAX)
}

fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    // The system's generator does not fail once it has started. If it did, ids would repeat and be refused as used.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("the system has no randomness");
    }
    bytes
}

/// A secret of this server, made at the first start.
fn secret(path: &Path) -> Result<Zeroizing<[u8; SECRET_BYTES]>, StartError> {
    let mut seed = Zeroizing::new([0; SECRET_BYTES]);
    match std::fs::read(path).map(Zeroizing::new) {
        Ok(bytes) if bytes.len() == SECRET_BYTES => seed.copy_from_slice(&bytes),
        Ok(_) => {
            return Err(io_error("use", path)(io::Error::other("it has a wrong length; remove it to get a new one")));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            aws_lc_rs::rand::fill(seed.as_mut_slice())
                .map_err(|_| io_error("fill", path)(io::Error::other("the system has no randomness")))?;
            write_private(path, seed.as_slice()).map_err(io_error("write", path))?;
        }
        Err(error) => return Err(io_error("read", path)(error)),
    }
    Ok(seed)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Nobody else looks into it.
fn private_dir(dir: &Path) -> Result<(), StartError> {
    let refused = |source| StartError::DataDir { path: dir.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(refused)
}

/// What stands in the way of a data directory, for people.
fn obstacle(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "a part of the path is a file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not create it".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only".to_owned(),
        _ => error.to_string(),
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::Io { doing, path, source }
}
