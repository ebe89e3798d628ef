//! Whether a request that reached a proxy may pass: Envoy's external authorization (`ext_authz`), asked by the actor that the proxy
//! is, at its own socket.
//!
//! Whether who sent the request acts in a live binding is looked at anew at each one ([`caller`]), so that a connection that outlives
//! a binding carries nobody. What
//! it comes to is said by the gateway's configuration and never by the client ([`mapping`]). Several calls in one request pass
//! together or not at all.
//!
//! INVARIANT: any doubt is a no. Whatever cannot be read, proven or decided is denied, in an answer and never as an error of gRPC,
//! which a proxy might be configured to take for a yes.

use crate::endpoint::authorization::caller::Caller;
use crate::endpoint::authorization::mapping::Route;
use crate::endpoint::authorization::message::Message;
use crate::endpoint::authorization::proofs::Proofs;
use crate::endpoint::desk::Desk;
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::{Kind, Refusal};
use credence_policy::inquiry::{Answer, Inquiry, Subject, Wish};
use credence_telemetry::trace::TraceContext;
use credence_wire::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};
use credence_wire::envoy::service::auth::v3::authorization_server::Authorization;
use credence_wire::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use serde_json::Value;
use std::sync::Arc;
use tonic::{Request, Response, Status};

mod a2a;
mod answer;
mod caller;
mod mapping;
mod mcp;
mod message;
mod proofs;
mod rpc;
mod web;

pub(crate) use message::BODY;
pub use message::BODY_BYTES_MAX;
pub(crate) use rpc::BATCH;
pub use rpc::BATCH_MAX;

/// The service of one endpoint.
pub(super) struct Gatekeeper {
    desk: Arc<Desk>,
    proofs: Proofs,
}

impl Gatekeeper {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        Self { desk, proofs: Proofs::default() }
    }
}

/// What one message of a request wants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// By which its answer is told from others, in JSON-RPC.
    pub id: Option<Value>,
    /// What it wants to do; nothing that could be denied if it is missing.
    pub wish: Option<Wish>,
    /// Whether it came in an array.
    pub is_in_batch: bool,
}

/// Why a request does not pass.
enum Stop {
    /// Nothing was decided.
    Refused(Refusal),
    /// These were the answers.
    Denied(Vec<Answer>),
    /// All was allowed, some of it only once a person has confirmed it.
    StepUp(Vec<Answer>),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[tonic::async_trait]
impl Authorization for Gatekeeper {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let said = TraceContext::said(request.metadata().as_ref());
        let attributes = request.into_inner().attributes.unwrap_or_default();
        Ok(Response::new(self.answer(&attributes, said).await))
    }
}

impl Gatekeeper {
    async fn answer(&self, attributes: &AttributeContext, said: Option<TraceContext>) -> CheckResponse {
        let mut wanted = Vec::new();
        match self.judged(attributes, &mut wanted, said).await {
            Ok((caller, answers)) => answer::passed(&caller, &answers),
            Err(stop) => answer::stopped(&stop, mapping::is_rpc(&attributes.context_extensions), &wanted),
        }
    }

    async fn judged(
        &self,
        attributes: &AttributeContext,
        wanted: &mut Vec<Wanted>,
        said: Option<TraceContext>,
    ) -> Result<(Caller, Vec<Answer>), Stop> {
        let (identity, bundle) = self.desk.live().map_err(|_| gone())?;
        let route = Route::read(&attributes.context_extensions)?;
        let (nothing, nobody) = (HttpRequest::default(), Peer::default());
        let message = Message(request_of(attributes).unwrap_or(&nothing));
        let peer = attributes.source.as_ref().unwrap_or(&nobody);
        let caller = caller::of(peer, &message, (&identity, &bundle), &self.proofs, self.desk.now())?;
        drop((identity, bundle));
        *wanted = route.ask(&message)?;
        let subject = Subject { spiffe_id: caller.spiffe_id.clone(), held: caller.held() };
        let inquiry = |Wanted { wish, .. }: &Wanted| {
            let (subject, wish) = (subject.clone(), wish.clone());
            Inquiry { subject, wish, confirms: route.steps_up }
        };
        let inquiries: Vec<_> = wanted.iter().map(inquiry).collect();
        let asked = inquiries.len();
        let answers = self.desk.decide(inquiries, said).await?;
        if answers.len() != asked || asked == 0 {
            return Err(Refusal::new(Kind::Bug, "not every question was answered").into());
        }
        if answers.iter().any(|answer| !answer.allowed) {
            return Err(Stop::Denied(answers));
        }
        if !route.steps_up && answers.iter().any(Answer::needs_person) {
            return Err(Stop::StepUp(answers));
        }
        Ok((caller, answers))
    }
}

/// Nobody is let in by a gateway that is nobody itself.
fn gone() -> Refusal {
    Refusal::new(Kind::Unavailable, "the gateway has no identity any more")
}

/// `call` on this resource, if its name is one.
fn wish(kind: &str, id: &str, context: Value) -> Result<Wish, Refusal> {
    let resource = Resource::new(Name::parse(kind)?, id)?;
    let (kind, id) = (resource.kind.as_str().to_owned(), resource.id().to_owned());
    Ok(Wish { action: "call".to_owned(), kind, id, properties: Value::Null, context })
}

/// What a gateway's request comes to, whoever sent it; for tests of the reading alone.
///
/// # Errors
/// If it cannot be read, or the route is misconfigured.
pub fn read(attributes: &AttributeContext) -> Result<Vec<Wanted>, Refusal> {
    let nothing = HttpRequest::default();
    Route::read(&attributes.context_extensions)?.ask(&Message(request_of(attributes).unwrap_or(&nothing)))
}

fn request_of(attributes: &AttributeContext) -> Option<&HttpRequest> {
    attributes.request.as_ref()?.http.as_ref()
}

#[cfg(test)]
mod tests;
