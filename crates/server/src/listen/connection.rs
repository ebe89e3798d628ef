//! One connection: its handshake, who its peer is, and its requests.

use super::{
    Doors, HANDSHAKE_TIME, HANDSHAKE_TIMEOUT_SECS, HEAD_BYTES_MAX, HEAD_TIME, HEAD_TIMEOUT_SECS, KEEP_ALIVE_SECS,
    STREAMS_PER_CONNECTION_MAX,
};
use crate::app::stopped;
use crate::caller::Peer;
use axum::body::Body;
use credence_credential::tls;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

impl Doors {
    /// Over TLS the peer is who its certificate names, or nobody.
    pub(super) async fn tcp(self, stream: TcpStream, acceptor: TlsAcceptor) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let limit = Duration::from_secs(HANDSHAKE_TIMEOUT_SECS);
        let stream = match tokio::time::timeout(limit, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => {
                HANDSHAKE_TIME.hit();
                return tracing::debug!("a TLS handshake took too long");
            }
        };
        let peer = match stream.get_ref().1.peer_certificates() {
            None | Some([]) => Peer::Anonymous,
            Some(chain) => match tls::peer_identity(chain, self.app.signer.bundles(), self.app.clock.now()) {
                Ok(svid) => Peer::Svid(Arc::new(svid)),
                Err(error) => return tracing::debug!(%error, "a client certificate was refused"),
            },
        };
        self.serve(stream, peer).await;
    }

    /// Through the admin socket the peer is a user of this machine, as the kernel says.
    pub(super) async fn unix(self, stream: UnixStream) {
        match stream.peer_cred() {
            Ok(credentials) => self.serve(stream, Peer::Local { uid: credentials.uid() }).await,
            Err(error) => tracing::warn!(%error, "the peer of the admin socket is unknown"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, peer: Peer) {
        let router = self.router;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.clone().oneshot(request.map(Body::new))
        });
        let builder = builder();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = self.stopping;
        tokio::select! {
            ended = connection.as_mut() => return note(ended),
            () = stopped(&mut stopping) => connection.as_mut().graceful_shutdown(),
        }
        note(connection.await);
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_TIMEOUT_SECS))
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(KEEP_ALIVE_SECS))
        .keep_alive_timeout(Duration::from_secs(KEEP_ALIVE_SECS));
    builder
}

fn note(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout) {
            HEAD_TIME.hit();
        }
        tracing::debug!(%error, "a connection ended");
    }
}
