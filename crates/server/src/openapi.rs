//! The OpenAPI 3.1 document, made from the rows of the authorization table and the handlers' own types.

use crate::problem::Problem;
use crate::route::{Route, Shapes};
use http::Method;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The whole document.
pub(crate) fn document(routes: &[Route]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Credence control API",
            "version": "v1",
            "description": "Times are milliseconds since the Unix epoch. `x-credence-who` says who may call an operation.",
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    });
    // Whether members of JSON keep their order is for whatever else is linked to say.
    document.sort_all_objects();
    document
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let Shapes { query, body, answer } = (route.shapes)(generator);
    let mut parameters: Vec<_> = path_parameters(route.path).collect();
    parameters.extend(query_parameters(&query));
    if matches!(route.method, Method::PUT | Method::POST | Method::DELETE) {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
            "description": "A retry with the same key gets the first answer.",
        }));
    }
    let problem = generator.subschema_for::<Problem>();
    let mut operation = json!({
        "summary": route.does,
        "x-credence-who": route.who.to_string(),
        "parameters": parameters,
        "responses": {
            "200": { "description": "Done.", "content": { "application/json": { "schema": answer } } },
            "default": { "description": "Refused.", "content": { "application/json": { "schema": problem } } },
        },
    });
    if let (Some(body), Some(operation)) = (body, operation.as_object_mut()) {
        operation.insert("requestBody".into(), json!({ "content": { "application/json": { "schema": body } } }));
    }
    operation
}

fn path_parameters(path: &str) -> impl Iterator<Item = Value> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
}

fn query_parameters(query: &schemars::Schema) -> Vec<Value> {
    let required = query.get("required").and_then(Value::as_array);
    let properties: BTreeMap<_, _> = query.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
    let parameter = |(name, schema): (&String, &Value)| {
        let required = required.is_some_and(|names| names.iter().any(|found| found == name));
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({ "name": name, "in": "query", "required": required, "schema": schema, "description": description })
    };
    properties.into_iter().map(parameter).collect()
}
