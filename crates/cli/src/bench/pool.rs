//! Requests on connections that are kept: a steady load must not be one of connecting.

use crate::failure::Failure;
use credence_model::refusal::Kind;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UnixStream;

type Sender = SendRequest<Full<Bytes>>;

/// As many connections to the admin socket as are used at the same time.
#[derive(Clone)]
pub(super) struct Pool {
    socket: PathBuf,
    kept: Arc<Mutex<Vec<Sender>>>,
}

impl Pool {
    pub(super) fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), kept: Arc::default() }
    }

    /// Reads.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send(path, http::Request::get(path), Bytes::new()).await
    }

    /// Posts.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        self.send(path, request, Bytes::from(body.to_string())).await
    }

    /// Puts.
    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let request = http::Request::put(path).header(http::header::CONTENT_TYPE, "application/json");
        self.send(path, request, Bytes::from(body.to_string())).await
    }

    /// Sends, and reads the answer if it is a good one.
    async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<T, Failure> {
        let mut sender = self.connection().await?;
        let request = request.header(http::header::HOST, "credence").body(Full::new(body));
        let request = request.map_err(|error| broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(Failure::new(Kind::Unavailable, format!("{path} was answered {status}: {text}")));
        }
        serde_json::from_slice(&body).map_err(|error| broken(&error))
    }

    async fn connection(&self) -> Result<Sender, Failure> {
        if let Some(mut sender) = self.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| broken(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn take(&self) -> Option<Sender> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::new(Kind::Unavailable, format!("a request of the load failed: {error}"))
}
