//! Requests to any other service over HTTP: the method, or what it is said to be, on `KIND/SERVICE/PATH`, with the query in the
//! context as `query.NAME`.
//!
//! What a service could read in another way than we do is refused: escapes, empty and dot segments, a parameter that is there
//! twice, headers that say another method or path (threat T11).

use crate::endpoint::authorization::message::{Message, malformed};
use crate::endpoint::authorization::{Wanted, rpc, wish};
use credence_model::permission::target::Name;
use credence_model::refusal::Refusal;
use credence_policy::inquiry::Wish;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Most parameters of a query.
const PARAMETERS_MAX: usize = 64;

pub(super) fn ask(
    (kind, service): (&Name, &str),
    actions: &BTreeMap<String, String>,
    message: &Message<'_>,
) -> Result<Vec<Wanted>, Refusal> {
    let (path, query) = message.target();
    let id = match path {
        "/" => service.to_owned(),
        path if path.starts_with('/') => format!("{service}{path}"),
        _ => return Err(malformed("the path does not begin with /")),
    };
    let method = message.method();
    if !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(malformed("the method is not in capital letters"));
    }
    let action = actions.get(method).cloned().unwrap_or_else(|| method.to_ascii_lowercase());
    let action = Name::parse(&action)?.as_str().to_owned();
    let context = query.map(parameters).transpose()?.map_or(Value::Null, |query| json!({ "query": query }));
    let wish = Wish { action, ..wish(kind.as_str(), &id, context)? };
    Ok(vec![Wanted { id: None, wish: Some(wish), is_in_batch: false }])
}

fn parameters(query: &str) -> Result<Map<String, Value>, Refusal> {
    let (mut said, mut names) = (Map::new(), BTreeSet::new());
    if query.is_empty() {
        return Ok(said);
    }
    for (count, pair) in query.split('&').enumerate() {
        if count >= PARAMETERS_MAX {
            return Err(malformed(format!("a query has at most {PARAMETERS_MAX} parameters")));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~');
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(malformed("the name of a parameter is made of letters, digits and - _ . ~"));
        }
        let value =
            decoded(value).ok_or_else(|| malformed(format!("the parameter {name} cannot be read in one way")))?;
        if !names.insert(rpc::folded(name)) {
            return Err(malformed(format!("the parameter {name} is there twice")));
        }
        said.insert(name.to_owned(), Value::String(value));
    }
    Ok(said)
}

/// Undoes form encoding (WHATWG URL §5.1). `;` parts parameters for some, and `#` ends the query; neither is read here.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b';' | b'#' => return None,
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}
