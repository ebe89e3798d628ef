//! The two listeners: TLS over TCP for everybody, a Unix socket for administrators of this machine. Both serve the same
//! router; what differs is what the connection proves about its peer.
//!
//! Every connection counts against a limit, has to finish its handshake and send its head in time, and may keep only so
//! many requests open.

mod connection;

use crate::app::{App, stopped};
use axum::Router;
use credence_credential::tls::{self, ClientAuth, PeerRule, TlsError};
use credence_telemetry::limit::Limit;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Most connections of each listener at once; further ones wait in the kernel's own queue.
pub const CONNECTIONS_MAX: usize = 10_000;
/// How long a TLS handshake may take, in seconds.
pub const HANDSHAKE_TIMEOUT_SECS: u64 = 5;
/// How long the head of a request may take, in seconds.
pub const HEAD_TIMEOUT_SECS: u64 = 10;
/// Most requests open on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// Largest head of a request, in bytes.
pub const HEAD_BYTES_MAX: u32 = 32 * 1024;
/// How often a silent HTTP/2 connection is asked whether it is alive, in seconds.
pub const KEEP_ALIVE_SECS: u64 = 15;
/// How long open requests may go on once the server stops, in seconds.
pub const DRAIN_SECS: u64 = 5;
/// What a listener does when the system refuses a connection (no file descriptors left): it waits so long, in
/// milliseconds.
const REFUSED_PAUSE_MS: u64 = 100;

/// All connections of a listener are taken.
pub(crate) static CONNECTIONS: Limit = Limit::new(
    "connections",
    CONNECTIONS_MAX as u64,
    "connections of a listener",
    "further ones wait in the kernel's queue",
);
/// A handshake is too slow.
pub(crate) static HANDSHAKE_TIME: Limit =
    Limit::new("handshake_time", HANDSHAKE_TIMEOUT_SECS, "seconds", "the connection is cut");
/// The head of a request is too slow, or none comes, or a silent peer does not answer.
pub(crate) static HEAD_TIME: Limit = Limit::new("head_time", HEAD_TIMEOUT_SECS, "seconds", "the connection is cut");

/// What both listeners share.
#[derive(Clone)]
pub(crate) struct Doors {
    app: Arc<App>,
    router: Router,
    stopping: watch::Receiver<bool>,
}

impl Doors {
    pub(crate) fn new(app: Arc<App>, router: Router, stopping: watch::Receiver<bool>) -> Self {
        Self { app, router, stopping }
    }

    /// TLS 1.3 with the server's own SVID; a client certificate is optional here and required by the table where it is.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let rule = PeerRule::Within(self.app.trust_domain.clone());
        let signer = &self.app.signer;
        let mut config = tls::server_config(signer.identity(), signer.bundles(), ClientAuth::Optional(rule))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Serves TCP until the server stops and the last connection is drained.
    pub(crate) async fn serve_tcp(self, listener: TcpListener, acceptor: TlsAcceptor) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Some(permit) = self.room(&room).await {
            let Some(accepted) = self.accepted(listener.accept()).await else { break };
            let Ok((stream, _)) = accepted else { continue };
            let (doors, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                doors.tcp(stream, acceptor).await;
                drop(permit);
            });
        }
        drained(&room).await;
    }

    /// Serves the admin socket until the server stops and the last connection is drained.
    pub(crate) async fn serve_unix(self, listener: UnixListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Some(permit) = self.room(&room).await {
            let Some(accepted) = self.accepted(listener.accept()).await else { break };
            let Ok((stream, _)) = accepted else { continue };
            let doors = self.clone();
            tokio::spawn(async move {
                doors.unix(stream).await;
                drop(permit);
            });
        }
        drained(&room).await;
    }

    /// Room for one more connection; `None` once the server stops.
    async fn room(&self, room: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if room.available_permits() == 0 {
            CONNECTIONS.hit();
        }
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = stopped(&mut stopping) => None,
            permit = Arc::clone(room).acquire_owned() => permit.ok(),
        }
    }

    /// The next connection, or why there is none just now; `None` once the server stops.
    async fn accepted<T>(&self, next: impl Future<Output = io::Result<T>>) -> Option<io::Result<T>> {
        let mut stopping = self.stopping.clone();
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => return None,
            accepted = next => accepted,
        };
        if let Err(error) = &accepted {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(REFUSED_PAUSE_MS)).await;
        }
        Some(accepted)
    }
}

/// Waits until every connection has ended, but not for ever.
async fn drained(room: &Arc<Semaphore>) {
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // What is still open then is cut when the process ends.
    let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECS), room.acquire_many(all)).await;
}
