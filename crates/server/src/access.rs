//! The authorization table: every route and every RPC is one row, and the router is built from the rows, so what has no
//! row cannot be reached.
//!
//! INVARIANT: there is no default. A row says who may call it, and [`crate::caller::Standing::require`] is asked before
//! anything of the request but its head is read.

use crate::api;
use crate::app::App;
use crate::caller::{Peer, Shown, Standing};
use crate::input;
use crate::openapi;
use crate::problem::{self, kind_name};
use crate::protocol::node::NodeApi;
use crate::route::{Ask, Route, route};
use crate::who::Who;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::span::{Span, SpanKind};
use credence_telemetry::trace::{self, TraceContext};
use credence_wire::node::node_service_server::NodeServiceServer;
use http::{HeaderMap, HeaderValue, Method};
use std::sync::{Arc, OnceLock};
use tonic::Code;
use tower::ServiceExt as _;
use tracing::Instrument as _;

/// What the caller calls its request: it gets that back (Authorization API 1.0 §10.1.3). Nothing else comes of it.
const REQUEST_ID: &str = "x-request-id";
/// Most of a request's path that stands in its trace, in characters: longer ones name nothing that there is.
const PATH_CHARS_MAX: usize = 256;

/// A row for an RPC.
#[derive(Debug, Clone, Copy)]
pub struct Rpc {
    /// Path of the call (gRPC over HTTP/2: `/package.Service/Method`).
    pub path: &'static str,
    /// Who may call it.
    pub who: Who,
    /// Whether it takes one message and no stream of them.
    pub takes_one: bool,
    /// What it does, in one line.
    pub does: &'static str,
}

/// Every RPC.
pub const RPCS: [Rpc; 4] = [
    Rpc {
        path: "/credence.node.v1.NodeService/Attest",
        who: Who::Anyone,
        takes_one: true,
        does: "lets a new node in, once, for its join token",
    },
    Rpc {
        path: "/credence.node.v1.NodeService/Connect",
        who: Who::Node,
        takes_one: false,
        does: "the one stream of a node",
    },
    Rpc {
        path: "/credence.node.v1.NodeService/PutArchive",
        who: Who::Node,
        takes_one: false,
        does: "stores the state of an actor that is bound to the calling node",
    },
    Rpc {
        path: "/credence.node.v1.NodeService/ReadArchive",
        who: Who::Node,
        takes_one: true,
        does: "reads the state of an actor that is bound to the calling node",
    },
];

/// Every route of the control API.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = api::class::routes();
    routes.extend(api::pool::routes());
    routes.extend(api::guard::routes());
    routes.extend(api::actor::routes());
    routes.extend(api::explanation::routes());
    routes.extend(api::node::routes());
    routes.extend(api::worker::routes());
    routes.extend(api::join_token::routes());
    routes.extend(api::authority::routes());
    routes.extend(api::trust_domain::routes());
    routes.extend(api::verification::routes());
    routes.extend(api::decision::routes());
    routes.extend(api::delegation::routes());
    routes.extend(api::identity_provider::routes());
    routes.extend(api::me::routes());
    routes.extend(api::authzen::routes());
    routes.extend(api::log::routes());
    routes.extend(api::hold::routes());
    routes.extend(api::status::routes());
    routes.extend(api::invariant::routes());
    let does = "describes this API (OpenAPI 3.1)";
    routes.push(route(Method::GET, "/openapi.json", Who::Anyone, does, describe).document(described));
    routes
}

/// The table, for people: one line a row.
pub fn table() -> String {
    let mut table = format!("{:<9} {:<62} {:<15} {}\n", "method", "path", "who", "what");
    let mut line = |method: &str, path: &str, who: Who, does: &str| {
        table.push_str(&format!("{method:<9} {path:<62} {who:<15} {does}\n"));
    };
    routes().iter().for_each(|route| line(route.method.as_str(), route.path, route.who, route.does));
    RPCS.iter().for_each(|rpc| line("gRPC", rpc.path, rpc.who, rpc.does));
    table
}

async fn describe(_: Ask) -> Result<serde_json::Value, Refusal> {
    Ok(openapi_document())
}

/// Written once: anybody may ask for it, as often as they like.
fn described() -> Bytes {
    static WRITTEN: OnceLock<Bytes> = OnceLock::new();
    WRITTEN.get_or_init(|| openapi_document().to_string().into()).clone()
}

/// The OpenAPI document of these rows.
pub fn openapi_document() -> serde_json::Value {
    openapi::document(&routes())
}

/// The service of both listeners.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        router = router.route(route.path, answering(app, route));
    }
    for rpc in RPCS {
        router = router.route(rpc.path, calling(app, rpc));
    }
    router.method_not_allowed_fallback(async || problem::method_not_allowed()).fallback(async || {
        problem::http(Refusal::new(Kind::NotFound, "there is no such path").hint("See /openapi.json"))
    })
}

fn answering(app: &Arc<App>, route: Route) -> MethodRouter {
    let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
    let (app, route) = (Arc::clone(app), Arc::new(route));
    on(filter, move |mut request: http::Request<Body>| {
        let (app, route) = (Arc::clone(&app), Arc::clone(&route));
        let mut part = begin(&app, &route, &request);
        let trace = part.trace();
        let asked_as = request.headers().get(REQUEST_ID).cloned();
        let span = tracing::info_span!("request", id = trace.id(), method = %route.method, path = route.path);
        request.extensions_mut().insert(trace);
        let answer = async move {
            app.meters.requested();
            let answer = route.answer(Arc::clone(&app), request).await;
            part.set("credence.outcome", || answer.as_ref().map_or_else(|refusal| kind_name(refusal.kind), |_| "ok"));
            let mut answer = match answer {
                Ok(answer) => {
                    match route.only_tells {
                        true => tracing::debug!("answered"),
                        false => tracing::info!("answered"),
                    }
                    answer
                }
                Err(refusal) => {
                    app.meters.refused(refusal.kind);
                    match refusal.kind {
                        Kind::Bug => tracing::error!(%refusal, "a request found a bug"),
                        _ => tracing::info!(%refusal, "refused"),
                    }
                    problem::http(refusal)
                }
            };
            part.set("http.response.status_code", || u64::from(answer.status().as_u16()));
            part.fail_if(answer.status().is_server_error());
            tell(answer.headers_mut(), &part);
            asked_as.map(|id| answer.headers_mut().insert(REQUEST_ID, id));
            answer
        };
        answer.instrument(span)
    })
}

/// The part of a request that is answered here.
fn begin(app: &App, route: &Route, request: &http::Request<Body>) -> Span {
    let mut part = app.tracer.begin(said(request), route.path, SpanKind::Server);
    part.rename(|| format!("{} {}", route.method, route.path));
    part.set("http.request.method", || route.method.to_string());
    part.set("http.route", || route.path);
    part.set("url.path", || request.uri().path().chars().take(PATH_CHARS_MAX).collect::<String>());
    part.set("credence.caller", || request.extensions().get().map_or("nobody", Peer::sort));
    part
}

/// Which request its sender says it is. What is recorded costs, so a stranger does not say that it is to be.
fn said(request: &http::Request<Body>) -> Option<TraceContext> {
    let is_known = !matches!(request.extensions().get(), None | Some(Peer::Anonymous));
    TraceContext::said(request.headers()).map(|said| said.sampled(is_known && said.is_sampled()))
}

fn tell(headers: &mut HeaderMap, part: &Span) {
    // A trace is written in letters, digits and dashes, which every header may hold.
    if let Ok(value) = HeaderValue::try_from(part.trace().traceparent()) {
        headers.insert(trace::HEADER, value);
    }
}

fn calling(app: &Arc<App>, rpc: Rpc) -> MethodRouter {
    let service = NodeApi::service(app);
    let app = Arc::clone(app);
    on(MethodFilter::POST, move |request: http::Request<Body>| {
        let (app, service) = (Arc::clone(&app), service.clone());
        let mut part = app.tracer.begin(said(&request), rpc.path.trim_start_matches('/'), SpanKind::Server);
        part.set("rpc.system", || "grpc");
        part.set("credence.caller", || request.extensions().get().map_or("nobody", Peer::sort));
        let span = tracing::info_span!("request", id = part.trace().id(), method = "gRPC", path = rpc.path);
        let answer = async move {
            app.meters.requested();
            let mut answer = match call(&app, rpc, service, request).await {
                Ok(answer) => answer,
                Err(refusal) => {
                    part.set("credence.outcome", || kind_name(refusal.kind));
                    app.meters.refused(refusal.kind);
                    tracing::info!(%refusal, "refused");
                    problem::grpc(&refusal).into_http::<tonic::body::Body>().map(Body::new)
                }
            };
            // An answer without a message says at once how it ended; of a stream it is said at its end, and by its own parts.
            part.fail_if(answer.headers().get("grpc-status").is_some_and(|status| is_fault(status.as_bytes())));
            tell(answer.headers_mut(), &part);
            answer
        };
        answer.instrument(span)
    })
}

/// Whether a call ended in a way that is the server's fault (OpenTelemetry semantic conventions for gRPC, server spans).
fn is_fault(status: &[u8]) -> bool {
    let faults =
        [Code::Unknown, Code::DeadlineExceeded, Code::Unimplemented, Code::Internal, Code::Unavailable, Code::DataLoss];
    faults.contains(&Code::from_bytes(status))
}

async fn call(
    app: &Arc<App>,
    rpc: Rpc,
    service: NodeServiceServer<NodeApi>,
    mut request: http::Request<Body>,
) -> Result<Response, Refusal> {
    let standing: Standing = Shown::by(&request)?.standing(app).await?;
    standing.require(rpc.who)?;
    if rpc.takes_one {
        let (parts, body) = request.into_parts();
        request = http::Request::from_parts(parts, Body::from(input::whole(body, &standing, &app.limits).await?));
    }
    request.extensions_mut().insert(standing);
    match service.oneshot(request).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, said};
    use axum::body::Body;
    use credence_telemetry::trace::HEADER;

    #[test]
    fn a_stranger_is_not_recorded_because_it_says_so() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (peer, is_recorded) in [(Peer::Anonymous, false), (Peer::Local { uid: 0 }, true)] {
            let mut request = http::Request::new(Body::empty());
            request.headers_mut().insert(HEADER, traceparent.parse().expect("a header"));
            request.extensions_mut().insert(peer);
            let said = said(&request).expect("a request");
            assert_eq!(said.id(), "0af7651916cd43dd8448eb211c80319c", "its id stands in the log all the same");
            assert_eq!(said.is_sampled(), is_recorded);
        }
    }
}
