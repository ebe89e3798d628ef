//! Rule: no glob imports outside tests. A reader finds every name where it comes from.
//!
//! The one exception needs no waiver: `use super::*` in a test module, which is test code anyway.

use crate::tidy::{
    Finding,
    lexer::Kind,
    tree::{Rust, Tree},
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let globs = tree.rust().flat_map(|(path, rust)| {
        let of_use = move |start| {
            use_paths(rust, start)
                .into_iter()
                .filter(|used| used.segments.last().is_some_and(|last| last == "*"))
                .map(move |used| Finding::new(path, used.line, format!("glob import {}", used.segments.join("::"))))
        };
        uses(rust).into_iter().flat_map(of_use)
    });
    globs.collect()
}

/// One path of a `use` declaration, braces spread out.
#[derive(Clone, Debug)]
pub(super) struct UsePath {
    /// Without a leading `::`; a glob ends in `*`.
    pub(super) segments: Vec<String>,
    /// The name it gets here.
    pub(super) name: String,
    pub(super) line: usize,
}

/// The indices of the `use` keywords outside test code.
pub(super) fn uses(rust: &Rust) -> Vec<usize> {
    let is_use = |(_, token): &(usize, &crate::tidy::lexer::Token)| token.kind == Kind::Ident && token.text == "use";
    // `impl Trait + use<'a>` captures, it does not import.
    rust.product_code().filter(is_use).map(|(index, _)| index).filter(|index| rust.text(index + 1) != "<").collect()
}

/// The paths of the `use` declaration at `start`.
pub(super) fn use_paths(rust: &Rust, start: usize) -> Vec<UsePath> {
    let mut paths = Vec::new();
    spread(rust, start + 1, &[], &mut paths);
    paths
}

/// Reads one use tree from `at` under `prefix`; answers the index after it.
fn spread(rust: &Rust, mut at: usize, prefix: &[String], paths: &mut Vec<UsePath>) -> usize {
    let mut segments = prefix.to_vec();
    loop {
        let text = rust.text(at);
        match text {
            "::" => at += 1,
            "{" => {
                let end = rust.closing(at);
                at += 1;
                while at < end {
                    at = spread(rust, at, &segments, paths);
                    at += usize::from(rust.text(at) == ",");
                }
                return end + 1;
            }
            "as" => {
                push(rust, at, segments, Some(rust.text(at + 1)), paths);
                return at + 2;
            }
            "" | "," | ";" | "}" => {
                push(rust, at, segments, None, paths);
                // Text that is no use tree must not stop us here for ever.
                return if text.is_empty() { usize::MAX } else { at };
            }
            segment => {
                segments.push(segment.to_owned());
                at += 1;
            }
        }
    }
}

fn push(rust: &Rust, at: usize, mut segments: Vec<String>, alias: Option<&str>, paths: &mut Vec<UsePath>) {
    if segments.last().is_some_and(|last| last == "self") && segments.len() > 1 {
        segments.pop();
    }
    let line = at.checked_sub(1).and_then(|before| rust.code.get(before)).map_or(0, |token| token.line);
    let name = alias.map(str::to_owned).or_else(|| segments.last().cloned()).unwrap_or_default();
    paths.push(UsePath { segments, name, line });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        check(&Tree::of(&[("crates/x/src/a.rs", text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_glob_import_is_caught_in_every_shape() {
        assert_eq!(found("use a::*;\n"), [1]);
        assert_eq!(found("use a::{\n    b,\n    c::*,\n};\n"), [3]);
        assert_eq!(found("pub use super::*;\n"), [1]);
        assert_eq!(found("fn f() {\n    use E::*;\n}\n"), [2]);
    }

    #[test]
    fn ordinary_imports_products_and_tests_are_left_alone() {
        assert_eq!(found("use a::{b, c as d, e::{self, f}};\nfn f(x: u8) -> u8 { x * 2 }\n"), [0_usize; 0]);
        assert_eq!(found("#[cfg(test)]\nmod tests {\n    use super::*;\n}\n"), [0_usize; 0]);
        assert_eq!(found("fn f<'a>(x: &'a u8) -> impl Fn() + use<'a> { move || drop(x) }\n"), [0_usize; 0]);
    }

    #[test]
    fn braces_are_spread_out() {
        let tree = Tree::of(&[("crates/x/src/a.rs", "use a::{b, c as d, e::{self, f}, *};")]);
        let (_, rust) = tree.rust().next().unwrap();
        let paths: Vec<_> = use_paths(rust, 0).into_iter().map(|p| (p.segments.join("::"), p.name)).collect();
        let expected = [("a::b", "b"), ("a::c", "d"), ("a::e", "e"), ("a::e::f", "f"), ("a::*", "*")];
        assert_eq!(paths, expected.map(|(path, name)| (path.to_owned(), name.to_owned())));
    }

    #[test]
    fn an_unfinished_import_ends_quietly() {
        for text in ["use", "use a::{b", "use a::{b,", "use {"] {
            found(text);
        }
    }
}
