//! What an actor sees: one Unix socket, made for its binding and gone with it, that serves the SPIFFE Workload API, an HTTP
//! metadata service, and to a proxy its secrets and whom to let through.
//!
//! Who may ask is decided by the kernel's evidence about the connected process, never by what a request says: the peer
//! must belong to the process tree of the binding. No request names the actor; the socket is the actor.
//!
//! INVARIANT: nothing is served from the moment on that the watch says [`Served::Ended`] or [`Endpoint::close`] was called;
//! streams that are open end with `PermissionDenied`.
//!
//! It does not fetch, renew or keep credentials: the daemon puts the present identity into the watch, and signs JWT-SVIDs
//! through the callback.

use crate::endpoint::desk::Desk;
use crate::endpoint::socket::Socket;
use credence_attest::process_tree::TreeRoot;
use credence_credential::bundle::Bundle;
use credence_model::id::BindingId;
use credence_model::order::Claims;
use credence_model::refusal::Refusal;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use credence_policy::inquiry::{Answer, Inquiry};
use credence_telemetry::trace::TraceContext;
use futures_util::future::BoxFuture;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub mod authorization;
pub(crate) mod desk;
pub(crate) mod listener;
mod metadata;
mod presence;
mod route;
mod sds;
mod socket;
mod status;
mod streams;
mod workload;

/// Longest path of a Unix socket, in bytes: `sun_path` has 108, some clients fewer.
pub const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Name of the socket of a binding's endpoint.
///
/// The `@` is for gRPC's C library, and so for every client in Python, C++, Ruby or PHP: it sends the path of the socket,
/// percent-encoded, as `:authority`. Our HTTP library takes `%` there only before an `@`, and resets every request otherwise.
pub fn socket_name(binding: BindingId) -> String {
    format!("id@{binding}.sock")
}

/// An actor's present X.509 identity.
pub struct Identity {
    /// Its one SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// What its credentials say about the binding.
    pub claims: Claims,
    /// Certificates in DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Private key of the leaf, unencrypted PKCS#8 in DER.
    pub key_pkcs8: Zeroizing<Vec<u8>>,
    /// End of the leaf's validity.
    pub not_after: Timestamp,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("spiffe_id", &self.spiffe_id)
            .field("epoch", &self.claims.epoch)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// What an endpoint serves right now.
#[derive(Debug, Clone)]
pub enum Served {
    /// The binding is live.
    Live {
        /// The actor's present identity; replaced as a whole at every rotation.
        identity: Arc<Identity>,
        /// The trust domain's present bundle.
        bundle: Arc<Bundle>,
    },
    /// The binding is over; final.
    Ended,
}

/// Has a JWT-SVID for these audiences signed by the control plane, as a part of the request that the actor says.
pub type MintJwt =
    Arc<dyn Fn(Vec<String>, Option<TraceContext>) -> BoxFuture<'static, Result<String, Refusal>> + Send + Sync>;

/// Decides inquiries that belong together, in their order: what they use up is taken only if all of them are allowed. A refusal
/// means that it could not be decided, which whoever asks takes for a no.
pub type Decide =
    Arc<dyn Fn(Vec<Inquiry>, Option<TraceContext>) -> BoxFuture<'static, Result<Vec<Answer>, Refusal>> + Send + Sync>;

/// What an endpoint answers from.
#[derive(Clone)]
pub struct Backing {
    /// What it serves right now.
    pub served: watch::Receiver<Served>,
    /// Has JWT-SVIDs signed.
    pub mint: MintJwt,
    /// Decides questions in the name of the actor.
    pub decide: Decide,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

/// Why an endpoint could not be opened.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The path does not fit into a socket address.
    #[error("endpoint: the socket path {} is longer than {SOCKET_PATH_BYTES_MAX} bytes; use a shorter data directory", .0.display())]
    PathTooLong(PathBuf),
    /// Something that is not a socket has the name already.
    #[error("endpoint: {} exists and is not a socket; remove it", .0.display())]
    Occupied(PathBuf),
    /// The directory of the socket is open to others.
    #[error("endpoint: the directory {} can be entered by other users; set its mode to 0700", .0.display())]
    OpenDirectory(PathBuf),
    /// The operating system refused.
    #[error("endpoint: cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// An open endpoint. Dropping it without [`Endpoint::close`] ends it too, without the courtesy of a last status.
#[derive(Debug)]
pub struct Endpoint {
    socket: Socket,
    closing: watch::Sender<bool>,
    serving: JoinHandle<()>,
    leaving: mpsc::Sender<oneshot::Sender<UnixListener>>,
}

impl Endpoint {
    /// Listens on `path` (mode 0600, in a directory of mode 0700 that is made if it is missing) and serves processes of the
    /// tree `root` until closed.
    #[expect(clippy::unused_async, reason = "it needs the runtime that the listener is registered with")]
    pub async fn open(path: &Path, root: TreeRoot, backing: Backing) -> Result<Self, EndpointError> {
        let (socket, listener) = Socket::listen(path)?;
        Ok(Self::serve(socket, listener, root, backing))
    }

    /// Goes on with a socket that another program of this process listened on.
    #[expect(clippy::unused_async, reason = "it needs the runtime that the listener is registered with")]
    pub async fn adopt(
        path: &Path,
        listener: OwnedFd,
        root: TreeRoot,
        backing: Backing,
    ) -> Result<Self, EndpointError> {
        let (socket, listener) = Socket::adopt(path, listener)?;
        Ok(Self::serve(socket, listener, root, backing))
    }

    fn serve(socket: Socket, listener: UnixListener, root: TreeRoot, backing: Backing) -> Self {
        let (closing, closed) = watch::channel(false);
        let (leaving, left) = mpsc::channel(1);
        let desk = Arc::new(Desk::new(backing, closed.clone()));
        let serving = tokio::spawn(listener::serve(listener, root, desk, closed, left));
        Self { socket, closing, serving, leaving }
    }

    /// Stops serving and keeps the socket, for another program of this process: who connects meanwhile waits. Streams that
    /// are open break without a status, so that clients open them again. `None` if it serves nobody already.
    pub async fn leave(self) -> Option<OwnedFd> {
        let (to, given) = oneshot::channel();
        self.leaving.send(to).await.ok()?;
        let listener = given.await.ok()?.into_std().ok()?;
        self.socket.keep();
        Some(listener.into())
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    /// Ends every stream with `PermissionDenied`, gives connected clients a bounded moment to read that, drops all
    /// connections and removes the socket. When it returns, nobody can ask any more.
    pub async fn close(self) {
        let Self { socket, closing, serving, .. } = self;
        drop(socket);
        closing.send_replace(true);
        // It ends by itself; it could only fail by a panic, and then it serves nobody either.
        let _ = serving.await;
    }
}
