//! Requests to an MCP server over streamable HTTP.
//!
//! | request | question |
//! |---|---|
//! | `tools/call` | `call` on `tool/SERVER/TOOL`; the context is its `arguments` |
//! | `initialize`, `server/discover`, `ping`, `notifications/…`, `tools/list`; GET for the event stream; DELETE of the session | whether the actor may act at all |
//! | any other method | `call` on `mcp/SERVER/METHOD`; the context is its `params` |
//! | an answer to a request of the server | `call` on `mcp/SERVER/response` |
//!
//! SPEC: Model Context Protocol 2025-03-26 to 2026-07-28, streamable HTTP. The headers `Mcp-Method` and `Mcp-Name` (2026-07-28)
//! decide nothing; they have to say what the body says.

use crate::endpoint::authorization::message::{Message, malformed};
use crate::endpoint::authorization::rpc::{self, Call, Said};
use crate::endpoint::authorization::{Wanted, wish};
use credence_model::refusal::Refusal;
use serde_json::{Map, Value};

/// Methods that do nothing.
pub(super) const HARMLESS: [&str; 4] = ["initialize", "server/discover", "ping", "tools/list"];

pub(super) fn ask(server: &str, path: &str, message: &Message<'_>) -> Result<Vec<Wanted>, Refusal> {
    message.is_at(path)?;
    match message.method() {
        "POST" => {}
        "DELETE" => return message.has_no_body().map(|()| vec![Wanted::default()]),
        "GET" if message.header("accept")?.is_some_and(|accept| accept.contains("text/event-stream")) => {
            return message.has_no_body().map(|()| vec![Wanted::default()]);
        }
        _ => return Err(malformed("an MCP server takes POST, GET for text/event-stream, and DELETE")),
    }
    let body = rpc::read(message.json()?)?;
    if let (false, [Said::Call(call)]) = (body.is_batch, body.messages.as_slice()) {
        check_headers(call, message)?;
    }
    body.messages.into_iter().map(|said| wanted(server, said, body.is_batch)).collect()
}

fn wanted(server: &str, said: Said, is_in_batch: bool) -> Result<Wanted, Refusal> {
    let Call { id, method, params } = match said {
        Said::Answer => {
            let wish = wish("mcp", &format!("{server}/response"), Value::Null)?;
            return Ok(Wanted { id: None, wish: Some(wish), is_in_batch });
        }
        Said::Call(call) => call,
    };
    let wish = match method.as_str() {
        "tools/call" => {
            let (tool, arguments) = tool(params)?;
            Some(wish("tool", &format!("{server}/{tool}"), arguments)?)
        }
        method if HARMLESS.contains(&method) => None,
        // What has an id wants an answer, whatever it is called.
        method if method.starts_with("notifications/") && id.is_none() => None,
        method => Some(wish("mcp", &format!("{server}/{method}"), Value::Object(params))?),
    };
    Ok(Wanted { id, wish, is_in_batch })
}

/// The tool that is called, and with what. A name that some readers take for one of these two is none of ours.
fn tool(mut params: Map<String, Value>) -> Result<(String, Value), Refusal> {
    let (name, arguments) = (params.remove("name"), params.remove("arguments"));
    if params.keys().any(|name| matches!(rpc::folded(name).as_str(), "name" | "arguments")) {
        return Err(malformed("a parameter of tools/call differs from name or arguments only in case"));
    }
    let Some(Value::String(name)) = name else { return Err(malformed("tools/call names no tool")) };
    match arguments {
        None | Some(Value::Null) => Ok((name, Value::Null)),
        Some(arguments @ Value::Object(_)) => Ok((name, arguments)),
        Some(_) => Err(malformed("the arguments of a tool are an object")),
    }
}

/// What the headers say of a call, if they do, is what the body says.
fn check_headers(call: &Call, message: &Message<'_>) -> Result<(), Refusal> {
    let is_method = message.header("mcp-method")?.is_none_or(|method| method == call.method);
    let of_tool = (call.method == "tools/call").then(|| call.params.get("name").and_then(Value::as_str)).flatten();
    let said = message.header("mcp-name")?;
    let is_name = said.is_none() || of_tool.is_none() || said == of_tool;
    if is_method && is_name { Ok(()) } else { Err(malformed("Mcp-Method or Mcp-Name is not what the body says")) }
}
