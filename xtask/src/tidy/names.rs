//! Rule: names that say nothing are not given.

use crate::tidy::{Finding, lexer::Kind, tree::Tree};

/// Endings of type names, in any crate.
const EMPTY_TYPE_ENDINGS: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils"];
const EMPTY_MODULES: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

/// Its modules are named as the packages of protocols are.
const PACKAGES: &str = "crates/wire/src/lib.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in tree.rust() {
        for (index, token) in rust.code.iter().enumerate().filter(|(_, token)| token.kind == Kind::Ident) {
            let name = rust.text(index + 1);
            let complaint = match token.text.as_str() {
                "fn" if name.starts_with("get_") => "say what it returns, without get_",
                "struct" | "enum" | "trait" | "type" if EMPTY_TYPE_ENDINGS.iter().any(|end| name.ends_with(end)) => {
                    "name it after what it does"
                }
                "mod" if EMPTY_MODULES.contains(&name) && path != PACKAGES => "name it after what is in it",
                _ => continue,
            };
            findings.push(Finding::new(path, token.line, format!("{} {name}: {complaint}", token.text)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_caught() {
        for text in ["fn get_name() {}", "struct KeyManager;", "mod util;", "trait TimeHelper {}"] {
            assert_eq!(check(&Tree::of(&[("crates/x/src/a.rs", text)])).len(), 1, "{text}");
        }
        for text in ["fn name() {}", "fn f() { map.get_mut(1) }", "struct Manageress;", "// mod util\n"] {
            assert!(check(&Tree::of(&[("crates/x/src/a.rs", text)])).is_empty(), "{text}");
        }
    }
}
