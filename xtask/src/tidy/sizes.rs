//! Rule: files and functions of product code stay small enough to read, and so do the documents that must be read.
//!
//! Lines of a function are counted as clippy's `too_many_lines` counts them: lines of the body with code on them. The
//! one way out is clippy's own, `#[expect(clippy::too_many_lines, reason = "…")]`; tidy lists who took it.

use std::collections::BTreeSet;

use crate::tidy::{
    Finding,
    lexer::Kind,
    tree::{Rust, Tree},
};

const FILE_LIMIT_LINES: usize = 500;
const FUNCTION_LIMIT_LINES: usize = 70;

/// Documents and their limits in lines; a path that ends in `/` means every file under it.
const DOCUMENT_LIMITS_LINES: &[(&str, usize)] = &[("ARCHITECTURE.md", 200), ("docs/adr/", 60)];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in tree.rust().filter(|(_, rust)| !rust.is_test) {
        let lines = tree.files.iter().find(|file| file.path == path).map_or(0, |file| file.text.lines().count());
        let lines = lines.saturating_sub(rust.test_lines());
        if lines > FILE_LIMIT_LINES {
            findings.push(Finding::new(path, 0, format!("{lines} lines without tests, at most {FILE_LIMIT_LINES}")));
        }
        for function in functions(rust).into_iter().filter(|function| function.lines > FUNCTION_LIMIT_LINES) {
            if function.excuse.is_none() {
                let Function { name, lines, .. } = &function;
                let what = format!("function {name} has {lines} lines of code, at most {FUNCTION_LIMIT_LINES}");
                findings.push(Finding::new(path, function.line, what));
            }
        }
    }
    for file in &tree.files {
        let lines = file.text.lines().count();
        let limit = DOCUMENT_LIMITS_LINES.iter().find(|(path, _)| is_meant(path, &file.path));
        if let Some((_, limit)) = limit.filter(|(_, limit)| lines > *limit) {
            findings.push(Finding::new(&file.path, 0, format!("{lines} lines, at most {limit}")));
        }
    }
    findings
}

/// Functions over the limit with an accepted reason, as lines for the developer.
pub(super) fn exceptions(tree: &Tree) -> Vec<String> {
    let of_file = |(path, rust): (&str, &Rust)| {
        let tell = |function: Function| {
            let Function { name, line, lines, excuse } = function;
            excuse.map(|reason| format!("{path}:{line}: function {name} has {lines} lines: {reason}"))
        };
        functions(rust).into_iter().filter_map(tell).collect::<Vec<_>>()
    };
    tree.rust().filter(|(_, rust)| !rust.is_test).flat_map(of_file).collect()
}

fn is_meant(rule: &str, path: &str) -> bool {
    if rule.ends_with('/') { path.starts_with(rule) } else { path == rule }
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
    /// The reason of an `expect` of `too_many_lines` right before it.
    excuse: Option<String>,
}

fn functions(rust: &Rust) -> Vec<Function> {
    let mut functions = Vec::new();
    let mut excuse = None;
    for (index, token) in rust.product_code().filter(|(_, token)| token.kind == Kind::Ident) {
        if token.text == "expect" && rust.is_at(index.wrapping_sub(2), &["#", "["]) {
            excuse = excuse_at(rust, index + 1).or(excuse);
        }
        let is_item = token.text == "fn" && rust.code.get(index + 1).is_some_and(|next| next.kind == Kind::Ident);
        let Some(open) = is_item.then(|| body(rust, index)).flatten() else { continue };
        let inside = rust.code.get(open + 1..rust.closing(open)).unwrap_or_default();
        let lines: BTreeSet<usize> = inside.iter().flat_map(|token| token.line..=token.last_line).collect();
        let name = rust.text(index + 1).to_owned();
        functions.push(Function { name, line: token.line, lines: lines.len(), excuse: excuse.take() });
    }
    functions
}

/// The reason given in the attribute arguments that open at `open`, when they are about long functions.
fn excuse_at(rust: &Rust, open: usize) -> Option<String> {
    let arguments = rust.code.get(open..rust.closing(open))?;
    arguments.iter().find(|token| token.text == "too_many_lines")?;
    let reason = arguments.iter().rfind(|token| token.kind == Kind::Literal)?;
    Some(reason.text.trim_matches('"').to_owned())
}

/// The opening brace of the function whose `fn` is at `index`; `None` for a declaration.
fn body(rust: &Rust, index: usize) -> Option<usize> {
    let mut at = index + 2;
    loop {
        match rust.text(at) {
            "{" => return Some(at),
            ";" | "" => return None,
            "(" | "[" => at = rust.closing(at) + 1,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.what).collect()
    }

    fn function(lines: usize) -> String {
        format!("fn long(x: [u8; 2]) -> u8 {{\n{}}}\n", "    // why\n\n    f();\n".repeat(lines))
    }

    #[test]
    fn a_long_function_is_caught_and_comments_do_not_count() {
        assert!(found("crates/x/src/a.rs", &function(70)).is_empty());
        let told = "function long has 71 lines of code, at most 70";
        assert_eq!(found("crates/x/src/a.rs", &function(71)), [told]);
        assert_eq!(found("crates/x/src/a.rs", &format!("impl A {{\n{}}}\n", function(71))), [told]);
    }

    #[test]
    fn a_long_function_with_a_reason_is_listed_instead() {
        let excused = format!("#[expect(clippy::too_many_lines, reason = \"one table\")]\n{}", function(71));
        assert!(found("crates/x/src/a.rs", &excused).is_empty());
        let tree = Tree::of(&[("crates/x/src/a.rs", &excused)]);
        assert_eq!(exceptions(&tree), ["crates/x/src/a.rs:2: function long has 71 lines: one table"]);
        let second = format!("{excused}{}", function(71));
        assert_eq!(found("crates/x/src/a.rs", &second).len(), 1, "the reason is good for one function");
    }

    #[test]
    fn a_long_file_is_caught_and_its_tests_do_not_count() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(600));
        assert!(found("crates/x/src/a.rs", &format!("{}{tests}", "\n".repeat(500))).is_empty());
        assert_eq!(found("crates/x/src/a.rs", &"\n".repeat(501)), ["501 lines without tests, at most 500"]);
        assert!(found("crates/x/tests/a.rs", &"\n".repeat(501)).is_empty());
        assert!(found("crates/wire/src/generated/a.rs", &"\n".repeat(501)).is_empty());
    }

    #[test]
    fn a_long_document_is_caught() {
        assert_eq!(found("ARCHITECTURE.md", &"a\n".repeat(201)), ["201 lines, at most 200"]);
        assert_eq!(found("docs/adr/0001-x.md", &"a\n".repeat(61)), ["61 lines, at most 60"]);
        assert!(found("docs/glossary.md", &"a\n".repeat(400)).is_empty());
    }
}
