//! What the server promises on paper: who may call what, how refusals are told, and the OpenAPI document.
//!
//! `CREDENCE_GOLDEN=accept` takes a change over; `git diff` then shows what is promised anew.

use crate::house::{House, Reply};
use credence_server::{access, problem};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

#[expect(clippy::disallowed_methods, reason = "a test may be told to accept what it sees")]
fn check(name: &str, text: &str) {
    let path = Path::new(CRATE).join("tests/golden").join(name);
    let text = format!("{}\n", text.trim_end());
    if std::env::var("CREDENCE_GOLDEN").is_ok_and(|value| value == "accept") {
        std::fs::write(&path, &text).expect("the golden file is written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{name} differs; CREDENCE_GOLDEN=accept takes this over:\n{text}");
}

/// A row of the access table: method, path, who.
struct Row {
    method: String,
    path: String,
    who: String,
}

fn rows() -> Vec<Row> {
    let table = access::table();
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        let (method, path) = (columns.next().unwrap().to_owned(), columns.next().unwrap().to_owned());
        let who = ["anyone", "live workloads", "users", "nodes", "administrators"];
        let rest = columns.collect::<Vec<_>>().join(" ");
        let who = who.into_iter().find(|who| rest.starts_with(who)).unwrap_or_else(|| panic!("{line}: who?"));
        Row { method, path, who: who.to_owned() }
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn the_access_table_is_the_one_that_was_reviewed() {
    check("access.txt", &access::table());
}

#[test]
fn the_problem_table_is_the_one_that_was_reviewed() {
    check("problem.txt", &problem::table());
}

#[test]
fn the_openapi_document_is_the_one_that_was_reviewed() {
    check("openapi.json", &serde_json::to_string_pretty(&access::openapi_document()).unwrap());
}

#[test]
fn every_rpc_of_the_protocol_has_a_row() {
    let proto = std::fs::read_to_string(Path::new(CRATE).join("../../proto/node.proto")).unwrap();
    let name = |line: &str| Some(line.trim().strip_prefix("rpc ")?.split('(').next()?.to_owned());
    let declared: BTreeSet<_> =
        proto.lines().filter_map(name).map(|rpc| format!("/credence.node.v1.NodeService/{rpc}")).collect();
    let listed: BTreeSet<_> = rows().into_iter().filter(|row| row.method == "gRPC").map(|row| row.path).collect();
    assert!(declared.len() >= 4);
    assert_eq!(declared, listed);
}

/// The router is built from the rows. What could still be forgotten is a module whose rows nobody collects, or a route
/// that is added to the router by hand.
#[test]
fn every_route_that_is_written_somewhere_has_a_row() {
    let listed: BTreeSet<_> = rows().into_iter().map(|row| row.path).collect();
    let mut written = 0;
    let mut waiting = vec![Path::new(CRATE).join("src/api")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for route in text.split('"').filter(|text| text.starts_with("/v1/") || text.starts_with("/access/")) {
            assert!(listed.contains(route), "{}: {route} has no row", path.display());
            written += 1;
        }
    }
    assert!(written > 20, "{written}");
    let access = std::fs::read_to_string(Path::new(CRATE).join("src/access.rs")).unwrap();
    assert_eq!(access.matches(".route(").count(), 2, "one for the routes and one for the RPCs");
    for file in ["start.rs", "app.rs", "listen.rs", "listen/connection.rs", "route.rs", "protocol/node.rs"] {
        let text = std::fs::read_to_string(Path::new(CRATE).join("src").join(file)).unwrap();
        for way in [".route(", ".nest(", ".merge(", "Router::new"] {
            assert!(!text.contains(way), "{file}: {way} goes around the table");
        }
    }
}

#[test]
fn the_openapi_document_holds_exactly_the_routes_of_the_table() {
    let document = access::openapi_document();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert((method.to_uppercase(), path.clone(), operation["x-credence-who"].to_string()));
        }
    }
    let rows = rows().into_iter().filter(|row| row.method != "gRPC");
    assert_eq!(described, rows.map(|row| (row.method, row.path, format!("{:?}", row.who))).collect());
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn nobody_reaches_more_than_the_table_says_without_a_client_certificate() {
    let house = House::open().await;
    let anonymous = house.anonymous();
    let before = house.last_index().await;
    for row in rows().iter().filter(|row| row.method != "gRPC") {
        let path = row.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let Reply { status, body, .. } = anonymous.send(&row.method, &path, &[], b"").await;
        if row.who == "anyone" {
            assert_eq!(status, 200, "{path}: {body}");
        } else {
            assert_eq!((status, &body["error"]["kind"]), (401, &Value::from("unauthenticated")), "{path}: {body}");
        }
    }
    assert_eq!(house.last_index().await, before);
    house.close().await;
}

#[tokio::test]
async fn an_administrator_who_shows_a_token_that_is_no_good_reaches_nothing() {
    let house = House::open().await;
    let (admin, before) = (house.admin(), house.last_index().await);
    for row in rows().iter().filter(|row| row.method != "gRPC") {
        let path = row.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for shown in ["Bearer a.b.c", "Basic YWRhOmFkYQ==", "Bearer"] {
            let Reply { status, body, .. } = admin.send(&row.method, &path, &[("authorization", shown)], b"").await;
            assert_eq!((status, &body["error"]["kind"]), (401, &Value::from("unauthenticated")), "{path}: {body}");
        }
    }
    assert_eq!(house.last_index().await, before);
    house.close().await;
}
