//! A first look at the text, word by word: what Cedar must not be given, because it would take too long or too deep, and
//! where things stand that its parser forgets.
//!
//! It takes any text. What is no Cedar at all is left for Cedar to say.

use super::error::CedarError;
use super::{ACTIONS_MAX, DEPTH_MAX, POLICIES_MAX};
use credence_model::permission::target::Name;
use std::collections::BTreeSet;
use std::ops::Range;

/// Signs of two characters.
const PAIRS: [&str; 7] = ["&&", "||", "==", "!=", "<=", ">=", "::"];

/// The words of a text.
pub(super) struct Scan<'t> {
    text: &'t str,
    words: Vec<Word<'t>>,
    /// Which of the words are which policy.
    policies: Vec<Range<usize>>,
    /// Actions that are named.
    pub(super) actions: BTreeSet<&'t str>,
}

/// A name, a number, a string with its quotes, or a sign.
#[derive(Debug, Clone, Copy)]
struct Word<'t> {
    at: usize,
    text: &'t str,
}

impl<'t> Scan<'t> {
    pub(super) fn of(text: &'t str) -> Result<Self, CedarError> {
        let mut scan = Self { text, words: words(text), policies: Vec::new(), actions: BTreeSet::new() };
        scan.divide()?;
        scan.check_actions()?;
        Ok(scan)
    }

    pub(super) fn policies(&self) -> usize {
        self.policies.len()
    }

    /// A mistake in a policy, at the first word that is this one, or where the policy begins.
    pub(super) fn wrong(&self, policy: usize, word: &str, message: impl Into<String>) -> CedarError {
        let words = self.policy(policy);
        let is_it = |found: &&Word<'_>| found.text == word || unquoted(found.text) == Some(word);
        let at = words.iter().find(is_it).or(words.first()).map_or(0, |word| word.at);
        CedarError::at(self.text, at, message)
    }

    /// A mistake in the annotation of a policy, or where the policy begins if it has none of this key.
    pub(super) fn wrong_annotation(&self, policy: usize, key: &str, message: impl Into<String>) -> CedarError {
        let mut pairs = self.policy(policy).windows(2);
        let at = pairs.find_map(|pair| match pair {
            [sign, word] if sign.text == "@" && word.text == key => Some(sign.at),
            _ => None,
        });
        let start = || self.policy(policy).first().map_or(0, |word| word.at);
        CedarError::at(self.text, at.unwrap_or_else(start), message)
    }

    fn policy(&self, nth: usize) -> &[Word<'t>] {
        self.policies.get(nth).and_then(|range| self.words.get(range.clone())).unwrap_or_default()
    }

    /// Finds where policies end, and refuses what is too many or too deep.
    fn divide(&mut self) -> Result<(), CedarError> {
        let mut open = vec![Nest::default()];
        let mut start = 0;
        for (nth, word) in self.words.iter().enumerate() {
            let wrong = |message: String| CedarError::at(self.text, word.at, message);
            let outermost = open.len() == 1;
            match word.text {
                "?" => return Err(wrong("a template cannot be used: name the entity itself".to_owned())),
                ";" if outermost => {
                    self.policies.push(start..nth + 1);
                    start = nth + 1;
                    if self.policies.len() > POLICIES_MAX {
                        return Err(wrong(format!("more than {POLICIES_MAX} policies: join some of them")));
                    }
                    open = vec![Nest::default()];
                    continue;
                }
                "(" | "[" | "{" => {
                    // It is a step itself: what is called, or looked into.
                    if let Some(nest) = open.last_mut() {
                        nest.steps += 1;
                    }
                    open.push(Nest::default());
                }
                ")" | "]" | "}" if !outermost => {
                    let depth = open.pop().map_or(0, |nest| nest.depth());
                    if let Some(nest) = open.last_mut() {
                        nest.inside = nest.inside.max(depth);
                    }
                }
                text => {
                    if let Some(nest) = open.last_mut() {
                        nest.take(text);
                    }
                }
            }
            if open.len() > DEPTH_MAX || open.last().is_some_and(|nest| nest.depth() > DEPTH_MAX) {
                return Err(wrong(format!("deeper than {DEPTH_MAX} steps: divide the policy")));
            }
        }
        Ok(())
    }

    fn check_actions(&mut self) -> Result<(), CedarError> {
        for three in self.words.windows(3) {
            let [kind, colons, id] = three else { continue };
            if kind.text != "Action" || colons.text != "::" {
                continue;
            }
            let Some(name) = unquoted(id.text) else { continue };
            let wrong = |message| CedarError::at(self.text, id.at, message);
            Name::parse(name).map_err(|error| wrong(error.to_string()))?;
            self.actions.insert(name);
            if self.actions.len() > ACTIONS_MAX {
                return Err(wrong(format!("more than {ACTIONS_MAX} different actions: leave the action open")));
            }
        }
        Ok(())
    }
}

/// What stands between two brackets, as deep as it can be: a chain of `&&` and `||`, each part of which is a chain of steps
/// with something in brackets at the end.
#[derive(Debug, Default)]
struct Nest {
    /// The deepest before the last comma.
    done: usize,
    /// `&&`, `||` and `if` since then.
    joints: usize,
    /// The deepest part before the last joint.
    part: usize,
    /// Other signs since the last joint.
    steps: usize,
    /// The deepest brackets since the last joint.
    inside: usize,
}

impl Nest {
    fn depth(&self) -> usize {
        self.inner() + 1
    }

    fn inner(&self) -> usize {
        self.done.max(self.joints + self.part.max(self.steps + self.inside))
    }

    fn take(&mut self, word: &str) {
        match word {
            "," => *self = Self { done: self.inner(), ..Self::default() },
            "&&" | "||" | "if" => {
                let part = self.part.max(self.steps + self.inside);
                *self = Self { done: self.done, joints: self.joints + 1, part, ..Self::default() };
            }
            "has" | "in" | "is" | "like" => self.steps += 1,
            "::" | ":" | ";" => {}
            word if word.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"') => {}
            _ => self.steps += 1,
        }
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        let bytes = if rest.starts_with("//") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else if first == '"' {
            string_bytes(rest)
        } else if first.is_ascii_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if let Some(pair) = PAIRS.iter().find(|pair| rest.starts_with(**pair)) {
            pair.len()
        } else {
            first.len_utf8()
        };
        let (word, behind) = rest.split_at_checked(bytes).unwrap_or((rest, ""));
        if !first.is_whitespace() && !word.starts_with("//") {
            words.push(Word { at, text: word });
        }
        rest = behind;
    }
    words
}

/// How long a string is, with its quotes. Without a second quote it goes on to the end.
fn string_bytes(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// What stands in quotes; `None` if nothing does.
fn unquoted(word: &str) -> Option<&str> {
    word.strip_prefix('"')?.strip_suffix('"')
}
