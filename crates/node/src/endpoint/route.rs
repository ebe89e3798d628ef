//! Which service a request is for.

use crate::endpoint::authorization::Gatekeeper;
use crate::endpoint::desk::Desk;
use crate::endpoint::sds::Sds;
use crate::endpoint::workload::Workload;
use crate::endpoint::{metadata, status};
use credence_model::refusal::{Kind, Refusal};
use credence_wire::envoy::service::auth::v3::authorization_server::{
    AuthorizationServer, SERVICE_NAME as AUTHORIZATION,
};
use credence_wire::envoy::service::secret::v3::secret_discovery_service_server::{
    SERVICE_NAME as SDS, SecretDiscoveryServiceServer,
};
use credence_wire::workload::spiffe_workload_api_server::SpiffeWorkloadApiServer;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::sync::Arc;
use tonic::body::Body;
use tower::Service as _;

/// Longest message of a request, in bytes: 16 audiences, or a token to validate.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest request for secrets, in bytes: a proxy says all that it is made of each time.
const SECRETS_BYTES_MAX: usize = 256 * 1024;
/// Longest request of a gateway, in bytes: a body, headers, a certificate, and what the route says.
const CHECK_BYTES_MAX: usize = 512 * 1024;

/// The services of one endpoint.
#[derive(Clone)]
pub(super) struct Services {
    desk: Arc<Desk>,
    workload: SpiffeWorkloadApiServer<Workload>,
    secrets: SecretDiscoveryServiceServer<Sds>,
    authorization: AuthorizationServer<Gatekeeper>,
}

impl Services {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        let workload = SpiffeWorkloadApiServer::new(Workload(Arc::clone(&desk)));
        let secrets = SecretDiscoveryServiceServer::new(Sds(Arc::clone(&desk)));
        let authorization = AuthorizationServer::new(Gatekeeper::new(Arc::clone(&desk)));
        Self {
            desk,
            workload: workload.max_decoding_message_size(MESSAGE_BYTES_MAX),
            secrets: secrets.max_decoding_message_size(SECRETS_BYTES_MAX),
            authorization: authorization.max_decoding_message_size(CHECK_BYTES_MAX),
        }
    }

    /// Answers a request of a process of the actor.
    pub(super) async fn answer(mut self, request: Request<Incoming>) -> Response<Body> {
        if !is_grpc(request.headers()) {
            return metadata::answer(&self.desk, &request.into_parts().0).await;
        }
        match service(request.uri().path()) {
            SDS => said(self.secrets.call(request).await),
            AUTHORIZATION => said(self.authorization.call(request).await),
            // The guard is of the Workload API; proxies do not know it.
            _ if !has_security_header(request.headers()) => {
                let refusal = Refusal::new(Kind::Malformed, "the metadata workload.spiffe.io: true is missing");
                status::grpc(&refusal).into_http()
            }
            _ => said(self.workload.call(request).await),
        }
    }
}

/// The service that a path of gRPC names: `/SERVICE/METHOD`.
fn service(path: &str) -> &str {
    path.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(service, _)| service)
}

fn said(answered: Result<Response<Body>, Infallible>) -> Response<Body> {
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Answers a request of any other process.
pub(super) fn refuse(headers: &HeaderMap) -> Response<Body> {
    let refusal = Refusal::new(Kind::Denied, "no identity issued: this process is not part of the actor")
        .hint("each actor's own processes find their endpoint in SPIFFE_ENDPOINT_SOCKET");
    if is_grpc(headers) { status::grpc(&refusal).into_http() } else { status::http(&refusal) }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Whoever is tricked into sending a request does not send this one.
// SPEC: SPIFFE Workload Endpoint §3, §6 (E-02)
fn has_security_header(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all("workload.spiffe.io").iter();
    values.next().is_some_and(|value| value == "true") && values.next().is_none()
}
