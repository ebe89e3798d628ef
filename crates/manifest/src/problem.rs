//! What is wrong with a manifest, for people: the object, the field, the fault, the place, the remedy.

use crate::document::Document;
use crate::tree::{Position, Tree, options};
use crate::{API_VERSION, ManifestError};
use credence_model::id::Namespace;
use credence_model::refusal::{Kind, Refusal};
use serde::de::DeserializeOwned;
use serde_saphyr::Error;
use std::fmt;

/// How many edits away a known word may be to be proposed.
const EDITS_MAX: usize = 3;

/// A document's tree and what errors about it need.
#[derive(Debug)]
pub(super) struct Origin {
    file: String,
    tree: Tree,
    /// `class finance/expense-agent`, as far as it is known.
    object: Option<String>,
}

/// The names of the kinds that are written down.
const KINDS: [&str; 4] = ["Class", "Pool", "Guard", "ClassTest"];

/// The kinds of objects that are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Class,
    Pool,
    Guard,
    ClassTest,
}

impl Written {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "Class" => Some(Self::Class),
            "Pool" => Some(Self::Pool),
            "Guard" => Some(Self::Guard),
            "ClassTest" => Some(Self::ClassTest),
            _ => None,
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Class => "class",
            Self::Pool => "pool",
            Self::Guard => "guard",
            Self::ClassTest => "test of class",
        })
    }
}

impl Origin {
    pub(super) fn new(file: &str, tree: Tree, namespace: &Namespace) -> Self {
        let kind = tree.text(&["kind"]).and_then(Written::parse);
        let name = tree.text(&["metadata", "name"]);
        let namespace = tree.text(&["metadata", "namespace"]).unwrap_or(namespace.as_str());
        let object =
            kind.zip(name).map(|(kind, name)| format!("{kind} {}/{}", namespace.escape_debug(), name.escape_debug()));
        Self { file: file.to_owned(), tree, object }
    }

    /// Which kind of object it is.
    pub(super) fn kind(&self) -> Result<Written, ManifestError> {
        match self.tree.text(&["apiVersion"]) {
            Some(API_VERSION) => {}
            Some(other) => {
                let refusal = Refusal::new(Kind::Malformed, format!("`{}` is not known", other.escape_debug()));
                return Err(self.locate(refusal.field("apiVersion").hint(format!("Write apiVersion: {API_VERSION}"))));
            }
            None => return Err(self.missing("apiVersion", &format!("Write apiVersion: {API_VERSION}"))),
        }
        match self.tree.text(&["kind"]).map(|text| Written::parse(text).ok_or(text)) {
            Some(Ok(kind)) => Ok(kind),
            Some(Err(other)) => {
                let message = format!("`{}` is not a kind", other.escape_debug());
                let refusal = Refusal::new(Kind::Malformed, message).field("kind");
                let guess = closest(other, &KINDS).map(|kind| format!("Did you mean `{kind}`?"));
                Err(self.locate(
                    refusal.hint(guess.unwrap_or_else(|| "Write kind: Class, Pool, Guard or ClassTest".into())),
                ))
            }
            None => Err(self.missing("kind", "Write kind: Class, Pool, Guard or ClassTest")),
        }
    }

    /// Puts the object before an error, and the line of the field that it names behind it.
    pub(super) fn locate(&self, mut refusal: Refusal) -> ManifestError {
        let position = refusal.field.as_deref().and_then(|field| self.tree.position(field));
        refusal.message = self.sentence(refusal.field.as_deref(), &refusal.message);
        ManifestError { refusal, place: place(&self.file, position) }
    }

    fn missing(&self, field: &str, hint: &str) -> ManifestError {
        let refusal = Refusal::new(Kind::Malformed, format!("field `{field}` is missing"));
        ManifestError { place: place(&self.file, self.first()), ..self.locate(refusal.hint(hint)) }
    }

    fn sentence(&self, field: Option<&str>, message: &str) -> String {
        let subject = self.object.as_deref().filter(|object| !message.starts_with(*object));
        let field = field.filter(|field| !message.starts_with(*field) && !message.contains(&format!("`{field}`")));
        subject.into_iter().chain(field).chain([message]).collect::<Vec<_>>().join(": ")
    }

    fn first(&self) -> Option<Position> {
        if let Tree::Map(members) = &self.tree { members.first().map(|(_, position, _)| *position) } else { None }
    }
}

/// Reads a document as a `T`, every field of it.
pub(super) fn typed<T: DeserializeOwned>(origin: &Origin, document: &Document<'_>) -> Result<T, ManifestError> {
    let mut track = serde_path_to_error::Track::new();
    let result = serde_saphyr::with_deserializer_from_str_with_options(document.text, options(), |deserializer| {
        T::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track))
    });
    result.map_err(|error| {
        let path = track.path().to_string();
        let mut refusal = Refusal::new(Kind::Malformed, "");
        let (message, guess) = explain(&error);
        let field = field(&path, &error);
        refusal.message = origin.sentence(field.as_deref(), &message);
        refusal.field = field;
        refusal.hint = guess;
        let position = position(&error, document.lines_before);
        let position = position.or_else(|| refusal.field.as_deref().and_then(|field| origin.tree.position(field)));
        ManifestError { refusal, place: place(&origin.file, position.or_else(|| origin.first())) }
    })
}

/// An error before the tree is known: syntax, duplicate keys, limits.
pub(super) fn syntax(file: &str, lines_before: u64, error: &Error) -> ManifestError {
    let (message, hint) = explain(error);
    let refusal = Refusal { hint, ..Refusal::new(Kind::Malformed, message) };
    ManifestError { refusal, place: place(file, position(error, lines_before)) }
}

/// The field that an error is about: for an unknown one, the map in which it stands.
fn field(path: &str, error: &Error) -> Option<String> {
    let path = match error.without_snippet() {
        Error::SerdeUnknownField { field, .. } => {
            path.strip_suffix(field.as_str()).unwrap_or(path).trim_end_matches('.')
        }
        _ => path,
    };
    Some(path).filter(|path| !path.is_empty() && *path != "." && *path != "?").map(str::to_owned)
}

/// What is wrong, and what to do if that is known.
fn explain(error: &Error) -> (String, Option<String>) {
    let plain = |message: String| (message, None);
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            let name = field.escape_debug();
            match closest(field, expected) {
                Some(known) => plain(format!("unknown field `{name}`, did you mean `{known}`?")),
                None => (format!("unknown field `{name}`"), Some(format!("Known fields are {}", expected.join(", ")))),
            }
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => (
            format!("`{}` is not known", variant.escape_debug()),
            Some(format!("Write one of {}", expected.join(", "))),
        ),
        Error::SerdeMissingField { field, .. } => plain(format!("field `{field}` is missing")),
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            plain(format!("expected {expected}, found {unexpected}"))
        }
        Error::InvalidScalar { ty, .. } => plain(format!("this is not a value of type {ty}")),
        Error::NullIntoString { .. } => {
            ("it has no value".into(), Some("Write \"\" for an empty text, or leave the field out".into()))
        }
        Error::Unexpected { expected, .. } => plain(format!("expected {expected}")),
        Error::DuplicateMappingKey { key, .. } => (
            format!("the key `{}` stands here twice", key.as_deref().unwrap_or("?").escape_debug()),
            Some("Remove one".into()),
        ),
        Error::UnknownAnchor { .. } => (NO_ALIASES.into(), None),
        Error::Budget { breach, .. } => explain_limit(breach),
        other => plain(one_line(&other.to_string())),
    }
}

const NO_ALIASES: &str = "anchors and aliases (& and *) are not read here; write the value out";

fn explain_limit(breach: &serde_saphyr::budget::BudgetBreach) -> (String, Option<String>) {
    use serde_saphyr::budget::BudgetBreach;
    match breach {
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => (NO_ALIASES.into(), None),
        BudgetBreach::MergeKeys { .. } => ("merge keys (<<) are not read here; write the fields out".into(), None),
        BudgetBreach::Depth { .. } => ("it is nested too deeply".into(), None),
        _ => ("it is too large to be one object".into(), Some("Split it".into())),
    }
}

/// The parser's own words about the syntax, without the position that it appends.
fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.rsplit_once(" at line ").map_or(line, |(before, _)| before);
    line.trim_end_matches(['.', ',', ':', ' ']).to_owned()
}

fn position(error: &Error, lines_before: u64) -> Option<Position> {
    let location = error.location().filter(|location| location.line() > 0)?;
    Some(Position { line: location.line() + lines_before, column: location.column() })
}

fn place(file: &str, position: Option<Position>) -> String {
    position.map_or_else(|| file.to_owned(), |Position { line, column }| format!("{file}:{line}:{column}"))
}

/// The known word nearest to a wrong one, if it is near enough to be what was meant.
fn closest<'w>(wrong: &str, known: &[&'w str]) -> Option<&'w str> {
    let distance = |word: &str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &word.to_lowercase());
    let nearest = known.iter().copied().min_by_key(|word| distance(word))?;
    (distance(nearest) <= EDITS_MAX.min(wrong.chars().count() / 2)).then_some(nearest)
}
