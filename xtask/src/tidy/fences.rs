//! Rule: some words may be said only in some crates. The model knows neither time nor IO; status codes are known only
//! where a protocol ends; the server opens the journal and otherwise asks the cell; collectors are told in one place.

use crate::tidy::{
    Finding,
    tree::{Rust, Tree, is_test_path},
};

/// What no product code of the model says. A pattern is a run of tokens.
const BANNED_IN_MODEL: &[&[&str]] = &[
    &["async"],
    &["await"],
    &["std", "::", "env"],
    &["std", "::", "fs"],
    &["std", "::", "io"],
    &["std", "::", "net"],
    &["std", "::", "process"],
    &["std", "::", "thread"],
    &["SystemTime"],
    &["Instant"],
    &["rand"],
    &["tracing"],
    &["println"],
    &["eprintln"],
];

/// The names of transport verdicts.
const STATUS_CODES: &[&[&str]] = &[&["StatusCode"], &["tonic", "::", "Code"], &["tonic", "::", "Status"]];

/// Where status codes are known: the two ends of every protocol, and HTTP clients.
const STATUS_CODE_CRATES: &[&str] = &["server", "node", "cli", "wire", "telemetry"];

/// The one crate that speaks to collectors; the other one is their protocol.
const OTLP_CRATES: &[&str] = &["telemetry", "wire"];

/// The server's composition, where the journal is opened and given away.
const SERVER_START: [&str; 2] = ["src/start", "src/backup"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in tree.rust() {
        let Some((name, inside)) = path.strip_prefix("crates/").and_then(|rest| rest.split_once('/')) else { continue };
        if !inside.starts_with("src/") || is_test_path(path) {
            continue;
        }
        if name == "model" {
            said(path, rust, BANNED_IN_MODEL, "the model does not know", &mut findings);
        }
        if name == "server" && !SERVER_START.iter().any(|start| inside.starts_with(start)) {
            said(
                path,
                rust,
                &[&["credence_journal"]],
                "only the start of the server and its backups know",
                &mut findings,
            );
        }
        if !OTLP_CRATES.contains(&name) {
            said(path, rust, &[&["opentelemetry"]], "only telemetry knows", &mut findings);
        }
        if !STATUS_CODE_CRATES.contains(&name) {
            said(path, rust, STATUS_CODES, "only the ends of a protocol know", &mut findings);
        }
    }
    findings
}

fn said(path: &str, rust: &Rust, patterns: &[&[&str]], why: &str, findings: &mut Vec<Finding>) {
    for (index, token) in rust.product_code() {
        for pattern in patterns.iter().filter(|pattern| rust.is_at(index, pattern)) {
            findings.push(Finding::new(path, token.line, format!("{why} {}", pattern.concat())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn io_time_and_randomness_in_the_model_are_caught() {
        for (text, what) in [
            ("async fn f() {}", "async"),
            ("use std::fs::File;", "std::fs"),
            ("fn f() { std::net::lookup() }", "std::net"),
            ("fn f(t: SystemTime) {}", "SystemTime"),
            ("use std::time::Instant;", "Instant"),
            ("fn f() -> u8 { rand::random() }", "rand"),
            ("fn f() { tracing::info!() }", "tracing"),
        ] {
            assert_eq!(found("crates/model/src/a.rs", text), [format!("the model does not know {what}")], "{text}");
            assert!(found("crates/node/src/a.rs", text).is_empty(), "{text} is allowed elsewhere");
        }
    }

    #[test]
    fn the_words_are_free_in_comments_strings_and_tests() {
        let text = "// no async, no SystemTime\nconst A: &str = \"async std::fs\";\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert!(found("crates/model/src/a.rs", text).is_empty());
    }

    #[test]
    fn a_status_code_away_from_a_protocol_is_caught() {
        for text in ["fn f() -> StatusCode {}", "fn f() { tonic::Code::Ok }"] {
            assert_eq!(found("crates/control/src/a.rs", text).len(), 1, "{text}");
            assert!(found("crates/server/src/a.rs", text).is_empty());
        }
    }

    #[test]
    fn a_collectors_protocol_away_from_telemetry_is_caught() {
        let text = "use credence_wire::opentelemetry::trace::v1::Span;";
        assert_eq!(found("crates/server/src/access.rs", text), ["only telemetry knows opentelemetry"]);
        assert!(found("crates/telemetry/src/otlp.rs", text).is_empty());
    }

    #[test]
    fn the_journal_behind_the_cells_back_is_caught() {
        let text = "use credence_journal::FileJournal;";
        assert_eq!(
            found("crates/server/src/api/log.rs", text),
            ["only the start of the server and its backups know credence_journal"]
        );
        assert!(found("crates/server/src/start.rs", text).is_empty());
        assert!(found("crates/control/src/cell.rs", text).is_empty());
    }
}
