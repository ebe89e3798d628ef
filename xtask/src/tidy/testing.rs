//! Rule: tests are never ignored and never sleep. A test waits for the event it is about.

use crate::tidy::{
    Finding,
    tree::{Rust, Tree},
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in tree.rust() {
        for (index, token) in rust.code.iter().enumerate() {
            if token.text == "ignore" && in_attribute(rust, index) {
                findings.push(Finding::new(path, token.line, "no ignored tests: mend it or delete it"));
            }
            if rust.is_test_code(index) && is_sleep(rust, index) {
                findings.push(Finding::new(path, token.line, "no sleeping in tests: wait for the event"));
            }
        }
    }
    findings
}

/// `#[ignore…]`, or within `#[cfg_attr(…)]`.
fn in_attribute(rust: &Rust, index: usize) -> bool {
    let directly = rust.is_at(index.wrapping_sub(2), &["#", "["]);
    let start = (0..index).rev().take(40).find(|at| rust.is_at(*at, &["#", "[", "cfg_attr"]));
    directly || start.is_some_and(|start| rust.closing(start + 1) > index)
}

/// A call of `sleep(…)` or of `….sleep_until(…)` by any path, or its import.
fn is_sleep(rust: &Rust, index: usize) -> bool {
    let is_name = matches!(rust.text(index), "sleep" | "sleep_until" | "sleep_ms");
    is_name && rust.text(index.wrapping_sub(1)) != "fn" && matches!(rust.text(index + 1), "(" | ";" | "," | "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn an_ignored_test_is_caught() {
        for attribute in ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(unix, ignore)]"] {
            assert_eq!(
                found("crates/x/tests/a.rs", &format!("#[test]\n{attribute}\nfn f() {{}}\n")),
                [2],
                "{attribute}"
            );
        }
        assert!(found("crates/x/tests/a.rs", "fn f(ignore: bool) -> bool { ignore }\n").is_empty());
    }

    #[test]
    fn a_sleeping_test_is_caught_and_product_code_is_not() {
        for call in ["std::thread::sleep(d);", "tokio::time::sleep(d).await;", "sleep(d);", "use std::thread::sleep;"] {
            let test = format!("#[cfg(test)]\nmod tests {{\n    fn f() {{ {call} }}\n}}\n");
            assert_eq!(found("crates/x/src/a.rs", &test), [3], "{call}");
            assert!(found("crates/x/src/a.rs", &format!("fn f() {{ {call} }}\n")).is_empty(), "{call}");
        }
        assert!(found("crates/x/tests/a.rs", "const PROGRAM: &str = \"sleep(1)\";\n").is_empty());
    }
}
