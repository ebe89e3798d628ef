//! A file's documents, told apart before any of them is read: each is parsed alone, so that its kind can choose its type.

use crate::{DOCUMENTS_MAX, MANIFEST_BYTES_MAX, ManifestError};

/// One document, and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document<'t> {
    /// Its text, without the markers.
    pub(super) text: &'t str,
    /// Lines of the file before it.
    pub(super) lines_before: u64,
}

/// Splits `text` at its document markers; documents without content are left out.
///
/// SPEC: YAML 1.2.2 §9.1: a line that begins with `---` or `...` and then ends or goes on with white space is a marker
/// wherever it stands, even inside a scalar, so no parsing is needed to find them.
pub(super) fn documents<'t>(file: &str, text: &'t str) -> Result<Vec<Document<'t>>, ManifestError> {
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::of_file(file, format!("it is larger than {MANIFEST_BYTES_MAX} bytes"), "Split it"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut current = Document { text: "", lines_before: 0 };
    let (mut start, mut at) = (0, 0);
    for (number, line) in (0_u64..).zip(lines(text)) {
        if let Some(rest) = marker(line) {
            current.text = text.get(start..at).unwrap_or_default();
            found.push(current);
            // What stands behind `---` on its line belongs to the document, and keeps its line number.
            start = at + line.len() - rest.len();
            current = Document { text: "", lines_before: number };
        }
        at += line.len();
    }
    current.text = text.get(start..).unwrap_or_default();
    found.push(current);
    found.retain(|document| has_content(document.text));
    if found.len() > DOCUMENTS_MAX {
        return Err(ManifestError::of_file(file, format!("it holds more than {DOCUMENTS_MAX} documents"), "Split it"));
    }
    Ok(found)
}

/// The lines of a text, with their ends.
///
/// SPEC: YAML 1.2.2 §5.4: a carriage return alone ends a line, too. Whoever counts otherwise than the parser takes what
/// stands behind one for a comment, or names a wrong line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let ending = if rest.get(at..)?.starts_with("\r\n") { 2 } else { 1 };
        let (line, behind) = rest.split_at((at + ending).min(rest.len()));
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
}

/// What follows a marker on its line.
fn marker(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."))?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(rest)
}

fn has_content(text: &str) -> bool {
    lines(text).map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_at_their_markers_and_keep_their_lines() {
        let text = "# head\n---\na: 1\n---   # two\nb: |\n  --- not a marker\n...\n---\n\n---\nc: 3";
        let found: Vec<_> =
            documents("f", text).expect("split").into_iter().map(|d| (d.lines_before, d.text)).collect();
        let expected = vec![(1, "\na: 1\n"), (3, "   # two\nb: |\n  --- not a marker\n"), (9, "\nc: 3")];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_end_of_a_line_that_yaml_knows_ends_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["# one", "a: 1", "--- # two", "b: 2"].join(end);
            let found: Vec<_> = documents("f", &text).expect("split").iter().map(|d| d.lines_before).collect();
            assert_eq!(found, [0, 2], "{end:?}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_or_too_long_is_refused() {
        let large = " ".repeat(MANIFEST_BYTES_MAX + 1);
        let many = "---\na: 1\n".repeat(DOCUMENTS_MAX + 1);
        for text in [large, many] {
            assert!(documents("f", &text).is_err());
        }
    }
}
