//! The world that policies speak of, as a schema of Cedar.
//!
//! ```text
//! entity Namespace;
//! entity Class in [Namespace];
//! entity Actor in [Class] tags String;                            the labels of the actor
//! entity Resource = { kind: String, name: String } tags String;   what is known of the resource
//! action call, use, connect, spawn, … appliesTo { principal: Actor, resource: Resource, context };
//! ```
//!
//! What a request says is optional, so that Cedar insists on `has`. Only the time is always there.

use credence_model::class::permissions::AttributeType;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The minutes of the day, in UTC.
pub(super) const TIME: &str = "time";
/// The day of the week, in UTC.
pub(super) const DAY: &str = "day";
/// Actions that policies may name without more ado.
const ACTIONS: [&str; 4] = ["call", "use", "connect", "spawn"];

/// The schema as JSON, in Cedar's form.
pub(super) fn schema(attributes: &BTreeMap<String, AttributeType>, actions: &BTreeSet<&str>) -> Value {
    let text = || json!({ "type": "String" });
    let mut context = Map::new();
    for (name, declared) in attributes {
        let mut kind = kind(*declared);
        if let Value::Object(kind) = &mut kind {
            kind.insert("required".to_owned(), Value::Bool(false));
        }
        context.insert(name.clone(), kind);
    }
    context.insert(TIME.to_owned(), json!({ "type": "Long" }));
    context.insert(DAY.to_owned(), text());

    let action = json!({ "appliesTo": {
        "principalTypes": ["Actor"],
        "resourceTypes": ["Resource"],
        "context": { "type": "Record", "attributes": context },
    }});
    let names = ACTIONS.iter().chain(actions).copied().collect::<BTreeSet<_>>();
    let actions: Map<_, _> = names.into_iter().map(|name| (name.to_owned(), action.clone())).collect();
    let resource = json!({ "type": "Record", "attributes": { "kind": text(), "name": text() } });
    json!({ "": {
        "entityTypes": {
            "Namespace": {},
            "Class": { "memberOfTypes": ["Namespace"] },
            "Actor": { "memberOfTypes": ["Class"], "tags": text() },
            "Resource": { "shape": resource, "tags": text() },
        },
        "actions": actions,
    }})
}

fn kind(declared: AttributeType) -> Value {
    match declared {
        AttributeType::Integer => json!({ "type": "Long" }),
        AttributeType::Decimal => json!({ "type": "Extension", "name": "decimal" }),
        AttributeType::String => json!({ "type": "String" }),
        AttributeType::Boolean => json!({ "type": "Boolean" }),
        AttributeType::Strings => json!({ "type": "Set", "element": { "type": "String" } }),
    }
}
