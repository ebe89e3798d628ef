//! What a permission is about: an action on resources of a kind, named exactly or by whole segments.
//!
//! INVARIANT: names are compared byte for byte and never changed before (threat T11): what could be read in two ways, such
//! as a dot segment, a percent sign or a letter outside ASCII, is no name.

use crate::text::InvalidText;
use smol_str::SmolStr;
use std::fmt;

/// Longest name of a resource, in bytes.
pub const RESOURCE_BYTES_MAX: usize = 512;
/// Longest name of an action or of a kind of resource, in bytes.
pub const NAME_BYTES_MAX: usize = 63;
/// Most segments of a resource's name.
pub const SEGMENTS_MAX: usize = 32;

/// The kind of hosts, whose names are read from their end.
pub const HOST: &str = "host";

/// Short words for the usual: the word, the action and the kind.
const SHORT: [(&str, &str, &str); 5] = [
    ("tool", "call", "tool"),
    ("model", "use", "model"),
    ("egress", "connect", HOST),
    ("agent", "call", "agent"),
    ("spawn", "spawn", "class"),
];

/// The name of an action, or of a kind of resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(SmolStr);

impl Name {
    /// Reads a name: a small letter, then small letters, digits, `_` and `-`.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        let why = if text.len() > NAME_BYTES_MAX {
            "it is longer than 63 bytes"
        } else if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.bytes().all(legal) {
            "it is a small letter, then a-z, 0-9, _ and -"
        } else {
            return Ok(Self(text.into()));
        };
        Err(InvalidText::new("name", text, why))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resource that a request names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Its kind.
    pub kind: Name,
    id: SmolStr,
}

impl Resource {
    /// Reads a resource's name. Names of hosts are in small letters.
    pub fn new(kind: Name, id: &str) -> Result<Self, InvalidText> {
        check_id(&kind, id)?;
        match id.contains('*') {
            true => Err(InvalidText::new("resource", id, "a request names one resource, without *")),
            false => Ok(Self { kind, id: id.into() }),
        }
    }

    /// Its name among those of its kind.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn segments(&self) -> Vec<&str> {
        segments(&self.kind, &self.id)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// An action on some resources of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The action; any if missing.
    pub action: Option<Name>,
    /// The kind of resource.
    pub kind: Name,
    /// Which of them.
    pub id: Pattern,
}

/// Names by their segments: each is a word or `*`, any one; `**` at the end, or at the beginning of a host, is any number of
/// them, at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(SmolStr);

impl Target {
    /// Exactly this.
    pub fn exactly(action: Name, resource: &Resource) -> Self {
        Self { action: Some(action), kind: resource.kind.clone(), id: Pattern(resource.id.clone()) }
    }

    /// Reads its two words, or the one after a short word. `(word, why)`: which of the two is wrong, and why.
    pub(super) fn read(first: &str, second: &str) -> Result<Self, (usize, String)> {
        if let Some((_, action, kind)) = SHORT.iter().find(|(word, ..)| *word == first) {
            let name = |text: &'static str| Name(SmolStr::new_static(text));
            return Self::of(Some(name(action)), name(kind), second).map_err(|error| (1, error.to_string()));
        }
        let action = match first {
            "*" => None,
            name => Some(Name::parse(name).map_err(|error| (0, error.to_string()))?),
        };
        let Some((kind, id)) = second.split_once('/') else {
            return Err((1, "expected KIND/NAME".to_owned()));
        };
        let kind = Name::parse(kind).map_err(|error| (1, error.to_string()))?;
        Self::of(action, kind, id).map_err(|error| (1, error.to_string()))
    }

    /// An action (any if missing) on the resources of a kind that this pattern names.
    pub(super) fn of(action: Option<Name>, kind: Name, id: &str) -> Result<Self, InvalidText> {
        let id = Pattern::parse(&kind, id)?;
        Ok(Self { action, kind, id })
    }

    /// Whether this action on this resource is meant.
    pub fn covers(&self, action: &Name, resource: &Resource) -> bool {
        self.action.as_ref().is_none_or(|own| own == action) && self.kind == resource.kind && self.id.covers(resource)
    }

    /// Whether everything that `other` means is meant.
    pub fn contains(&self, other: &Self) -> bool {
        self.action.as_ref().is_none_or(|own| other.action.as_ref() == Some(own))
            && self.kind == other.kind
            && self.id.contains(&self.kind, &other.id)
    }

    /// What both mean.
    pub fn both(&self, other: &Self) -> Option<Self> {
        let action = match (&self.action, &other.action) {
            (Some(one), Some(other)) if one != other => return None,
            (one, other) => one.clone().or_else(|| other.clone()),
        };
        if self.kind != other.kind {
            return None;
        }
        let both = both(&self.id.segments(&self.kind), &other.id.segments(&other.kind))?;
        Some(Self { action, kind: self.kind.clone(), id: Pattern::join(&self.kind, both) })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = self.action.as_ref().map_or("*", Name::as_str);
        let short = SHORT.iter().find(|(_, short, kind)| *short == action && *kind == self.kind.as_str());
        match short {
            Some((word, ..)) => write!(f, "{word} {}", self.id.0),
            None => write!(f, "{action} {}/{}", self.kind, self.id.0),
        }
    }
}

impl Pattern {
    pub(super) fn parse(kind: &Name, text: &str) -> Result<Self, InvalidText> {
        check_id(kind, text)?;
        if !text.contains('*') {
            return Ok(Self(text.into()));
        }
        let segments = segments(kind, text);
        let invalid = |why| Err(InvalidText::new("resource", text, why));
        for (nth, segment) in segments.iter().enumerate() {
            match *segment {
                "*" => {}
                "**" if nth + 1 == segments.len() => {}
                "**" if kind.as_str() == HOST => return invalid("** stands only at the beginning of a host's name"),
                "**" => return invalid("** stands only at the end"),
                word if word.contains('*') => return invalid("* stands for a whole segment"),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether it covers a resource of its kind.
    pub(super) fn covers(&self, resource: &Resource) -> bool {
        if !self.0.contains('*') {
            return self.0 == resource.id;
        }
        covers(&self.segments(&resource.kind), &resource.segments())
    }

    /// Whether it covers everything that another one of its kind does.
    pub(super) fn contains(&self, kind: &Name, other: &Self) -> bool {
        covers(&self.segments(kind), &other.segments(kind))
    }

    /// Whether something is covered by both, which are of one kind.
    pub(super) fn overlaps(&self, kind: &Name, other: &Self) -> bool {
        both(&self.segments(kind), &other.segments(kind)).is_some()
    }

    /// In the order in which they are compared.
    pub(super) fn segments(&self, kind: &Name) -> Vec<&str> {
        segments(kind, &self.0)
    }

    fn join(kind: &Name, mut segments: Vec<&str>) -> Self {
        if kind.as_str() == HOST {
            segments.reverse();
        }
        let separator = separator(kind).to_string();
        Self(segments.join(&separator).into())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn separator(kind: &Name) -> char {
    if kind.as_str() == HOST { '.' } else { '/' }
}

fn segments<'a>(kind: &Name, id: &'a str) -> Vec<&'a str> {
    match kind.as_str() {
        HOST => id.rsplit('.').collect(),
        _ => id.split('/').collect(),
    }
}

fn check_id(kind: &Name, id: &str) -> Result<(), InvalidText> {
    let is_host = kind.as_str() == HOST;
    let legal = |byte: u8| match byte {
        b'A'..=b'Z' | b'_' | b'~' | b':' | b'@' | b'+' | b'/' => !is_host,
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'*' => true,
        _ => false,
    };
    let mut segments = id.split(separator(kind));
    let why = if id.len() > RESOURCE_BYTES_MAX {
        "it is longer than 512 bytes"
    } else if !id.bytes().all(legal) {
        if is_host {
            "a host is small letters, digits, - and ."
        } else {
            "only A-Z, a-z, 0-9 and - _ . ~ : @ + are allowed"
        }
    } else if segments.clone().count() > SEGMENTS_MAX {
        "it has more than 32 segments"
    } else if segments.any(|segment| matches!(segment, "" | "." | "..")) {
        "a segment is empty or only dots"
    } else {
        return Ok(());
    };
    Err(InvalidText::new("resource", id, why))
}

/// Whether a pattern covers a name or another pattern, segment by segment.
fn covers(pattern: &[&str], other: &[&str]) -> bool {
    match (pattern, other) {
        (["**"], [_, ..]) => true,
        ([], []) => true,
        // Any number of segments is more than any one.
        ([_, ..], ["**", ..]) => false,
        ([own, pattern @ ..], [first, other @ ..]) => (*own == "*" || own == first) && covers(pattern, other),
        _ => false,
    }
}

/// What two patterns cover both.
fn both<'a>(one: &[&'a str], other: &[&'a str]) -> Option<Vec<&'a str>> {
    match (one, other) {
        ([], []) => Some(Vec::new()),
        (["**"], rest @ [_, ..]) | (rest @ [_, ..], ["**"]) => Some(rest.to_vec()),
        ([first, one @ ..], [second, other @ ..]) => {
            let segment = match (*first, *second) {
                ("*", word) | (word, "*") => word,
                (word, same) if word == same => word,
                _ => return None,
            };
            let mut segments = vec![segment];
            segments.extend(both(one, other)?);
            Some(segments)
        }
        _ => None,
    }
}
