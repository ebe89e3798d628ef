//! What a request at a gateway comes to, by what the gateway's own configuration says of the route: `context_extensions`, which
//! no client can set.
//!
//! | key | says |
//! |---|---|
//! | `mapping` | `mcp`, `a2a` or `http` |
//! | `server` | of `mcp`: the name of the server, the first segment of its tools' names |
//! | `agent` | of `a2a`: `NAMESPACE/CLASS` of who is called |
//! | `service` | of `http`: the name of the service, the first segment of its resources' names |
//! | `kind` | of `http`: the kind of its resources; `http` if missing |
//! | `action.GET` and so on | of `http`: the action that a method is; the method in small letters if missing |
//! | `path` | of `mcp` and `a2a`: where it is served; `/mcp` and `/` if missing |
//! | `step-up` | `upstream`: a person confirms each use there |
//!
//! Any other key, or value, is a mistake, and nothing passes.

use crate::endpoint::authorization::message::Message;
use crate::endpoint::authorization::{Wanted, a2a, mcp, web};
use credence_model::id::ClassRef;
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::{Kind, Refusal};
use std::collections::{BTreeMap, HashMap};

/// What the configuration says of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) mapping: Mapping,
    /// Whether a person confirms each use behind the gateway.
    pub(super) steps_up: bool,
}

/// How a request becomes a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mapping {
    /// An MCP server over streamable HTTP.
    Mcp { server: String, path: String },
    /// An agent that speaks A2A over JSON-RPC.
    A2a { agent: String, path: String },
    /// Any other service.
    Http { service: String, kind: Name, actions: BTreeMap<String, String> },
}

type Extensions = HashMap<String, String>;

/// Whether answers of this route are JSON-RPC's. It is asked before anything else is known to be right.
pub(super) fn is_rpc(extensions: &Extensions) -> bool {
    matches!(extensions.get("mapping").map(String::as_str), Some("mcp" | "a2a"))
}

impl Route {
    /// Reads what a route says. A mistake is the gateway's, so nothing can be decided.
    pub(super) fn read(extensions: &Extensions) -> Result<Self, Refusal> {
        let said = |key: &str| extensions.get(key).map(String::as_str);
        let (mapping, known): (_, &[&str]) = match said("mapping") {
            Some("mcp") => {
                let server = one_segment("tool", "server", said("server"))?;
                (Mapping::Mcp { server, path: path(said("path"), "/mcp")? }, &["server", "path"])
            }
            Some("a2a") => {
                let agent = said("agent").filter(|agent| agent.parse::<ClassRef>().is_ok());
                let agent = agent.ok_or_else(|| mistake("agent", "it names a class, NAMESPACE/CLASS"))?.to_owned();
                (Mapping::A2a { agent, path: path(said("path"), "/")? }, &["agent", "path"])
            }
            Some("http") => {
                let kind = said("kind").unwrap_or("http");
                let service = one_segment(kind, "service", said("service"))?;
                let kind = name("kind", kind)?;
                (Mapping::Http { service, kind, actions: actions(extensions)? }, &["service", "kind"])
            }
            _ => return Err(mistake("mapping", "it is mcp, a2a or http")),
        };
        let is_http = matches!(mapping, Mapping::Http { .. });
        let is_known = |key: &str| {
            matches!(key, "mapping" | "step-up") || known.contains(&key) || (is_http && key.starts_with("action."))
        };
        if let Some(key) = extensions.keys().find(|key| !is_known(key)) {
            return Err(mistake(key, "there is no such key for this mapping"));
        }
        let steps_up = match said("step-up") {
            None => false,
            Some("upstream") => true,
            Some(_) => return Err(mistake("step-up", "it can only be upstream")),
        };
        Ok(Self { mapping, steps_up })
    }

    /// What a request wants; nothing that could be denied if it is empty or says so.
    pub(super) fn ask(&self, message: &Message<'_>) -> Result<Vec<Wanted>, Refusal> {
        message.is_itself()?;
        match &self.mapping {
            Mapping::Mcp { server, path } => mcp::ask(server, path, message),
            Mapping::A2a { agent, path } => a2a::ask(agent, path, message),
            Mapping::Http { service, kind, actions } => web::ask((kind, service), actions, message),
        }
    }
}

fn mistake(key: &str, why: &str) -> Refusal {
    let shown: String = key.chars().take(40).collect();
    let message = format!("this route cannot be decided, because its context extension {shown:?} is wrong: {why}");
    Refusal::new(Kind::Unavailable, message).hint("docs/envoy.md says what a route has to say")
}

fn name(key: &str, text: &str) -> Result<Name, Refusal> {
    Name::parse(text).map_err(|error| mistake(key, &error.to_string()))
}

/// A name that is the first segment of resources' names.
fn one_segment(kind: &str, key: &str, text: Option<&str>) -> Result<String, Refusal> {
    let text = text.ok_or_else(|| mistake(key, "it is missing"))?;
    let resource = Resource::new(name("kind", kind)?, text).map_err(|error| mistake(key, &error.to_string()))?;
    if text.contains('/') { Err(mistake(key, "it is one segment")) } else { Ok(resource.id().to_owned()) }
}

fn path(text: Option<&str>, usual: &str) -> Result<String, Refusal> {
    let path = text.unwrap_or(usual);
    let is_plain =
        path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte));
    if is_plain {
        Ok(path.to_owned())
    } else {
        Err(mistake("path", "it begins with / and has no query and no escapes"))
    }
}

fn actions(extensions: &Extensions) -> Result<BTreeMap<String, String>, Refusal> {
    let said = extensions.iter().filter_map(|(key, action)| Some((key, key.strip_prefix("action.")?, action)));
    said.map(|(key, method, action)| {
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_method {
            return Err(mistake(key, "methods are in capital letters"));
        }
        Ok((method.to_owned(), name(key, action)?.as_str().to_owned()))
    })
    .collect()
}
