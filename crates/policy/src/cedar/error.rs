//! What is wrong in a text of policies, and where.

use miette::Diagnostic;

/// Longest sentence about a mistake, in characters. Cedar's may quote the text it is about.
const MESSAGE_CHARS_MAX: usize = 400;

/// Why policies cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at line {line}, column {column}")]
pub struct CedarError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// One sentence: what is wrong, and what to do.
    pub message: String,
}

impl CedarError {
    /// Something wrong at this byte of the text.
    pub(super) fn at(text: &str, byte: usize, message: impl Into<String>) -> Self {
        let before = || text.char_indices().take_while(|(at, _)| *at < byte).map(|(_, c)| c);
        let line = before().filter(|c| *c == '\n').count() + 1;
        let column = before().fold(1, |column, c| if c == '\n' { 1 } else { column + 1 });
        Self { line, column, message: message.into() }
    }

    /// The first of the mistakes that Cedar found. Of several at one place the same one each time, for Cedar has no order.
    pub(super) fn first<'d, D: Diagnostic + 'd>(text: &str, mistakes: impl IntoIterator<Item = &'d D>) -> Option<Self> {
        let found = mistakes.into_iter().map(|mistake| (place(mistake), sentence(mistake)));
        found.min().map(|(byte, sentence)| Self::at(text, byte, sentence))
    }
}

/// At which byte; 0 if Cedar does not say.
pub(super) fn place(mistake: &dyn Diagnostic) -> usize {
    mistake.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset())
}

/// Cedar's words as one sentence of ours.
fn sentence(mistake: &dyn Diagnostic) -> String {
    let label = mistake.labels().and_then(|mut labels| labels.next()?.label().map(str::to_owned));
    let help = mistake.help().map(|help| help.to_string());
    let parts: Vec<_> = [Some(mistake.to_string()), label, help].into_iter().flatten().collect();
    // The place says which policy it is. For which of the actions it fails is chance: it does for all of them, or nearly.
    let words = without(&parts.join(": "), "for policy `", "`, ");
    let words = without(&words, " for Action::\"", "\"");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words.trim_end_matches('.').chars().take(MESSAGE_CHARS_MAX).collect()
}

/// A text without what stands from one mark to the next other one.
fn without(text: &str, from: &str, to: &str) -> String {
    let cut = |text: &str| {
        let (before, rest) = text.split_once(from)?;
        let (_, behind) = rest.split_once(to)?;
        Some(format!("{before}{behind}"))
    };
    cut(text).unwrap_or_else(|| text.to_owned())
}
