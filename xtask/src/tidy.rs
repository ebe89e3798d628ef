//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy knows.
//!
//! A rule is a pure function from the tree to findings and sits in the file named after it, with a test that plants
//! a violation and sees it caught. A comment `// TIDY: <rule>: <reason>` on the line of a finding, or on the line
//! before, waives it there; tidy lists every waiver, and one that waives nothing is itself a finding.

mod cycles;
mod documents;
mod fences;
mod imports;
mod layers;
mod layout;
mod lexer;
mod names;
mod sizes;
mod testing;
mod text;
mod tree;

use crate::{
    step::{self, Failure, Outcome},
    tidy::tree::Tree,
};

/// Every rule, by the name under which its findings are reported and waived.
const RULES: &[(&str, Rule)] = &[
    ("layers", layers::check),
    ("cycles", cycles::check),
    ("documents", documents::check),
    ("fences", fences::check),
    ("imports", imports::check),
    ("layout", layout::check),
    ("names", names::check),
    ("sizes", sizes::check),
    ("testing", testing::check),
    ("text", text::check),
];

type Rule = fn(&Tree) -> Vec<Finding>;

/// One violation of one rule.
#[derive(Debug)]
struct Finding {
    path: String,
    /// From 1; 0 when the whole file is meant.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

pub(crate) fn run() -> Outcome {
    let report = judge(&Tree::load(&step::root())?);
    for exception in &report.exceptions {
        eprintln!("tidy: exception: {exception}");
    }
    for finding in &report.findings {
        eprintln!("tidy: {finding}");
    }
    match report.findings.len() {
        0 => Ok(()),
        number => Err(Failure::new(format!("tidy has {number} finding(s)"))),
    }
}

#[derive(Default)]
struct Report {
    findings: Vec<String>,
    /// What is allowed to break a rule, with its reason: few, and always in view.
    exceptions: Vec<String>,
}

fn judge(tree: &Tree) -> Report {
    let mut report = Report { exceptions: sizes::exceptions(tree), ..Report::default() };
    let mut waivers = tree.waivers();
    for (rule, check) in RULES {
        for Finding { path, line, what } in check(tree) {
            match waivers.iter_mut().find(|waiver| waiver.covers(rule, &path, line)) {
                Some(waiver) => waiver.used = true,
                None => report.findings.push(format!("{path}:{line}: {what} [{rule}]")),
            }
        }
    }
    for waiver in waivers {
        let tree::Waiver { path, line, rule, reason, used } = &waiver;
        if *used {
            report.exceptions.push(format!("{path}:{line}: {rule}: {reason}"));
        } else {
            report.findings.push(format!("{path}:{line}: this waives nothing, remove it: {rule}: {reason} [waivers]"));
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_tidy() {
        let report = judge(&Tree::load(&step::root()).unwrap());
        assert!(report.findings.is_empty(), "{}", report.findings.join("\n"));
    }

    #[test]
    fn a_waiver_with_a_reason_silences_one_finding_and_is_listed() {
        let waived = "fn f() {}\n// TIDY: imports: the macro needs every name\nuse a::*;\n";
        let report = judge(&Tree::of(&[("crates/x/src/a.rs", waived)]));
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!(report.exceptions, ["crates/x/src/a.rs:2: imports: the macro needs every name"]);
    }

    #[test]
    fn a_waiver_of_another_rule_or_line_silences_nothing() {
        for text in ["// TIDY: names: no\nuse a::*;\n", "// TIDY: imports: far away\n\nuse a::*;\n"] {
            let report = judge(&Tree::of(&[("crates/x/src/a.rs", text)]));
            assert_eq!(report.findings.len(), 2, "the import and the idle waiver: {:?}", report.findings);
        }
    }
}
