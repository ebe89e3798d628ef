//! Aligned columns. What was received is printed without its control characters, so that no name, reason or log line
//! can move the cursor of the person who reads it.

use crate::output::style::{Style, Tone};

/// Spaces between columns.
const GAP: usize = 2;

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Self {
        Self { text: printable(&value.to_string()), tone: None }
    }
}

impl Cell {
    /// A cell in this tone.
    pub(crate) fn toned(value: impl ToString, tone: Tone) -> Self {
        Self { tone: Some(tone), ..Self::from(value) }
    }
}

/// Columns with headings, and rows. A row may have one cell more than there are headings: a note, not aligned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(headings: Vec<&'static str>) -> Self {
        Self { headings, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Headings and rows, one a line.
    pub(crate) fn render(&self, style: Style) -> String {
        let widths = self.widths();
        let headings: Vec<Cell> = self.headings.iter().map(|text| Cell::toned(text, Tone::Faint)).collect();
        let lines = std::iter::once(&headings).chain(&self.rows).map(|row| render_row(row, &widths, style));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The rows alone, aligned as in `like`, as far as they fit.
    pub(crate) fn render_rows(&self, like: &Self, style: Style) -> Vec<String> {
        let widths = like.widths();
        self.rows.iter().map(|row| render_row(row, &widths, style)).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<_> = self.headings.iter().map(|text| text.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(&cell.text));
            }
        }
        widths
    }
}

fn render_row(row: &[Cell], widths: &[usize], style: Style) -> String {
    let mut line = String::new();
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
    for (index, cell) in row.iter().take(last).enumerate() {
        line += &cell.tone.map_or_else(|| cell.text.clone(), |tone| style.paint(tone, &cell.text));
        if index + 1 < last {
            let width = widths.get(index).copied().unwrap_or_default();
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(columns(&cell.text)) + GAP));
        }
    }
    line
}

/// Names and values in two aligned columns, indented: what `describe` prints. Pairs without a value are left out.
pub(crate) fn pairs(pairs: &[(&str, String)], style: Style) -> String {
    let pairs: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + GAP;
    let line = |(name, value): &&(&str, String)| {
        let value = value.lines().map(printable).collect::<Vec<_>>().join(&format!("\n  {:width$}", ""));
        format!("  {}{:pad$}{value}", style.paint(Tone::Faint, name), "", pad = width - name.len())
    };
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The text with its control characters written out.
pub(crate) fn printable(text: &str) -> String {
    if !text.contains(unsafe_to_print) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut out, c| {
        if unsafe_to_print(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// Control characters, and those that reorder text (Unicode's bidirectional controls).
fn unsafe_to_print(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_do_not_end_in_spaces() {
        let mut table = Table::new(vec!["A", "LONG", "C"]);
        table.push(vec!["müller".into(), 1.into(), "".into()]);
        table.push(vec!["x".into(), 12_345.into(), "y".into(), "a note".into()]);
        assert_eq!(table.render(Style::default()), "A       LONG   C\nmüller  1\nx       12345  y  a note");
    }

    #[test]
    fn colour_does_not_change_the_alignment() {
        let mut table = Table::new(vec!["A", "B"]);
        table.push(vec![Cell::toned("up", Tone::Good), "x".into()]);
        assert_eq!(table.render_rows(&table, Style::new(true)), ["\x1b[32mup\x1b[0m  x"]);
    }

    #[test]
    fn nothing_that_was_received_can_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\r\n\u{202e}c"), "a\\u{1b}[2Jb\\r\\n\\u{202e}c");
        assert_eq!(
            pairs(&[("k", "one\ntwo\x07".into()), ("gone", String::new())], Style::default()),
            "  k  one\n     two\\u{7}"
        );
    }
}
