//! The node protocol (`proto/node.proto`): attestation, the one stream of a node, and state archives.
//!
//! Who may call what stands in the authorization table, and was asked before anything here runs.

pub(crate) mod archive;
pub(crate) mod attest;
mod convert;
pub(crate) mod session;

use crate::app::App;
use crate::caller::Standing;
use crate::problem;
use credence_model::id::NodeName;
use credence_model::refusal::{Kind, Refusal};
use credence_wire::node::node_service_server::{NodeService, NodeServiceServer};
use credence_wire::node::{
    ArchiveChunk, AttestRequest, AttestResponse, FromNode, PutArchiveResponse, ReadArchiveRequest, ToNode,
};
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Largest message that a node may send, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The service behind the RPCs.
#[derive(Clone)]
pub(crate) struct NodeApi {
    app: Arc<App>,
}

impl NodeApi {
    /// The service, with its limits.
    pub(crate) fn service(app: &Arc<App>) -> NodeServiceServer<Self> {
        NodeServiceServer::new(Self { app: Arc::clone(app) }).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl NodeService for NodeApi {
    type ConnectStream = ReceiverStream<Result<ToNode, Status>>;
    type ReadArchiveStream = ReceiverStream<Result<ArchiveChunk, Status>>;

    async fn attest(&self, request: Request<AttestRequest>) -> Result<Response<AttestResponse>, Status> {
        answer(attest::attest(&self.app, request.into_inner()).await)
    }

    async fn connect(&self, request: Request<Streaming<FromNode>>) -> Result<Response<Self::ConnectStream>, Status> {
        let node = calling(&request)?;
        Ok(Response::new(session::open(Arc::clone(&self.app), node, request.into_inner())))
    }

    async fn put_archive(
        &self,
        request: Request<Streaming<ArchiveChunk>>,
    ) -> Result<Response<PutArchiveResponse>, Status> {
        let node = calling(&request)?;
        answer(archive::put(&self.app, &node, request.into_inner()).await)
    }

    async fn read_archive(
        &self,
        request: Request<ReadArchiveRequest>,
    ) -> Result<Response<Self::ReadArchiveStream>, Status> {
        let node = calling(&request)?;
        answer(archive::get(&self.app, &node, request.into_inner()).await)
    }
}

/// The node that calls, as the table let it in.
fn calling<T>(request: &Request<T>) -> Result<NodeName, Status> {
    let node = request.extensions().get::<Standing>().and_then(|standing| standing.node.clone());
    node.ok_or_else(|| problem::grpc(&Refusal::new(Kind::Bug, "a call came without the node that makes it")))
}

fn answer<T>(result: Result<T, Refusal>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|refusal| problem::grpc(&refusal))
}
