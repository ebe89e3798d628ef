//! What is printed: tables for people, objects for programs, colour only on a terminal, and nothing after a closed pipe.

pub(crate) mod duration;
pub(crate) mod style;
pub(crate) mod table;

use crate::args::Format;
use crate::failure::Failure;
use credence_model::refusal::Kind;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use style::Style;

/// Where and how this process prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// The format asked for.
    pub(crate) format: Format,
    /// Colours, or none.
    pub(crate) style: Style,
}

impl Output {
    /// Whether a program reads this, so that only whole objects may be printed.
    pub(crate) fn is_object(self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Prints text as it is, and makes sure that it is out.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::output_closed(),
            _ => Failure::new(Kind::Unavailable, format!("standard output cannot be written: {error}")),
        })
    }

    /// Prints one line.
    pub(crate) fn line(self, line: impl AsRef<str>) -> Result<(), Failure> {
        self.text(&format!("{}\n", line.as_ref()))
    }

    /// Prints an object as JSON or YAML; only for [`Self::is_object`].
    pub(crate) fn object<T: Serialize>(self, object: &T) -> Result<(), Failure> {
        let bug = |error: String| Failure::new(Kind::Bug, format!("the answer cannot be printed: {error}"));
        let text = match self.format {
            Format::Yaml => serde_saphyr::to_string(object).map_err(|error| bug(error.to_string()))?,
            _ => serde_json::to_string_pretty(object).map_err(|error| bug(error.to_string()))?,
        };
        self.line(text.trim_end())
    }

    /// Prints one object of a stream: a line of JSON, or a YAML document.
    pub(crate) fn stream_object<T: Serialize>(self, object: &T) -> Result<(), Failure> {
        if self.format == Format::Yaml {
            self.line("---")?;
            return self.object(object);
        }
        let text = serde_json::to_string(object).map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
        self.line(text)
    }

    /// Prints an object for programs, or the words for people.
    pub(crate) fn answer<T: Serialize>(self, object: &T, words: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.is_object() { self.object(object) } else { self.line(words()) }
    }
}
