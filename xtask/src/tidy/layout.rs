//! Rule: where things are. `foo.rs` beside `foo/`, no build scripts, no features, and a reason for every dependency.

use toml::Table;

use crate::tidy::{Finding, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        match file.path.rsplit('/').next().unwrap_or_default() {
            "mod.rs" => {
                findings.push(Finding::new(&file.path, 0, "name the file after its module, foo.rs beside foo/"))
            }
            "build.rs" => findings.push(Finding::new(&file.path, 0, "no build scripts: generate with cargo xtask gen")),
            "Cargo.toml" => findings.extend(check_manifest(&file.path, &file.text)),
            _ => {}
        }
    }
    findings
}

fn check_manifest(path: &str, text: &str) -> Vec<Finding> {
    let manifest: Table = text.parse().unwrap_or_default();
    let mut findings = unexplained_dependencies(path, text);
    if manifest.contains_key("features") {
        findings.push(Finding::new(path, 0, "no Cargo features of our own: what is built is what was tested"));
    }
    findings
}

/// A workspace dependency is explained by a comment on its line, or by one that heads its block of lines.
fn unexplained_dependencies(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut in_table, mut in_explained_block) = (false, false);
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            in_table = line == "[workspace.dependencies]";
        }
        if line.is_empty() || line.starts_with('#') {
            in_explained_block = !line.is_empty();
            continue;
        }
        let Some((name, rest)) = line.split_once('=').filter(|_| in_table) else { continue };
        if !in_explained_block && !rest.contains('#') && !name.starts_with("credence-") {
            findings.push(Finding::new(path, number + 1, format!("say in a comment what {} is for", name.trim())));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn misplaced_files_are_caught() {
        for path in ["crates/x/src/a/mod.rs", "crates/x/build.rs"] {
            assert_eq!(found(path, ""), [0], "{path}");
        }
        assert!(found("crates/x/src/model.rs", "").is_empty());
    }

    #[test]
    fn features_of_our_own_are_caught() {
        assert_eq!(found("crates/x/Cargo.toml", "[features]\na = []\n"), [0]);
        assert!(
            found("crates/x/Cargo.toml", "[dependencies]\na = { version = \"1\", features = [\"b\"] }\n").is_empty()
        );
    }

    #[test]
    fn a_dependency_without_a_reason_is_caught() {
        let text =
            "[workspace.dependencies]\na = \"1\"\nb = \"1\" # why\n\n# Why both.\nc = \"1\"\nd = \"1\"\n\ne = \"1\"\n";
        assert_eq!(found("Cargo.toml", text), [2, 9]);
    }
}
