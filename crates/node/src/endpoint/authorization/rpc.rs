//! JSON-RPC 2.0 as MCP and A2A use it, read so that whoever reads it after us finds the same in it.
//!
//! A member that appears twice is refused, and so are two members of one object whose names differ only in case: there are
//! readers that take the one for the other, and the last of them (threat T12). So is what JSON-RPC does not know.

use crate::endpoint::authorization::message::malformed;
use credence_credential::strict_json;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::limit::Limit;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Most messages of one batch.
pub const BATCH_MAX: usize = 32;
/// A batch has more.
pub(crate) static BATCH: Limit =
    Limit::new("gateway_batch", BATCH_MAX as u64, "messages of a batch at a gateway", "refused: limited");

/// What one body holds.
#[derive(Debug, PartialEq)]
pub(super) struct Body {
    pub(super) is_batch: bool,
    pub(super) messages: Vec<Said>,
}

/// One message.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// A request, or a notification without an id.
    Call(Call),
    /// The client's answer to a request of the server.
    Answer,
}

/// A request or a notification.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Map<String, Value>,
}

// SPEC: JSON-RPC 2.0 §4, §5, §6
pub(super) fn read(body: &[u8]) -> Result<Body, Refusal> {
    let value = strict_json::parse(body).map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    check_alike(&value)?;
    let (is_batch, values) = match value {
        Value::Array(values) if values.is_empty() => return Err(malformed("the batch is empty")),
        Value::Array(values) if values.len() > BATCH_MAX => {
            BATCH.hit();
            return Err(Refusal::new(Kind::Limited, format!("a batch has at most {BATCH_MAX} messages")));
        }
        Value::Array(values) => (true, values),
        value => (false, vec![value]),
    };
    let messages = values.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
    Ok(Body { is_batch, messages })
}

fn message(value: Value) -> Result<Said, Refusal> {
    let Value::Object(mut members) = value else { return Err(malformed("a message of JSON-RPC is an object")) };
    if members.remove("jsonrpc") != Some(Value::from("2.0")) {
        return Err(malformed("a message of JSON-RPC says \"jsonrpc\": \"2.0\""));
    }
    let id = members.remove("id");
    if !matches!(id, None | Some(Value::String(_) | Value::Number(_))) {
        return Err(malformed("the id of a message is a text or a number"));
    }
    let Some(method) = members.remove("method") else { return answer(id, members) };
    let Value::String(method) = method else { return Err(malformed("the method of a message is a text")) };
    let params = match members.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(malformed("the parameters of a message are an object")),
    };
    nothing_more(&members)?;
    Ok(Said::Call(Call { id, method, params }))
}

fn answer(id: Option<Value>, mut members: Map<String, Value>) -> Result<Said, Refusal> {
    let said = [members.remove("result"), members.remove("error")];
    if id.is_none() || said.iter().flatten().count() != 1 {
        return Err(malformed("a message of JSON-RPC is a call, or an answer with an id"));
    }
    nothing_more(&members)?;
    Ok(Said::Answer)
}

fn nothing_more(members: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(name) = members.keys().next() else { return Ok(()) };
    let shown: String = name.chars().take(40).collect();
    Err(malformed(format!("a message of JSON-RPC has no member {shown:?}")))
}

/// Refuses members of one object that some readers take for the same.
fn check_alike(value: &Value) -> Result<(), Refusal> {
    match value {
        Value::Array(items) => items.iter().try_for_each(check_alike),
        Value::Object(members) => {
            let names: BTreeSet<_> = members.keys().map(|name| folded(name)).collect();
            if names.len() < members.len() {
                return Err(malformed("two members of an object differ only in case"));
            }
            members.values().try_for_each(check_alike)
        }
        _ => Ok(()),
    }
}

/// Upwards and then downwards, so that letters of which only one has a partner meet, such as `K` and the sign for kelvin.
pub(super) fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}
