//! A proxy's questions, written once and sent over and over: what the load generator computes for each has to be little beside
//! what is measured.

use crate::failure::Failure;
use credence_model::refusal::Kind;
use credence_wire::envoy::service::auth::v3::CheckRequest;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use std::fmt::Display;
use tokio::net::UnixStream;

const CHECK: &str = "http://workload/envoy.service.auth.v3.Authorization/Check";

/// A connection to the actor's socket, as a proxy keeps it.
#[derive(Clone)]
pub(super) struct Proxy(SendRequest<Full<Bytes>>);

impl Proxy {
    pub(super) async fn connect(socket: &str) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).await.map_err(|error| broken(&error))?;
        let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| broken(&error))?;
        tokio::spawn(async move {
            // Whoever asks over it is told that it broke.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Asks, and waits for the whole answer, whatever it is.
    pub(super) async fn ask(mut self, question: Bytes) -> Result<(), Failure> {
        let request = http::Request::post(CHECK).header("content-type", "application/grpc").header("te", "trailers");
        let request = request.body(Full::new(question)).map_err(|error| broken(&error))?;
        let answer = self.0.send_request(request).await.map_err(|error| broken(&error))?;
        let answer = answer.into_body().collect().await.map_err(|error| broken(&error))?;
        match answer.trailers().and_then(|trailers| trailers.get("grpc-status")) {
            Some(status) if status == "0" => Ok(()),
            status => Err(broken(&format!("it ended with {status:?}"))),
        }
    }
}

/// A question as gRPC frames it: not compressed, its length, and the message.
pub(super) fn framed(question: &CheckRequest) -> Bytes {
    let message = question.encode_to_vec();
    // A question is far from four gigabytes.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), &message].concat().into()
}

fn broken(error: &impl Display) -> Failure {
    Failure::new(Kind::Unavailable, format!("a question was not answered: {error}"))
}
