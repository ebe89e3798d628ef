//! What is seen: headings, lines, and on a terminal one line of progress that leaves no trace.

use crate::failure::Failure;
use crate::output::Output;
use crate::output::style::Tone;
use std::time::{Duration, Instant};

/// The screen.
pub(super) struct Stage {
    out: Output,
    terminal: bool,
    started: Instant,
}

impl Stage {
    pub(super) fn new(out: Output, terminal: bool) -> Self {
        Self { out, terminal, started: Instant::now() }
    }

    /// How long the demo has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.clear()?;
        self.out.line(text)
    }

    /// The next part of the story.
    pub(super) fn heading(&self, number: u32, text: &str) -> Result<(), Failure> {
        self.line("")?;
        self.line(format!("{number}  {}", self.out.style.paint(Tone::Strong, text)))
    }

    /// Something that happened, and when.
    pub(super) fn event(&self, text: &str) -> Result<(), Failure> {
        let at = format!("{:>6}", secs(self.elapsed()));
        self.line(format!("   {}   {text}", self.out.style.paint(Tone::Faint, &at)))
    }

    pub(super) fn good(&self, text: &str) -> String {
        self.out.style.paint(Tone::Good, text)
    }

    pub(super) fn bad(&self, text: &str) -> String {
        self.out.style.paint(Tone::Bad, text)
    }

    pub(super) fn faint(&self, text: &str) -> String {
        self.out.style.paint(Tone::Faint, text)
    }

    /// What is being waited for; only on a terminal, and gone with the next line.
    pub(super) fn progress(&self, text: &str) -> Result<(), Failure> {
        if !self.terminal {
            return Ok(());
        }
        self.out.text(&format!("\r\x1b[K   {}", self.faint(&format!("{} …", text))))
    }

    pub(super) fn clear(&self) -> Result<(), Failure> {
        if self.terminal { self.out.text("\r\x1b[K") } else { Ok(()) }
    }
}

/// Seconds with one decimal.
pub(super) fn secs(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
