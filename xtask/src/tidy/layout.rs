//! Rule: where things are. `foo.rs` beside `foo/`, no build scripts, no features, one test program per crate, and a
//! reason for every dependency.

use toml::{Table, Value};

use crate::tidy::{
    Finding,
    tree::{File, Tree},
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if file.path.ends_with("/mod.rs") {
            findings.push(Finding::new(&file.path, 0, "name the file after its module, foo.rs beside foo/"));
        }
        if let Some(package) = file.path.strip_suffix("Cargo.toml") {
            findings.extend(check_package(tree, package, file));
        }
    }
    findings
}

fn check_package(tree: &Tree, directory: &str, manifest: &File) -> Vec<Finding> {
    let path = manifest.path.as_str();
    let table: Table = manifest.text.parse().unwrap_or_default();
    let setting = |name| table.get("package").and_then(|package| package.get(name)).and_then(Value::as_bool);
    let mut findings = unexplained_dependencies(path, &manifest.text);
    let build_script = format!("{directory}build.rs");
    if tree.files.iter().any(|file| file.path == build_script) {
        findings.push(Finding::new(&build_script, 0, "no build scripts: generate with cargo xtask gen"));
    }
    if table.contains_key("features") {
        findings.push(Finding::new(path, 0, "no Cargo features of our own: what is built is what was tested"));
    }
    let tests = format!("{directory}tests/");
    let is_program =
        |file: &&File| file.path.strip_prefix(&tests).is_some_and(|name| name.ends_with(".rs") && !name.contains('/'));
    let programs = tree.files.iter().filter(is_program).count();
    if programs > 1 && setting("autotests") != Some(false) {
        let what = format!("{programs} test programs: make them modules of one, every program is linked anew");
        findings.push(Finding::new(path, 0, what));
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
    fn a_misplaced_module_is_caught() {
        assert_eq!(found("crates/x/src/a/mod.rs", ""), [0]);
        assert!(found("crates/x/src/model.rs", "").is_empty());
    }

    #[test]
    fn a_build_script_is_caught_and_a_module_of_that_name_is_not() {
        let tree = Tree::of(&[("crates/x/Cargo.toml", ""), ("crates/x/build.rs", ""), ("crates/x/src/build.rs", "")]);
        let paths: Vec<_> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/x/build.rs"]);
    }

    #[test]
    fn a_second_test_program_is_caught_unless_the_manifest_lists_them() {
        let tests = [("crates/x/tests/a.rs", ""), ("crates/x/tests/b.rs", ""), ("crates/x/tests/b/c.rs", "")];
        for (manifest, expected) in [("[package]\n", 1), ("[package]\nautotests = false\n", 0)] {
            let files: Vec<_> = tests.into_iter().chain([("crates/x/Cargo.toml", manifest)]).collect();
            assert_eq!(check(&Tree::of(&files)).len(), expected);
        }
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
