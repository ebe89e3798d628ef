//! Rule: what a document points at exists. A link leads to a file, a path in `backticks` is one of the tree, and
//! `path/file.rs::name` is a function in that file.
//!
//! So the tables of invariants and threats cannot go on naming a test that is gone.

use crate::tidy::{Finding, tree::Tree};

/// Where a path in backticks must begin to be taken for one.
const ROOTS: &[&str] = &[".ci/", "crates/", "docs/", "examples/", "proto/", "xtask/"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let mut in_block = false;
        for (number, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if !in_block {
                let links = links(line).into_iter().filter(|link| !leads_somewhere(tree, directory, link));
                let paths = quoted_paths(line).into_iter().filter(|path| !is_in_tree(tree, path));
                let dead = links.chain(paths).map(|dead| format!("there is no {dead}"));
                findings.extend(dead.map(|what| Finding::new(&file.path, number + 1, what)));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` that are no addresses.
fn links(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.is_empty()).collect()
}

fn leads_somewhere(tree: &Tree, directory: &str, link: &str) -> bool {
    let path = link.split('#').next().unwrap_or(link);
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.is_empty() || is_in_tree(tree, &parts.join("/"))
}

fn quoted_paths(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c));
        plain && ROOTS.iter().any(|root| text.starts_with(root))
    };
    quoted.filter(is_path).collect()
}

fn is_in_tree(tree: &Tree, path: &str) -> bool {
    let (path, function) = path.split_once("::").map_or((path, None), |(path, name)| (path, Some(name)));
    let path = path.trim_end_matches('/');
    let is_below = |below: &str| below.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut meant = tree.files.iter().filter(|file| is_below(&file.path));
    match function {
        None => meant.next().is_some(),
        Some(name) => meant
            .filter_map(|file| file.rust.as_ref())
            .any(|rust| (0..rust.code.len()).any(|index| rust.is_at(index, &["fn", name]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tree = Tree::of(&[("docs/a.md", text), ("docs/adr/b.md", ""), ("crates/x/src/c.rs", "fn d() {}\n")]);
        check(&tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_dead_link_is_caught() {
        assert_eq!(found("see [b](adr/c.md)\n"), ["there is no adr/c.md"]);
        for alive in ["[b](adr/b.md#part)", "[c](../crates/x/)", "[d](https://example.org/x)", "[e](#here)"] {
            assert!(found(alive).is_empty(), "{alive}");
        }
    }

    #[test]
    fn a_path_or_function_that_is_not_there_is_caught() {
        assert_eq!(found("`crates/x/src/e.rs`\n"), ["there is no crates/x/src/e.rs"]);
        assert_eq!(found("`crates/x/src/c.rs::e`\n"), ["there is no crates/x/src/c.rs::e"]);
        for alive in ["`crates/x/src/c.rs::d`", "`crates/x/`", "`crates/<name>/src`", "`docs/adr`", "`cargo test`"] {
            assert!(found(alive).is_empty(), "{alive}");
        }
        assert!(found("```\n`crates/gone`\n```\n").is_empty());
    }
}
