//! Canonical JSON: keys sorted by their UTF-8 bytes, no spaces. The model has no floats, so this is RFC 8785 for
//! everything it writes.

use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Writes `value` canonically.
pub fn write<T: Serialize>(value: &T) -> String {
    // Model types serialise to JSON without fail: string keys, integers, no maps with other keys.
    write_value(&serde_json::to_value(value).unwrap_or(Value::Null))
}

/// The same of JSON that is there already.
pub fn write_value(value: &Value) -> String {
    let mut out = String::new();
    push(&mut out, value);
    out
}

/// The same, behind what is written there already.
pub fn push(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                push_comma(out, index);
                push_text(out, key);
                out.push(':');
                push(out, member);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                push_comma(out, index);
                push(out, item);
            }
            out.push(']');
        }
        Value::String(text) => push_text(out, text),
        // Writing to a string does not fail.
        scalar => drop(write!(out, "{scalar}")),
    }
}

fn push_text(out: &mut String, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        // As `serde_json` writes it: nothing else is escaped.
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

fn push_comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}
