//! Rule: dependencies between our crates point one way, and the model stays pure.
//!
//! The table is the drawing in ARCHITECTURE.md. Only `[dependencies]` count: tests may know everything.

use toml::{Table, Value};

use crate::tidy::{Finding, tree::Tree};

/// Package, and the packages of ours it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("credence-model", &[]),
    ("credence-wire", &[]),
    // Tells collectors in their protocol.
    ("credence-telemetry", &["wire"]),
    ("credence-manifest", &["model"]),
    ("credence-policy", &["model"]),
    ("credence-journal", &["model"]),
    ("credence-credential", &["model"]),
    ("credence-attest", &["credential", "model"]),
    ("credence-issuer", &["credential", "model"]),
    ("credence-control", &["journal", "issuer", "attest", "credential", "model", "telemetry"]),
    // Measures what is below it.
    ("credence-bench", &["control", "journal", "issuer", "credential", "policy", "model"]),
    // The journal only to open it and hand it to the cell; the fences name the one file that may.
    (
        "credence-server",
        &["control", "journal", "issuer", "attest", "credential", "policy", "model", "telemetry", "wire"],
    ),
    // The policy, because it decides about the actors that it holds.
    ("credence-node", &["attest", "credential", "policy", "model", "telemetry", "wire"]),
    (
        "credence",
        &[
            "bench",
            "server",
            "node",
            "control",
            "journal",
            "issuer",
            "attest",
            "credential",
            "manifest",
            "policy",
            "model",
            "telemetry",
            "wire",
        ],
    ),
    // What a user of the product would write: only what they may link.
    ("credence-examples", &["credential", "model"]),
    // Fakes, the simulator, black-box suites: above everything, below nothing.
    (
        "credence-testkit",
        &[
            "server",
            "node",
            "control",
            "journal",
            "issuer",
            "attest",
            "credential",
            "manifest",
            "policy",
            "model",
            "telemetry",
            "wire",
        ],
    ),
    // What libFuzzer needs around the functions of the testkit.
    ("credence-fuzz", &["testkit"]),
    ("xtask", &[]),
];

/// What the model may not link: IO, async, clocks, randomness, logging, native code.
const IMPURE: &[&str] = &[
    "aws-lc-rs",
    "axum",
    "getrandom",
    "hyper",
    "jiff",
    "rand",
    "reqwest",
    "rustix",
    "rustls",
    "tempfile",
    "tokio",
    "tonic",
    "tracing",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests.flat_map(|file| check_manifest(&file.path, &file.text)).collect()
}

fn check_manifest(path: &str, text: &str) -> Vec<Finding> {
    let Ok(manifest) = text.parse::<Table>() else {
        return vec![Finding::new(path, 0, "not a TOML file")];
    };
    let package = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let Some(package) = package else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package) else {
        return vec![Finding::new(
            path,
            0,
            format!("{package} has no row in the table of layers (xtask tidy/layers.rs)"),
        )];
    };

    let mut findings = Vec::new();
    for dependency in dependencies(&manifest) {
        let ours = dependency.strip_prefix("credence-").or((dependency == "credence").then_some("cli"));
        if ours.is_some_and(|name| !allowed.contains(&name)) {
            findings.push(Finding::new(path, 0, format!("{package} must not depend on {dependency}")));
        }
        if package == "credence-model" && IMPURE.contains(&dependency) {
            findings.push(Finding::new(path, 0, format!("the model is pure and must not depend on {dependency}")));
        }
    }
    findings
}

/// Names under `[dependencies]` and `[target.….dependencies]`.
fn dependencies(manifest: &Table) -> Vec<&str> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = targets.filter_map(|target| target.get("dependencies")).chain(manifest.get("dependencies"));
    tables.filter_map(Value::as_table).flat_map(Table::keys).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(package: &str, dependencies: &str, findings: &[&str]) {
        let manifest = format!("[package]\nname = \"{package}\"\n{dependencies}\n");
        let tree = Tree::of(&[("crates/x/Cargo.toml", &manifest)]);
        assert_eq!(check(&tree).into_iter().map(|finding| finding.what).collect::<Vec<_>>(), findings);
    }

    #[test]
    fn a_dependency_against_the_direction_is_caught() {
        let against = "credence-node must not depend on credence-control";
        expect("credence-node", "[dependencies]\ncredence-control.workspace = true", &[against]);
        let target = "[target.'cfg(unix)'.dependencies]\ncredence-control.workspace = true";
        expect("credence-node", target, &[against]);
        expect("credence-server", "[dependencies]\ncredence = {}", &["credence-server must not depend on credence"]);
    }

    #[test]
    fn an_impure_dependency_of_the_model_is_caught() {
        expect("credence-model", "[dependencies]\ntokio = \"1\"", &["the model is pure and must not depend on tokio"]);
    }

    #[test]
    fn a_package_nobody_placed_is_caught() {
        expect("credence-new", "", &["credence-new has no row in the table of layers (xtask tidy/layers.rs)"]);
    }

    #[test]
    fn the_right_direction_and_tests_are_free() {
        expect("credence-control", "[dependencies]\ncredence-model.workspace = true\ntokio = \"1\"", &[]);
        expect("credence-node", "[dev-dependencies]\ncredence-control.workspace = true", &[]);
    }
}
