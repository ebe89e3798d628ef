//! The two listeners: TLS over TCP for everybody, a Unix socket for administrators of this machine. Both serve the same
//! router; what differs is what the connection proves about its peer.
//!
//! Every connection needs room among those of its kind ([`room`]), has to finish its handshake, ask and take its answers
//! in time, and may keep only so many requests open. INVARIANT: whatever a peer does or leaves undone, its connection ends,
//! and who has not proved who it is takes no room from anybody who has.

mod connection;
mod room;

use crate::app::{App, stopped};
use axum::Router;
use credence_credential::tls::{self, ClientAuth, PeerRule, TlsError};
use room::{Rooms, Source};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Most requests open on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// Most requests open on one connection of a stranger.
pub const STREAMS_PER_STRANGER_MAX: u32 = 16;
/// Largest head of a request, in bytes.
pub const HEAD_BYTES_MAX: u32 = 32 * 1024;
/// How often a silent HTTP/2 connection is asked whether it is alive, in seconds.
pub const KEEP_ALIVE_SECS: u64 = 15;
/// How long open requests may go on once their connection is to end, in seconds.
pub const DRAIN_SECS: u64 = 5;
/// What a listener does when the system refuses a connection (no file descriptors left): it waits so long, in
/// milliseconds.
const REFUSED_PAUSE_MS: u64 = 100;

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
        let rooms = Rooms::new(&self.app.limits, &self.app.meters);
        let mut connections = JoinSet::new();
        while let Some(accepted) = self.accepted(listener.accept(), &mut connections).await {
            let Ok((stream, from)) = accepted else { continue };
            // Without room the connection is closed by being dropped.
            let Some(place) = rooms.strangers.enter(Source::address(from.ip())) else { continue };
            connections.spawn(self.clone().tcp(stream, acceptor.clone(), rooms.clone(), place));
        }
        drained(connections).await;
    }

    /// Serves the admin socket until the server stops and the last connection is drained.
    pub(crate) async fn serve_unix(self, listener: UnixListener) {
        let rooms = Rooms::new(&self.app.limits, &self.app.meters);
        let mut connections = JoinSet::new();
        while let Some(accepted) = self.accepted(listener.accept(), &mut connections).await {
            let Ok((stream, _)) = accepted else { continue };
            let uid = match stream.peer_cred() {
                Ok(credentials) => credentials.uid(),
                Err(error) => {
                    tracing::warn!(%error, "the peer of the admin socket is unknown");
                    continue;
                }
            };
            let is_known = self.app.administrators.has_uid(uid);
            let room = if is_known { &rooms.administrators } else { &rooms.strangers };
            let Some(place) = room.enter(Source::User(uid)) else { continue };
            connections.spawn(self.clone().unix(stream, uid, is_known, place));
        }
        drained(connections).await;
    }

    /// The next connection, or why there is none just now; `None` once the server stops.
    async fn accepted<T>(
        &self,
        next: impl Future<Output = io::Result<T>>,
        connections: &mut JoinSet<()>,
    ) -> Option<io::Result<T>> {
        let mut stopping = self.stopping.clone();
        let mut next = std::pin::pin!(next);
        let accepted = loop {
            tokio::select! {
                () = stopped(&mut stopping) => return None,
                accepted = next.as_mut() => break accepted,
                Some(_) = connections.join_next() => {}
            }
        };
        if let Err(error) = &accepted {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(REFUSED_PAUSE_MS)).await;
        }
        Some(accepted)
    }
}

/// Waits until every connection has ended, but not for ever; what is still open then is cut.
async fn drained(mut connections: JoinSet<()>) {
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECS), all).await;
}
