//! What a gateway asks about: requests as its clients sent them.

use super::refused_alike;
use credence_model::permission::target::{Name, Resource};
use credence_node::endpoint::authorization::{BATCH_MAX, BODY_BYTES_MAX, Wanted, read};
use credence_wire::envoy::service::auth::v3::AttributeContext;
use credence_wire::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use prost::Message as _;
use serde_json::Value;
use std::collections::HashMap;

/// The first byte says which: a whole question in protobuf, a body for an MCP server or an agent, or the target of a request. What
/// is accepted names one resource for each message, and an ordinary reader of JSON finds the same in it.
pub fn gateway(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let attributes = match kind % 4 {
        0 => AttributeContext::decode(bytes).unwrap_or_default(),
        1 => asked(&[("mapping", "mcp"), ("server", "expenses")], body("/mcp", bytes)),
        2 => asked(&[("mapping", "a2a"), ("agent", "finance/clerk")], body("/", bytes)),
        _ => asked(&[("mapping", "http"), ("service", "reports")], target(bytes)),
    };
    match read(&attributes) {
        Ok(wanted) => {
            assert_eq!(read(&attributes).as_ref(), Ok(&wanted), "read twice");
            check(&wanted);
            if kind % 4 == 1 {
                check_body(bytes, &wanted);
            }
        }
        Err(refusal) => refused_alike(&refusal, read(&attributes).expect_err("accepted the second time")),
    }
}

fn asked(route: &[(&str, &str)], http: HttpRequest) -> AttributeContext {
    let context_extensions = route.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    AttributeContext { source: None, request: Some(Request { http: Some(http) }), context_extensions }
}

fn body(path: &str, bytes: &[u8]) -> HttpRequest {
    let headers = [("content-type", "application/json"), ("x-envoy-auth-partial-body", "false")];
    let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let (method, path) = ("POST".to_owned(), path.to_owned());
    HttpRequest { method, path, headers, raw_body: bytes.to_vec(), ..HttpRequest::default() }
}

fn target(bytes: &[u8]) -> HttpRequest {
    let path = String::from_utf8_lossy(bytes).into_owned();
    HttpRequest { method: "GET".to_owned(), path, ..HttpRequest::default() }
}

fn check(wanted: &[Wanted]) {
    assert!((1..=BATCH_MAX).contains(&wanted.len()), "{} messages", wanted.len());
    for wish in wanted.iter().filter_map(|wanted| wanted.wish.as_ref()) {
        assert!(Name::parse(&wish.action).is_ok(), "{}", wish.action);
        let resource = Name::parse(&wish.kind).and_then(|kind| Resource::new(kind, &wish.id));
        assert!(resource.is_ok(), "{}/{}", wish.kind, wish.id);
    }
}

/// A reader that takes the last of two members, and does not look at what it does not know, finds the same tools.
fn check_body(bytes: &[u8], wanted: &[Wanted]) {
    assert!(bytes.len() <= BODY_BYTES_MAX, "{} bytes", bytes.len());
    let read: Value = serde_json::from_slice(bytes).expect("it is JSON for others, too");
    let messages = match read {
        Value::Array(messages) => messages,
        message => vec![message],
    };
    assert_eq!(messages.len(), wanted.len());
    for (message, wanted) in messages.iter().zip(wanted) {
        let tool = (message["method"] == "tools/call")
            .then(|| format!("expenses/{}", message["params"]["name"].as_str().unwrap_or_default()));
        let asked = wanted.wish.as_ref().filter(|wish| wish.kind == "tool").map(|wish| wish.id.clone());
        assert_eq!(tool, asked, "{message}");
        assert_eq!(
            message.get("id"),
            wanted.id.as_ref().or(message.get("id").filter(|_| message.get("method").is_none()))
        );
    }
}
