//! The checkout as the rules see it: every text file git knows or would take, Rust files as tokens.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::{
    step::{self, Outcome},
    tidy::lexer::{self, Kind, Token},
};

pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

pub(crate) struct File {
    /// From the root of the checkout, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Present for Rust source, generated or not.
    pub(crate) rust: Option<Rust>,
}

pub(crate) struct Rust {
    /// Without comments.
    pub(crate) code: Vec<Token>,
    pub(crate) comments: Vec<Token>,
    /// The whole file is test code: by its place, or because its `mod` line is under `#[cfg(test)]`.
    pub(crate) is_test: bool,
    /// Index ranges of `code` under `#[cfg(test)]`.
    test_ranges: Vec<std::ops::Range<usize>>,
}

/// A comment that waives one rule at one place.
pub(crate) struct Waiver {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: String,
    pub(crate) reason: String,
    pub(crate) used: bool,
}

impl Waiver {
    pub(crate) fn covers(&self, rule: &str, path: &str, line: usize) -> bool {
        self.rule == rule && self.path == path && (self.line == line || self.line + 1 == line)
    }
}

/// Longest text file looked at; larger ones are recorded data.
const TEXT_LIMIT_BYTES: usize = 1 << 20;

impl Tree {
    pub(crate) fn load(root: &Path) -> Outcome<Self> {
        let mut git = Command::new("git");
        git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listing = step::output(&mut git)?;
        let paths: BTreeSet<&str> = listing.split('\0').filter(|path| !path.is_empty()).collect();
        // A path may be listed but deleted, and a file may be data: both are no text to judge.
        let read = |path: &&str| Some(((*path).to_owned(), fs::read_to_string(root.join(path)).ok()?));
        let texts = paths.iter().filter_map(read).filter(|(_, text)| text.len() <= TEXT_LIMIT_BYTES);
        Ok(Self::from_texts(texts.collect()))
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::from_texts(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    fn from_texts(texts: Vec<(String, String)>) -> Self {
        let mut files: Vec<File> = texts
            .into_iter()
            .map(|(path, text)| {
                let rust = path.ends_with(".rs").then(|| Rust::new(&path, &text));
                File { path, text, rust }
            })
            .collect();
        let test_modules: Vec<String> = files.iter().flat_map(test_modules_of).collect();
        for file in &mut files {
            let File { path, rust: Some(rust), .. } = file else { continue };
            rust.is_test |= test_modules
                .iter()
                .any(|module| path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')));
        }
        Self { files }
    }

    /// Rust files that people wrote.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &Rust)> {
        self.files
            .iter()
            .filter(|file| !is_generated(&file.path))
            .filter_map(|file| Some((file.path.as_str(), file.rust.as_ref()?)))
    }

    pub(crate) fn waivers(&self) -> Vec<Waiver> {
        let of_file = |(path, rust): (&str, &Rust)| {
            let of_comment = |comment: &Token| {
                let (rule, reason) = comment.text.strip_prefix("// TIDY: ")?.split_once(": ")?;
                let (path, rule, reason) = (path.to_owned(), rule.to_owned(), reason.trim().to_owned());
                Some(Waiver { path, line: comment.line, rule, reason, used: false })
            };
            rust.comments.iter().filter_map(of_comment).collect::<Vec<_>>()
        };
        self.rust().flat_map(of_file).collect()
    }
}

impl Rust {
    fn new(path: &str, text: &str) -> Self {
        let (comments, code): (Vec<_>, Vec<_>) =
            lexer::tokens(text).into_iter().partition(|token| token.kind == Kind::Comment);
        let test_ranges = test_ranges(&code);
        Self { code, comments, is_test: is_test_path(path), test_ranges }
    }

    pub(crate) fn is_test_code(&self, index: usize) -> bool {
        self.is_test || self.test_ranges.iter().any(|range| range.contains(&index))
    }

    /// The tokens outside test code, with their indices into `code`.
    pub(crate) fn product_code(&self) -> impl Iterator<Item = (usize, &Token)> {
        self.code.iter().enumerate().filter(|(index, _)| !self.is_test_code(*index))
    }

    /// How many lines of the file are test code.
    pub(crate) fn test_lines(&self) -> usize {
        let lines = |range: &std::ops::Range<usize>| {
            let tokens = self.code.get(range.clone()).unwrap_or_default();
            tokens.first().zip(tokens.last()).map_or(0, |(first, last)| last.last_line - first.line + 1)
        };
        self.test_ranges.iter().map(lines).sum()
    }

    pub(crate) fn text(&self, index: usize) -> &str {
        self.code.get(index).map_or("", |token| token.text.as_str())
    }

    /// Whether the tokens from `index` on are `pattern`.
    pub(crate) fn is_at(&self, index: usize, pattern: &[&str]) -> bool {
        is_at(&self.code, index, pattern)
    }

    /// The index of the bracket that closes the one at `open`; the end of the file when none does.
    pub(crate) fn closing(&self, open: usize) -> usize {
        closing(&self.code, open)
    }
}

pub(crate) fn is_generated(path: &str) -> bool {
    path.contains("/generated/")
}

/// Code that exists to test: test and bench directories, and the crate of test doubles.
pub(crate) fn is_test_path(path: &str) -> bool {
    let directory = |name| path.split('/').any(|part| part == name);
    directory("tests") || directory("benches") || path.ends_with("/tests.rs") || path.starts_with("crates/testkit/")
}

fn is_at(code: &[Token], index: usize, pattern: &[&str]) -> bool {
    pattern.iter().enumerate().all(|(offset, text)| code.get(index + offset).is_some_and(|token| token.text == *text))
}

fn closing(code: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in code.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" if token.kind == Kind::Punct => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Punct => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    code.len()
}

/// The first index after the item that starts at `index`: after its `;` or its braces.
fn end_of_item(code: &[Token], mut index: usize) -> usize {
    while let Some(token) = code.get(index) {
        match token.text.as_str() {
            ";" => return index + 1,
            "{" => return closing(code, index) + 1,
            "(" | "[" => index = closing(code, index),
            _ => {}
        }
        index += 1;
    }
    code.len()
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn test_ranges(code: &[Token]) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for start in (0..code.len()).filter(|index| is_at(code, *index, &CFG_TEST)) {
        if ranges.last().is_some_and(|range| range.contains(&start)) {
            continue;
        }
        let mut item = start + CFG_TEST.len();
        while is_at(code, item, &["#", "["]) {
            item = closing(code, item + 1) + 1;
        }
        ranges.push(start..end_of_item(code, item).min(code.len()));
    }
    ranges
}

/// The files named by `#[cfg(test)] mod name;`, without `.rs`.
fn test_modules_of(file: &File) -> Vec<String> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let directory = match file.path.rsplit_once('/') {
        Some((directory, "lib.rs" | "main.rs")) => directory.to_owned(),
        _ => file.path.trim_end_matches(".rs").to_owned(),
    };
    let name_of = |range: &std::ops::Range<usize>| {
        let at = range.clone().find(|index| rust.text(*index) == "mod")?;
        (rust.text(at + 2) == ";").then(|| format!("{directory}/{}", rust.text(at + 1)))
    };
    rust.test_ranges.iter().filter_map(name_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_code_is_recognised_by_attribute_and_by_place() {
        let inline = "fn a() {}\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let tree = Tree::of(&[
            ("crates/x/src/inline.rs", inline),
            ("crates/x/src/outside.rs", "#[cfg(test)]\nmod proofs;\nfn d() {}\n"),
            ("crates/x/src/outside/proofs.rs", "fn e() {}"),
            ("crates/x/src/outside/other.rs", "fn f() {}"),
            ("crates/x/tests/suite.rs", "fn g() {}"),
        ]);
        let functions: Vec<&str> = tree
            .rust()
            .flat_map(|(_, rust)| {
                rust.product_code().filter(|(_, token)| token.text == "fn").map(|(index, _)| rust.text(index + 1))
            })
            .collect();
        assert_eq!(functions, ["a", "c", "d", "f"]);
    }

    #[test]
    fn the_lines_of_test_modules_are_counted() {
        let tree = Tree::of(&[("crates/x/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n\n}\n")]);
        assert_eq!(tree.rust().map(|(_, rust)| rust.test_lines()).sum::<usize>(), 4);
    }
}
