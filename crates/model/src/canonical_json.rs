//! Canonical JSON: keys sorted by their UTF-8 bytes, no spaces. The model has no floats, so this is RFC 8785 for
//! everything it writes.

use serde::Serialize;
use serde_json::Value;

/// Writes `value` canonically.
pub fn write<T: Serialize>(value: &T) -> String {
    // Model types serialise to JSON without fail: string keys, integers, no maps with other keys.
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    let mut out = String::new();
    push(&mut out, &value);
    out
}

fn push(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                push_comma(out, index);
                out.push_str(&Value::String(key.clone()).to_string());
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
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn push_comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}
