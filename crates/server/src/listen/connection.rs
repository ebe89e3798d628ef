//! One connection: its handshake, who its peer is, its requests, and its end.

use super::room::{Place, Rooms, Source};
use super::{DRAIN_SECS, Doors, HEAD_BYTES_MAX, KEEP_ALIVE_SECS, STREAMS_PER_CONNECTION_MAX, STREAMS_PER_STRANGER_MAX};
use crate::app::stopped;
use crate::caller::Peer;
use crate::limits::{ANSWER_TIME, HANDSHAKE_TIME, HEAD_TIME, IDLE_TIME, Limits, STRANGER_TIME};
use axum::body::Body;
use credence_credential::tls;
use credence_credential::x509_svid::VerifiedX509Svid;
use credence_model::template::Named;
use credence_telemetry::activity::{Activity, Counted};
use credence_telemetry::patience::Patient;
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
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

impl Doors {
    /// Over TLS the peer is who its certificate names, or nobody.
    pub(super) async fn tcp(self, stream: TcpStream, acceptor: TlsAcceptor, rooms: Rooms, mut place: Place) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.app.limits.handshake_time, acceptor.accept(self.patient(stream))) => shaken,
            () = place.given_away() => return,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => {
                HANDSHAKE_TIME.hit();
                return tracing::debug!("a TLS handshake took too long");
            }
        };
        match stream.get_ref().1.peer_certificates() {
            None | Some([]) => self.serve(stream, Peer::Anonymous, false, place).await,
            Some(chain) => match tls::peer_identity(chain, self.app.signer.bundles(), self.app.clock.now()) {
                Ok(svid) => {
                    drop(place);
                    self.known(stream, svid, &rooms).await;
                }
                Err(error) => tracing::debug!(%error, "a client certificate was refused"),
            },
        }
    }

    /// Who has proved who it is needs no room among the strangers any more.
    async fn known(self, stream: TlsStream<Patient<TcpStream>>, svid: VerifiedX509Svid, rooms: &Rooms) {
        let is_node = matches!(self.app.templates.read(&svid.id), Some(Named::Node(_)));
        let room = match self.app.administrators.has_id(&svid.id) {
            true => &rooms.administrators,
            false if is_node => &rooms.nodes,
            false => &rooms.workloads,
        };
        match room.enter(Source::Id(svid.id.clone())) {
            Some(place) => self.serve(stream, Peer::Svid(Arc::new(svid)), true, place).await,
            // It is counted by its limit; who floods does not fill the log, too.
            None => tracing::debug!(id = %svid.id, "a connection was closed: there is no room for more like it"),
        }
    }

    /// Through the admin socket the peer is a user of this machine, as the kernel says.
    pub(super) async fn unix(self, stream: UnixStream, uid: u32, is_known: bool, place: Place) {
        let stream = self.patient(stream);
        self.serve(stream, Peer::Local { uid }, is_known, place).await;
    }

    fn patient<S>(&self, stream: S) -> Patient<S> {
        Patient::new(stream, self.app.limits.answer_time, &ANSWER_TIME)
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
        is_known: bool,
        mut place: Place,
    ) {
        let limits = &self.app.limits;
        let activity = Activity::new(self.app.meters.open_requests.clone());
        let (router, counting) = (self.router, activity.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let (router, open) = (router.clone(), counting.begin());
            async move {
                let answer = router.oneshot(request.map(Body::new)).await;
                answer.map(|answer| answer.map(|body| Counted::new(body, open)))
            }
        });
        let builder = builder(limits, is_known);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = self.stopping;
        tokio::select! {
            ended = connection.as_mut() => return note(ended),
            () = activity.unasked(limits.head_time) => return HEAD_TIME.hit(),
            () = activity.stalled(limits.answer_time) => return ANSWER_TIME.hit(),
            () = place.given_away() => return,
            () = activity.idle(limits.idle_time) => IDLE_TIME.hit(),
            () = tokio::time::sleep(limits.stranger_time), if !is_known => STRANGER_TIME.hit(),
            () = stopped(&mut stopping) => {}
        }
        connection.as_mut().graceful_shutdown();
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(DRAIN_SECS), connection).await {
            note(ended);
        }
    }
}

fn builder(limits: &Limits, is_known: bool) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(if is_known { STREAMS_PER_CONNECTION_MAX } else { STREAMS_PER_STRANGER_MAX })
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
