//! How a refusal is said over gRPC and over HTTP: one table each.

use bytes::Bytes;
use credence_model::refusal::{Kind, Refusal};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tonic::body::Body;
use tonic::{Code, Status};

// SPEC: SPIFFE Workload Endpoint §6, Appendix A (E-07)
fn code(kind: Kind) -> Code {
    match kind {
        Kind::Malformed => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Denied | Kind::Stale | Kind::Revoked => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::FailedPrecondition,
        Kind::Limited => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Bug => Code::Internal,
    }
}

fn http_status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Denied | Kind::Stale | Kind::Revoked => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Limited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refusal as a gRPC status.
pub(super) fn grpc(refusal: &Refusal) -> Status {
    let hint = refusal.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    Status::new(code(refusal.kind), format!("{}{hint}", refusal.message))
}

/// A refusal as an HTTP answer.
pub(super) fn http(refusal: &Refusal) -> Response<Body> {
    let error = json!({ "error": { "kind": refusal.kind, "message": refusal.message, "hint": refusal.hint } });
    json_answer(http_status(refusal.kind), &error)
}

/// An HTTP answer in JSON that nobody may keep.
pub(super) fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(value.to_string()))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
