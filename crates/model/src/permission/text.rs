//! How a permission is read.

use super::condition::{Attribute, Condition, Constraint, DAY_MINUTES, DAYS, End, Range, WORD_BYTES_MAX};
use super::contain::conjunction;
use super::decimal::Decimal;
use super::obligation::{Budget, Counted, LOG, Obligation, Period, STEP_UP};
use super::target::Target;
use super::{CONDITIONS_MAX, PERMISSION_BYTES_MAX, Permission};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// What is wrong, and at which column, counted from 1; 0 if it is about the whole.
type Wrong = (usize, String);

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'t> {
    /// Letters, digits and what names are made of.
    Word(&'t str),
    /// What stood in quotes.
    Quoted(String),
    /// A comparison, a bracket or a comma.
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: [&str; 9] = ["<=", ">=", "!=", "<", ">", "=", "(", ")", ","];

pub(super) fn parse(text: &str) -> Result<Permission, Wrong> {
    if text.len() > PERMISSION_BYTES_MAX {
        return Err((0, format!("it is longer than {PERMISSION_BYTES_MAX} bytes")));
    }
    let (pieces, end) = pieces(text)?;
    let mut reader = Reader { pieces, next: 0, end };
    let target = reader.target()?;
    let mut when = Vec::new();
    let mut joint = "when";
    while reader.takes(joint) {
        if when.len() == CONDITIONS_MAX {
            return Err((reader.column(), format!("more than {CONDITIONS_MAX} conditions")));
        }
        when.push(reader.condition()?);
        joint = "and";
    }
    let mut with = BTreeSet::new();
    if reader.takes("with") {
        loop {
            with.insert(reader.obligation()?);
            if !reader.takes(",") {
                break;
            }
        }
    }
    if reader.peek().is_some() {
        let next = if with.is_empty() { "`and`, `with` or the end" } else { "`,` or the end" };
        let next = if when.is_empty() && with.is_empty() { "`when`, `with` or the end" } else { next };
        return Err(reader.expected(next));
    }
    let when = conjunction(when.into_iter()).ok_or_else(|| (0, "its conditions can never hold together".to_owned()))?;
    Ok(Permission { target, when, with: with.into_iter().collect() })
}

/// All pieces with their columns, and the column behind the last.
fn pieces(text: &str) -> Result<(Vec<(usize, Piece<'_>)>, usize), Wrong> {
    // More than most permissions have.
    let mut pieces = Vec::with_capacity(32);
    let (mut rest, mut column) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let bytes = if first == ' ' {
            1
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            pieces.push((column, Piece::Sign(sign)));
            sign.len()
        } else if first == '"' {
            let (quoted, bytes) = quoted(rest).ok_or_else(|| (column, "the quote is not closed".to_owned()))?;
            pieces.push((column, Piece::Quoted(quoted)));
            bytes
        } else {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:@+/*".contains(&byte);
            let bytes = rest.bytes().position(|byte| !legal(byte)).unwrap_or(rest.len());
            if bytes == 0 {
                return Err((column, format!("`{}` does not belong here", first.escape_debug())));
            }
            pieces.push((column, Piece::Word(rest.get(..bytes).unwrap_or_default())));
            bytes
        };
        let (taken, behind) = rest.split_at_checked(bytes).unwrap_or((rest, ""));
        column += taken.chars().count();
        rest = behind;
    }
    Ok((pieces, column))
}

/// What stands in quotes, and how many bytes that takes. A backslash stands before a quote or a backslash.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((inside, at + 1)),
            '\\' => inside.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\\'))?),
            c if c.is_control() => return None,
            c => inside.push(c),
        }
    }
    None
}

struct Reader<'t> {
    pieces: Vec<(usize, Piece<'t>)>,
    next: usize,
    /// The column behind the last.
    end: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&Piece<'t>> {
        self.pieces.get(self.next).map(|(_, piece)| piece)
    }

    fn column(&self) -> usize {
        self.pieces.get(self.next).map_or(self.end, |(column, _)| *column)
    }

    fn expected(&self, what: &str) -> Wrong {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Piece::Word(word)) => format!("`{word}`"),
            Some(Piece::Quoted(_)) => "a quoted word".to_owned(),
            Some(Piece::Sign(sign)) => format!("`{sign}`"),
        };
        (self.column(), format!("expected {what}, found {found}"))
    }

    /// Whether this word or sign is next; then it is taken.
    fn takes(&mut self, expected: &str) -> bool {
        let is_next = match self.peek() {
            Some(Piece::Word(word)) => *word == expected,
            Some(Piece::Sign(sign)) => *sign == expected,
            _ => false,
        };
        self.next += usize::from(is_next);
        is_next
    }

    fn word(&mut self, what: &str) -> Result<&'t str, Wrong> {
        match self.peek() {
            Some(&Piece::Word(word)) => {
                self.next += 1;
                Ok(word)
            }
            _ => Err(self.expected(what)),
        }
    }

    fn target(&mut self) -> Result<Target, Wrong> {
        let first_at = self.column();
        let first = self.word("tool, model, egress, agent, spawn or an action")?;
        let second_at = self.column();
        let second = self.word("what it is about")?;
        Target::read(first, second).map_err(|(word, why)| (if word == 0 { first_at } else { second_at }, why))
    }

    fn condition(&mut self) -> Result<Condition, Wrong> {
        let column = self.column();
        let name = self.word("an attribute")?;
        let attribute = match name {
            "label" => Attribute::Label(self.word("the key of a label")?.into()),
            name => {
                let why = || (column, format!("`{name}` is no attribute"));
                Attribute::parse(name).ok_or_else(why)?
            }
        };
        let is = self.constraint(&attribute)?;
        Ok(Condition { attribute, is })
    }

    fn constraint(&mut self, attribute: &Attribute) -> Result<Constraint, Wrong> {
        if self.takes("in") {
            return Ok(Constraint::OneOf(self.list(attribute)?));
        }
        if self.takes("not") {
            return match self.takes("in") {
                true => Ok(Constraint::NoneOf(self.list(attribute)?)),
                false => Err(self.expected("`in`")),
            };
        }
        let sign = match self.peek() {
            Some(Piece::Sign(sign)) if !matches!(*sign, "(" | ")" | ",") => *sign,
            _ => return Err(self.expected("=, !=, <, <=, >, >=, `in` or `not in`")),
        };
        self.next += 1;
        let column = self.column();
        if sign == "=" && !matches!(attribute, Attribute::Time | Attribute::Day) {
            for truth in [true, false] {
                if self.takes(if truth { "true" } else { "false" }) {
                    return Ok(Constraint::Is(truth));
                }
            }
        }
        let number = self.number(attribute)?;
        match (sign, number) {
            ("=", None) => Ok(Constraint::OneOf([self.value(attribute)?].into())),
            ("!=", None) => Ok(Constraint::NoneOf([self.value(attribute)?].into())),
            ("!=", Some(_)) => Err((column, "numbers are compared with =, <, <=, > and >=".to_owned())),
            (sign, Some((number, currency))) => Ok(Constraint::Within(range(sign, number, currency))),
            (_, None) => Err(self.expected("a number")),
        }
    }

    /// A number, or a time of day, and its currency; `None` if something else comes.
    fn number(&mut self, attribute: &Attribute) -> Result<Option<(Decimal, Option<SmolStr>)>, Wrong> {
        let Some(&Piece::Word(word)) = self.peek() else { return Ok(None) };
        if matches!(attribute, Attribute::Time) {
            let time = time_of_day(word).ok_or_else(|| self.expected("a time from 00:00 to 24:00"))?;
            self.next += 1;
            return Ok(Some((time, None)));
        }
        if !word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Ok(None);
        }
        let exact = || self.expected("a number with at most four digits behind the point, or a word in quotes");
        let number = Decimal::parse(word).ok_or_else(exact)?;
        self.next += 1;
        let is_currency = |word: &str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let currency = match self.peek() {
            Some(&Piece::Word(word)) if is_currency(word) => Some(SmolStr::from(word)),
            _ => None,
        };
        if currency.is_some() {
            if attribute.currency().is_none() {
                return Err((self.column(), format!("{attribute} has no currency")));
            }
            self.next += 1;
        }
        Ok(Some((number, currency)))
    }

    fn value(&mut self, attribute: &Attribute) -> Result<SmolStr, Wrong> {
        let column = self.column();
        let word: SmolStr = match self.peek() {
            Some(Piece::Quoted(word)) => word.as_str().into(),
            Some(&Piece::Word(word)) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => word.into(),
            _ => return Err(self.expected("a word")),
        };
        self.next += 1;
        if word.len() > WORD_BYTES_MAX {
            return Err((column, format!("the word is longer than {WORD_BYTES_MAX} bytes")));
        }
        if matches!(attribute, Attribute::Day) && !DAYS.contains(&word.as_str()) {
            return Err((column, format!("a day is one of {}", DAYS.join(", "))));
        }
        Ok(word)
    }

    fn list(&mut self, attribute: &Attribute) -> Result<BTreeSet<SmolStr>, Wrong> {
        if !self.takes("(") {
            return Err(self.expected("`(`"));
        }
        if matches!(attribute, Attribute::Time) {
            return Err((self.column(), "a time is compared with <, <=, > and >=".to_owned()));
        }
        let mut words = BTreeSet::new();
        loop {
            words.insert(self.value(attribute)?);
            if words.len() > CONDITIONS_MAX {
                return Err((self.column(), format!("more than {CONDITIONS_MAX} words")));
            }
            if self.takes(")") {
                return Ok(words);
            }
            if !self.takes(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn obligation(&mut self) -> Result<Obligation, Wrong> {
        if self.takes(STEP_UP) {
            return Ok(Obligation::StepUp);
        }
        if self.takes(LOG) {
            return Ok(Obligation::Log);
        }
        if !self.takes("budget") {
            return Err(self.expected("step-up, log or budget"));
        }
        let context = Attribute::Context(SmolStr::new_static("amount"));
        let column = self.column();
        let (most, currency) = self.number(&context)?.ok_or_else(|| self.expected("a number"))?;
        if most < Decimal::default() {
            return Err((column, "a budget is not negative".to_owned()));
        }
        let of = match currency {
            Some(currency) => Counted::Amount(currency),
            None if self.takes("calls") => Counted::Calls,
            None => return Err(self.expected("a currency or `calls`")),
        };
        if !self.takes("per") {
            return Err(self.expected("`per`"));
        }
        match Period::ALL.into_iter().find(|(word, _)| self.takes(word)) {
            Some((_, per)) => Ok(Obligation::Budget(Budget { of, per, most })),
            None => Err(self.expected("hour, day, week or life")),
        }
    }
}

fn range(sign: &str, number: Decimal, currency: Option<SmolStr>) -> Range {
    let end = |included| Some(End { number, included });
    let (least, most) = match sign {
        "<" => (None, end(false)),
        "<=" => (None, end(true)),
        ">" => (end(false), None),
        ">=" => (end(true), None),
        _ => (end(true), end(true)),
    };
    Range { least, most, currency }
}

/// Minutes of a day.
pub(super) fn time_of_day(text: &str) -> Option<Decimal> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|minutes| *minutes < 60)?);
    let minutes = hours * 60 + minutes;
    (hours >= 0 && minutes <= DAY_MINUTES).then(|| Decimal::whole(minutes)).flatten()
}
