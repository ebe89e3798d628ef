//! A document as a tree with positions: it says what kind of object it is before its type is known, and on which line
//! a field stands, so that an error found later, even by the server, can point there.

use crate::document::Document;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Options, Spanned};
use std::fmt;

/// Deepest nesting of a document.
const DEPTH_MAX: usize = 32;
/// Most parser events of a document: bounds time and memory.
const EVENTS_MAX: usize = 100_000;

/// A place in a file: line and column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A document.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// Keys with their places, and values.
    Map(Vec<(String, Position, Tree)>),
    /// Items with their places.
    List(Vec<(Position, Tree)>),
    /// Text, if it is one.
    Scalar(Option<String>),
}

/// How every document is read.
pub(super) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_events: EVENTS_MAX,
            max_aliases: 0,
            max_anchors: 0,
            max_merge_keys: 0,
            max_documents: 1,
        },
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}

impl Tree {
    /// Reads a document; its positions are those of the whole file.
    pub(super) fn parse(document: &Document<'_>) -> Result<Self, Error> {
        let mut tree: Self = serde_saphyr::from_str_with_options(document.text, options())?;
        tree.shift(document.lines_before);
        Ok(tree)
    }

    /// The value of a key.
    pub(super) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => members.iter().find(|(name, ..)| name == key).map(|(_, _, value)| value),
            _ => None,
        }
    }

    /// The text at a path of keys.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        let leaf = path.iter().try_fold(self, |tree, key| tree.member(key))?;
        if let Self::Scalar(text) = leaf { text.as_deref() } else { None }
    }

    /// Where a field stands (`spec.models[2].model`), or the nearest field around it that is there.
    pub(super) fn position(&self, field: &str) -> Option<Position> {
        let mut tree = self;
        let mut nearest = None;
        for step in field.split(['.', '[']).filter(|step| !step.is_empty()) {
            let index = step.strip_suffix(']').and_then(|digits| digits.parse::<usize>().ok());
            let found = match (tree, index) {
                (Self::Map(members), _) => {
                    members.iter().find(|(name, ..)| name == step).map(|(_, position, value)| (*position, value))
                }
                (Self::List(items), Some(index)) => items.get(index).map(|(position, value)| (*position, value)),
                _ => None,
            };
            let Some((position, value)) = found else { break };
            nearest = Some(position);
            tree = value;
        }
        nearest
    }

    fn shift(&mut self, lines: u64) {
        match self {
            Self::Map(members) => members.iter_mut().for_each(|(_, position, value)| {
                position.line += lines;
                value.shift(lines);
            }),
            Self::List(items) => items.iter_mut().for_each(|(position, value)| {
                position.line += lines;
                value.shift(lines);
            }),
            Self::Scalar(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a plain value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let position = Position { line: key.referenced.line(), column: key.referenced.column() };
            members.push((key.value, position, map.next_value()?));
        }
        Ok(Tree::Map(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Tree>>()? {
            items.push((Position { line: item.referenced.line(), column: item.referenced.column() }, item.value));
        }
        Ok(Tree::List(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(Some(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Tree, E> {
        Ok(Tree::Scalar(None))
    }
}
