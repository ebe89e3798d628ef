//! Requests to an agent that speaks A2A over JSON-RPC: `call` on `agent/NAMESPACE/CLASS`, with `method` in the context. Its card
//! needs only an actor that may act at all.
//!
//! SPEC: Agent2Agent 0.3 and 1.0, JSON-RPC binding, agent card. Over gRPC or plain HTTP, use the mapping `http`.

use crate::endpoint::authorization::message::{Message, malformed};
use crate::endpoint::authorization::rpc::{self, Said};
use crate::endpoint::authorization::{Wanted, wish};
use credence_model::refusal::Refusal;
use serde_json::json;

/// Where agents say what they are.
const CARD: &str = "/.well-known/agent-card.json";

pub(super) fn ask(agent: &str, path: &str, message: &Message<'_>) -> Result<Vec<Wanted>, Refusal> {
    if message.method() == "GET" {
        message.is_at(CARD)?;
        message.has_no_body()?;
        return Ok(vec![Wanted::default()]);
    }
    message.is_at(path)?;
    if message.method() != "POST" {
        return Err(malformed("an agent takes POST, and GET for its card"));
    }
    let body = rpc::read(message.json()?)?;
    let wanted = |said| match said {
        Said::Answer => Err(malformed("an agent asks nothing that could be answered")),
        Said::Call(call) => {
            let wish = wish("agent", agent, json!({ "method": call.method }))?;
            Ok(Wanted { id: call.id, wish: Some(wish), is_in_batch: body.is_batch })
        }
    };
    body.messages.into_iter().map(wanted).collect()
}
