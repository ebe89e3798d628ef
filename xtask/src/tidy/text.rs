//! Rule: clean text. No trailing blanks, a newline at the end, no notes to self, no paths of somebody's machine.

use crate::tidy::{
    Finding,
    lexer::Kind,
    tree::{File, Tree, is_generated},
};

/// Notes that were meant to go away. An open question belongs into an issue.
const NOTES: &[&str] = &["TODO", "FIXME", "XXX"];

/// Macros that were meant to go away.
const MACROS: &[&str] = &["dbg", "todo", "unimplemented"];

/// How a path on a developer's machine begins. In two parts, so that this file passes its own rule.
const DEVELOPER_PATHS: &[(&str, &str)] = &[("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/"), ("/wo", "rk/")];

/// Texts written by others, kept to the letter.
const VERBATIM: &[&str] = &["LICENSE", "Cargo.lock", "fuzz/Cargo.lock"];

/// Bytes for parsers: their blanks and missing ends of lines are the point.
const CORPORA: &str = "fuzz/corpus/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let is_verbatim = |path: &str| VERBATIM.contains(&path) || path.starts_with(CORPORA);
    let ours = tree.files.iter().filter(|file| !is_verbatim(&file.path) && !is_generated(&file.path));
    ours.flat_map(|file| [blanks(file), notes(file), developer_paths(file)].into_iter().flatten()).collect()
}

fn blanks(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(Finding::new(&file.path, number + 1, "blanks at the end of the line"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::new(&file.path, 0, "no newline at the end"));
    }
    findings
}

fn notes(file: &File) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let mut findings = Vec::new();
    for comment in &rust.comments {
        let mut words = comment.text.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(note) = words.find(|word| NOTES.contains(word)) {
            findings.push(Finding::new(&file.path, comment.line, format!("{note}: do it, or file an issue")));
        }
    }
    for (index, token) in rust.code.iter().enumerate() {
        if token.kind == Kind::Ident && MACROS.contains(&token.text.as_str()) && rust.is_at(index + 1, &["!", "("]) {
            findings.push(Finding::new(&file.path, token.line, format!("{}! is for drafts", token.text)));
        }
    }
    findings
}

fn developer_paths(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let starts = DEVELOPER_PATHS.iter().map(|(one, two)| format!("{one}{two}"));
        if let Some(start) = starts.into_iter().find(|start| says_path(line, start)) {
            findings.push(Finding::new(&file.path, number + 1, format!("{start}… is a path of somebody's machine")));
        }
    }
    findings
}

/// `start` begins a path here: what stands before it is not the rest of a longer one.
fn says_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.}/~".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn stray_blanks_and_a_missing_last_newline_are_caught() {
        assert_eq!(found("docs/a.md", "a\nb \nc\t\nd\r\n"), [2, 3, 4]);
        assert_eq!(found("docs/a.md", "a"), [0]);
        assert!(found("docs/a.md", "a\n").is_empty());
        assert!(found("docs/a.md", "").is_empty());
        assert!(found("crates/wire/src/generated/a.rs", "a \n").is_empty());
    }

    #[test]
    fn notes_and_draft_macros_are_caught() {
        for text in ["// TODO: later\n", "/* FIXME */\n", "fn f() { todo!() }\n", "fn f() { dbg!(1); }\n"] {
            assert_eq!(found("crates/x/src/a.rs", text), [1], "{text}");
        }
        assert!(found("crates/x/src/a.rs", "const A: &str = \"TODO\"; // TODOS, no note\n").is_empty());
    }

    #[test]
    fn paths_of_a_developers_machine_are_caught() {
        for (one, two) in DEVELOPER_PATHS {
            assert_eq!(found("docs/a.md", &format!("see {one}{two}me/credence\n")), [1]);
            assert!(found("docs/a.md", &format!("see https://example.org{one}{two}me\n")).is_empty());
        }
    }
}
