//! Colour: it only adds, it never carries a meaning alone, and it is only there on a terminal.

/// Colours, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    on: bool,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A heading.
    Strong,
    /// Something that one can do without.
    Faint,
    /// It works.
    Good,
    /// On its way, or waiting.
    Busy,
    /// Lost, refused, revoked.
    Bad,
}

impl Style {
    /// Colours if `on`.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// The text in this tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Busy => "33",
            Tone::Bad => "31",
        };
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
