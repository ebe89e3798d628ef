//! What a gateway is answered, and what it tells whoever asked it.
//!
//! Whoever may pass does so with the decision's id and its duties in headers that nobody else can have set. Whoever may not is
//! told why in the form of its protocol: an error of JSON-RPC for MCP and A2A, otherwise the object of our own HTTP API.
//!
//! SPEC: COAZ-MCP binding (draft, July 2026): `-32001` for a denial, `-32603` if it could not be decided.

use crate::endpoint::authorization::caller::Caller;
use crate::endpoint::authorization::{Stop, Wanted};
use crate::endpoint::workload::claims::to_struct;
use credence_model::refusal::{Kind, Refusal};
use credence_policy::inquiry::Answer;
use credence_policy::verdict::Verdict;
use credence_wire::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use credence_wire::envoy::service::auth::v3::check_response::HttpResponse;
use credence_wire::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use credence_wire::envoy::r#type::v3::HttpStatus;
use credence_wire::google::rpc;
use http::StatusCode;
use serde_json::{Map, Value, json};
use tonic::Code;

/// Which decisions a request passed by; several of a batch with commas between them.
const DECISION: &str = "credence-decision";
/// What has to happen beside it.
const OBLIGATIONS: &str = "credence-obligations";

/// Codes of JSON-RPC's errors.
const DENIED: i64 = -32001;
const UNDECIDED: i64 = -32603;

/// It may pass.
pub(super) fn passed(caller: &Caller, answers: &[Answer]) -> CheckResponse {
    let decisions: Vec<_> = answers.iter().filter_map(|answer| answer.decision).map(|id| id.to_string()).collect();
    let mut duties: Vec<_> = answers.iter().flat_map(|answer| answer.obligations.clone()).collect();
    duties.sort_unstable();
    duties.dedup();
    let said = [(DECISION, decisions.join(",")), (OBLIGATIONS, duties.join(", "))];
    let (set, removed): (Vec<_>, Vec<_>) = said.into_iter().partition(|(_, value)| !value.is_empty());
    let mut headers_to_remove: Vec<_> = removed.into_iter().map(|(name, _)| name.to_owned()).collect();
    // It says who the caller is to this gateway, and could be used at it by whoever is behind it.
    headers_to_remove.extend(caller.has_token.then(|| "authorization".to_owned()));
    let metadata = json!({
        "decision": decisions.join(","),
        "actor": caller.spiffe_id,
        "class": caller.claims.class,
        "epoch": caller.claims.epoch,
        "obligations": duties,
    });
    let headers = set.into_iter().map(|(name, value)| header(name, &value)).collect();
    CheckResponse {
        status: Some(rpc::Status::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse { headers, headers_to_remove })),
        dynamic_metadata: object(metadata).map(to_struct),
    }
}

/// It may not. `wanted` is what was read of the request.
pub(super) fn stopped(stop: &Stop, is_rpc: bool, wanted: &[Wanted]) -> CheckResponse {
    let (code, status) = codes(stop);
    let body = if is_rpc { rpc_body(stop, wanted) } else { plain_body(stop) };
    let mut headers = vec![header("content-type", "application/json"), header("cache-control", "no-store")];
    if status == StatusCode::UNAUTHORIZED {
        // SPEC: RFC 9110 §15.5.2
        headers.push(header("www-authenticate", "Bearer"));
    }
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(status.as_u16()) }),
        headers,
        body: body.to_string(),
    };
    CheckResponse {
        status: Some(rpc::Status { code: code as i32, message: reason(stop).to_owned() }),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        dynamic_metadata: None,
    }
}

fn codes(stop: &Stop) -> (Code, StatusCode) {
    match stop {
        Stop::Denied(_) | Stop::StepUp(_) => (Code::PermissionDenied, StatusCode::FORBIDDEN),
        Stop::Refused(refusal) => match refusal.kind {
            Kind::Unauthenticated | Kind::Stale => (Code::Unauthenticated, StatusCode::UNAUTHORIZED),
            Kind::Unavailable | Kind::Bug => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Kind::Malformed | Kind::Denied | Kind::NotFound | Kind::Conflict | Kind::Revoked | Kind::Limited => {
                (Code::PermissionDenied, StatusCode::FORBIDDEN)
            }
        },
    }
}

fn reason(stop: &Stop) -> &str {
    match stop {
        Stop::Refused(refusal) => &refusal.message,
        Stop::StepUp(_) => "a person has to confirm this, which cannot be done here",
        Stop::Denied(answers) => {
            let first = answers.iter().find(|answer| !answer.allowed);
            first.and_then(denial).map_or("it is not allowed", |verdict| verdict.why.as_str())
        }
    }
}

/// An error of JSON-RPC for each message that would be answered, or one without an id if nothing could be read.
fn rpc_body(stop: &Stop, wanted: &[Wanted]) -> Value {
    let error = |id: &Value, nth: usize| {
        let (code, message, data) = match stop {
            Stop::Refused(refusal) => (code_of(refusal), refusal.message.clone(), of_refusal(refusal)),
            Stop::Denied(answers) | Stop::StepUp(answers) => {
                let (message, data) = of_answer(stop, answers.get(nth));
                (DENIED, message, data)
            }
        };
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message, "data": data } })
    };
    let with_id = wanted.iter().enumerate().filter_map(|(nth, wanted)| Some((wanted.id.as_ref()?, nth)));
    let errors: Vec<_> = with_id.map(|(id, nth)| error(id, nth)).collect();
    match errors.as_slice() {
        [] => error(&Value::Null, usize::MAX),
        [one] if !wanted.iter().any(|wanted| wanted.is_in_batch) => one.clone(),
        _ => Value::Array(errors),
    }
}

fn plain_body(stop: &Stop) -> Value {
    match stop {
        Stop::Refused(refusal) => json!({ "error": refusal }),
        Stop::Denied(answers) | Stop::StepUp(answers) => {
            let first = answers.iter().find(|answer| !answer.allowed).or(answers.first());
            let (message, data) = of_answer(stop, first);
            let mut error = json!({ "kind": Kind::Denied, "message": message });
            if let (Some(error), Value::Object(data)) = (error.as_object_mut(), data) {
                error.extend(data);
            }
            json!({ "error": error })
        }
    }
}

fn code_of(refusal: &Refusal) -> i64 {
    if matches!(refusal.kind, Kind::Unavailable | Kind::Bug) { UNDECIDED } else { DENIED }
}

fn of_refusal(refusal: &Refusal) -> Value {
    json!({ "kind": refusal.kind, "reason": refusal.message, "hint": refusal.hint })
}

/// What one of several is told: why it was denied, or that it was not done because of another one.
fn of_answer(stop: &Stop, answer: Option<&Answer>) -> (String, Value) {
    let Some(answer) = answer else {
        let reason = reason(stop);
        return (format!("denied: {reason}"), json!({ "reason": reason }));
    };
    let decision = answer.decision.map(|id| id.to_string());
    let needs_person = matches!(stop, Stop::StepUp(_)) && answer.needs_person();
    if answer.allowed && !needs_person {
        let reason = "another call of the batch is denied";
        return (format!("not done: {reason}"), json!({ "decision": decision, "reason": reason }));
    }
    let denial = denial(answer);
    let reason =
        if needs_person { reason(stop) } else { denial.map_or("it is not allowed", |verdict| verdict.why.as_str()) };
    let missing = denial.and_then(|verdict| verdict.missing.as_ref());
    let data = json!({
        "decision": decision,
        "reason": reason,
        "missing": missing.map(|missing| missing.permission.to_string()),
        "who": missing.map(|missing| missing.who.clone()),
    });
    (format!("denied: {reason}"), data)
}

/// The first that denies, and of those with a remedy the first.
fn denial(answer: &Answer) -> Option<&Verdict> {
    let mut denials = answer.verdicts.iter().filter(|verdict| !verdict.allowed);
    let first = denials.clone().next();
    denials.find(|verdict| verdict.missing.is_some()).or(first)
}

/// Instead of whatever is there under this name. A value is printable ASCII.
fn header(name: &str, value: &str) -> HeaderValueOption {
    let value = value.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
    let header = HeaderValue { key: name.to_owned(), value, raw_value: Vec::new() };
    HeaderValueOption { header: Some(header), append: Some(false) }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(members) = value { Some(members) } else { None }
}
