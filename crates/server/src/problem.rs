//! How a refusal leaves the process: one table from its kind to a status of HTTP and of gRPC.
//!
//! INVARIANT: this is the only module of the server that chooses a status code for a refusal.

use axum::body::Body;
use credence_model::refusal::{Kind, Refusal};
use credence_wire::node as wire;
use http::{HeaderValue, Response, StatusCode, header};
use prost::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::Code;

/// The body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What was wrong, where, and what to do.
    pub error: Refusal,
}

/// Every kind, in the order of the table.
pub const KINDS: [Kind; 10] = [
    Kind::Malformed,
    Kind::Unauthenticated,
    Kind::Denied,
    Kind::NotFound,
    Kind::Conflict,
    Kind::Stale,
    Kind::Revoked,
    Kind::Limited,
    Kind::Unavailable,
    Kind::Bug,
];

/// A credential, session or epoch that is over authenticates nobody, hence 401 for `stale`.
fn codes(kind: Kind) -> (StatusCode, Code) {
    match kind {
        Kind::Malformed => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
        Kind::Denied => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Kind::NotFound => (StatusCode::NOT_FOUND, Code::NotFound),
        Kind::Conflict => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Kind::Stale => (StatusCode::UNAUTHORIZED, Code::Aborted),
        Kind::Revoked => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Kind::Limited => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Kind::Bug => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
    }
}

/// The kind as the API writes it.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Malformed => "malformed",
        Kind::Unauthenticated => "unauthenticated",
        Kind::Denied => "denied",
        Kind::NotFound => "not_found",
        Kind::Conflict => "conflict",
        Kind::Stale => "stale",
        Kind::Revoked => "revoked",
        Kind::Limited => "limited",
        Kind::Unavailable => "unavailable",
        Kind::Bug => "bug",
    }
}

/// The refusal as an HTTP answer.
pub(crate) fn http(refusal: Refusal) -> Response<Body> {
    with_status(codes(refusal.kind).0, refusal)
}

/// No route has this method here: the one answer whose status does not follow from its kind (RFC 9110 §15.5.6).
pub(crate) fn method_not_allowed() -> Response<Body> {
    let refusal = Refusal::new(Kind::Malformed, "this path does not have that method").hint("See /openapi.json");
    with_status(StatusCode::METHOD_NOT_ALLOWED, refusal)
}

fn with_status(status: StatusCode, refusal: Refusal) -> Response<Body> {
    let retry_after_ms = refusal.retry_after_ms;
    let body = serde_json::to_vec(&Problem { error: refusal }).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(ms) = retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    response
}

/// The refusal as a gRPC status; its details are the protocol's own `Refused` message.
pub(crate) fn grpc(refusal: &Refusal) -> tonic::Status {
    let details = refused(refusal).encode_to_vec();
    tonic::Status::with_details(codes(refusal.kind).1, refusal.to_string(), details.into())
}

/// The refusal as a message of the node protocol.
pub(crate) fn refused(refusal: &Refusal) -> wire::Refused {
    wire::Refused {
        kind: kind_name(refusal.kind).to_owned(),
        message: refusal.message.clone(),
        field: refusal.field.clone().unwrap_or_default(),
        hint: refusal.hint.clone().unwrap_or_default(),
        retry_after_ms: refusal.retry_after_ms.unwrap_or_default(),
    }
}

/// A refusal that a node sent back.
pub(crate) fn from_refused(refused: wire::Refused) -> Refusal {
    let kind = KINDS.into_iter().find(|kind| kind_name(*kind) == refused.kind).unwrap_or(Kind::Unavailable);
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Refusal {
        kind,
        message: refused.message,
        field: some(refused.field),
        hint: some(refused.hint),
        retry_after_ms: Some(refused.retry_after_ms).filter(|ms| *ms > 0),
    }
}

/// The table for people.
pub fn table() -> String {
    let mut table = String::from("kind             HTTP  gRPC\n");
    for kind in KINDS {
        let (status, code) = codes(kind);
        table.push_str(&format!("{:<16} {:<5} {code:?}\n", kind_name(kind), status.as_u16()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{KINDS, from_refused, http, kind_name, refused};
    use credence_model::refusal::{Kind, Refusal};

    #[test]
    fn the_name_of_a_kind_is_the_one_that_its_type_serialises_to() {
        for kind in KINDS {
            assert_eq!(serde_json::to_value(kind).expect("a kind is text"), kind_name(kind));
        }
    }

    #[test]
    fn a_refusal_survives_the_way_over_the_node_protocol() {
        let refusal = Refusal::new(Kind::Unavailable, "busy").field("a").hint("wait").retry_after_ms(1500);
        assert_eq!(from_refused(refused(&refusal)), refusal);
    }

    #[test]
    fn when_to_retry_stands_in_the_header_in_whole_seconds_rounded_up() {
        let response = http(Refusal::new(Kind::Unavailable, "busy").retry_after_ms(1001));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
