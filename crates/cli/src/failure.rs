//! What the person at the terminal is told when something did not work, and the exit code that programs see.

use credence_manifest::ManifestError;
use credence_model::refusal::{Kind, Refusal};
use credence_model::text::InvalidText;
use serde::Serialize;
use std::fmt;
use std::process::ExitCode;

/// An error as the command line shows it: one line, or an object with `-o json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was wrong and what to do about it.
    pub(crate) refusal: Refusal,
    /// Where in a file: `class.yaml:14:7`.
    pub(crate) place: Option<String>,
    /// What the request is called in the logs of server and node.
    request: Option<String>,
    /// It never reached anybody who could have written of it.
    unsent: bool,
    exit: Exit,
}

/// The exit codes, apart from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 1: understood and not done.
    Refused,
    /// 2: the command line itself is wrong.
    UsedWrongly,
    /// 3: nobody answered, or not now; trying again can help.
    Unavailable,
    /// 0: whoever read the output has gone; that is no error.
    OutputClosed,
}

impl Failure {
    /// A command line that cannot be meant so.
    pub(crate) fn used_wrongly(message: impl Into<String>) -> Self {
        Self {
            refusal: Refusal::new(Kind::Malformed, message),
            place: None,
            request: None,
            unsent: false,
            exit: Exit::UsedWrongly,
        }
    }

    /// Something of this kind, with this message.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Refusal::new(kind, message).into()
    }

    /// Whoever read standard output does not any more (`credence … | head`): end quietly.
    pub(crate) fn output_closed() -> Self {
        let refusal = Refusal::new(Kind::Unavailable, "standard output was closed");
        Self { refusal, place: None, request: None, unsent: false, exit: Exit::OutputClosed }
    }

    /// Whether there is anything to tell.
    pub(crate) fn is_silent(&self) -> bool {
        self.exit == Exit::OutputClosed
    }

    /// An error of this kind with what caused it, where its own words do not say so already.
    pub(crate) fn caused(kind: Kind, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !says(&message, &cause_text) {
                message += &format!(": {cause_text}");
            }
            source = cause.source();
        }
        Self::new(kind, message)
    }

    /// Says what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.refusal.hint = Some(hint.into());
        self
    }

    /// Says where in a file.
    #[must_use]
    pub(crate) fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says that nothing was sent: there is no log to look into.
    #[must_use]
    pub(crate) fn unsent(mut self) -> Self {
        self.unsent = true;
        self
    }

    /// Says what the request is called in the logs of server and node.
    #[must_use]
    pub(crate) fn request(mut self, id: String) -> Self {
        self.request = (!self.unsent).then_some(id);
        self
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.exit {
            Exit::Refused => 1,
            Exit::UsedWrongly => 2,
            Exit::Unavailable => 3,
            Exit::OutputClosed => 0,
        })
    }

    /// The same as an object: `kind`, `message`, and `field`, `hint`, `retry_after_ms`, `place`, `request` where they are known.
    pub(crate) fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Shown<'f> {
            #[serde(flatten)]
            refusal: &'f Refusal,
            #[serde(skip_serializing_if = "Option::is_none")]
            place: Option<&'f str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            request: Option<&'f str>,
        }
        let shown = Shown { refusal: &self.refusal, place: self.place.as_deref(), request: self.request.as_deref() };
        serde_json::to_string_pretty(&shown).unwrap_or_default()
    }
}

/// Whether a message says already what its cause says, whatever the case and the number of an error of the system.
fn says(message: &str, cause: &str) -> bool {
    let words = cause.split(" (os error").next().unwrap_or(cause);
    message.to_lowercase().contains(&words.to_lowercase())
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = if refusal.kind == Kind::Unavailable { Exit::Unavailable } else { Exit::Refused };
        Self { refusal, place: None, request: None, unsent: false, exit }
    }
}

impl From<ManifestError> for Failure {
    fn from(ManifestError { refusal, place }: ManifestError) -> Self {
        Self::from(refusal).place(place)
    }
}

/// A wrong identifier can only come from the command line here; files have their own errors.
impl From<InvalidText> for Failure {
    fn from(error: InvalidText) -> Self {
        Self::used_wrongly(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.refusal)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, "  ({place})"))?;
        // Whoever wrote something wrong has no use for a log; whoever could not be served does.
        let is_ours = matches!(self.refusal.kind, Kind::Unavailable | Kind::Limited | Kind::Bug);
        self.request.as_ref().filter(|_| is_ours).map_or(Ok(()), |id| write!(f, "  (request {id})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_says_what_where_and_what_to_do() {
        let refusal = Refusal::new(Kind::Malformed, "unknown field `modle`")
            .field("spec.models[2]")
            .hint("Did you mean `model`?");
        let failure = Failure::from(refusal).place("class.yaml:14:7");
        assert_eq!(
            failure.to_string(),
            "spec.models[2]: unknown field `modle`. Did you mean `model`?  (class.yaml:14:7)"
        );
        assert_eq!(failure.exit_code(), ExitCode::from(1));
    }

    #[test]
    fn a_wrong_command_line_exits_with_two_and_an_absent_server_with_three() {
        assert_eq!(Failure::used_wrongly("x").exit_code(), ExitCode::from(2));
        assert_eq!(Failure::new(Kind::Unavailable, "x").exit_code(), ExitCode::from(3));
    }

    #[test]
    fn the_object_form_holds_the_same_and_nothing_empty() {
        let failure = Failure::new(Kind::NotFound, "no actor demo/a").hint("Create it").place("f:1:2");
        let object: serde_json::Value = serde_json::from_str(&failure.to_json()).expect("an object");
        let expected = serde_json::json!({"kind": "not_found", "message": "no actor demo/a", "hint": "Create it", "place": "f:1:2"});
        assert_eq!(object, expected);
    }
}
