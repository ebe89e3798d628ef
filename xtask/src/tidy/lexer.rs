//! Rust source to tokens with line numbers: just enough to tell code from comments and strings.
//!
//! Deliberately not a parser. It never fails: text that is not Rust becomes punctuation.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident,
    Lifetime,
    /// Strings, characters, numbers.
    Literal,
    /// One character, or `::`.
    Punct,
    Comment,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// First and last line, from 1.
    pub(crate) line: usize,
    pub(crate) last_line: usize,
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut cursor = Cursor { text, at: 0, line: 1 };
    let mut tokens = Vec::new();
    loop {
        cursor.eat_while(char::is_whitespace);
        let (start, line) = (cursor.at, cursor.line);
        let Some(kind) = cursor.token() else { return tokens };
        let text = text.get(start..cursor.at).unwrap_or_default().to_owned();
        tokens.push(Token { kind, text, line, last_line: cursor.line });
    }
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl Cursor<'_> {
    /// Moves over one token; `None` at the end.
    fn token(&mut self) -> Option<Kind> {
        if self.starts_with("//") {
            self.eat_while(|c| c != '\n');
            return Some(Kind::Comment);
        }
        if self.starts_with("/*") {
            self.block_comment();
            return Some(Kind::Comment);
        }
        let first = self.peek(0)?;
        Some(match first {
            '"' => self.string(),
            '\'' => self.quote(),
            '0'..='9' => self.number(),
            _ if is_ident_start(first) => self.ident_or_prefixed_string(),
            _ => self.punct(),
        })
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if self.starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if self.starts_with("*/") {
                depth = depth.saturating_sub(1);
                self.skip(2);
                if depth == 0 {
                    return;
                }
            } else if self.bump().is_none() {
                return;
            }
        }
    }

    fn string(&mut self) -> Kind {
        self.bump();
        while let Some(c) = self.bump() {
            match c {
                '\\' => self.skip(1),
                '"' => break,
                _ => {}
            }
        }
        Kind::Literal
    }

    /// At `r`'s hashes: `#"…"#` with as many hashes at the end as at the start.
    fn raw_string(&mut self) -> Kind {
        let mut hashes = 0;
        while self.peek(0) == Some('#') {
            self.bump();
            hashes += 1;
        }
        self.bump();
        let end = format!("\"{}", "#".repeat(hashes));
        while !self.starts_with(&end) {
            if self.bump().is_none() {
                return Kind::Literal;
            }
        }
        self.skip(end.len());
        Kind::Literal
    }

    /// A character literal or a lifetime: `'a'` against `'a`.
    fn quote(&mut self) -> Kind {
        self.bump();
        if self.peek(0) == Some('\\') {
            self.skip(2);
            self.eat_while(|c| c != '\'' && c != '\n');
            self.bump();
            return Kind::Literal;
        }
        if self.peek(1) == Some('\'') {
            self.skip(2);
            return Kind::Literal;
        }
        self.eat_while(is_ident_continue);
        Kind::Lifetime
    }

    fn number(&mut self) -> Kind {
        self.eat_while(is_ident_continue);
        // `1.5` goes on, `1..5` and `1.max(2)` do not.
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            self.bump();
            self.eat_while(is_ident_continue);
        }
        Kind::Literal
    }

    fn ident_or_prefixed_string(&mut self) -> Kind {
        let start = self.at;
        self.eat_while(is_ident_continue);
        let word = self.text.get(start..self.at).unwrap_or_default();
        let raw_follows = self.text.get(self.at..).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'));
        match (word, self.peek(0)) {
            ("r" | "br" | "cr", Some('"' | '#')) if raw_follows => self.raw_string(),
            ("b" | "c", Some('"')) => self.string(),
            ("b", Some('\'')) => self.quote(),
            ("r", Some('#')) => {
                self.bump();
                self.eat_while(is_ident_continue);
                Kind::Ident
            }
            _ => Kind::Ident,
        }
    }

    fn punct(&mut self) -> Kind {
        if self.starts_with("::") {
            self.skip(2);
        } else {
            self.skip(1);
        }
        Kind::Punct
    }

    fn starts_with(&self, prefix: &str) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(prefix))
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at..)?.chars().nth(ahead)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += c.len_utf8();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn skip(&mut self, characters: usize) {
        for _ in 0..characters {
            self.bump();
        }
    }

    fn eat_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.bump();
        }
    }
}

fn is_ident_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_ident_continue(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(Kind, &str)]) {
        let tokens = tokens(text);
        let found: Vec<_> = tokens.iter().map(|token| (token.kind, token.text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn code_comments_and_strings_are_told_apart() {
        check("a::b // c", &[(Kind::Ident, "a"), (Kind::Punct, "::"), (Kind::Ident, "b"), (Kind::Comment, "// c")]);
        check("/* a /* b */ c */ d", &[(Kind::Comment, "/* a /* b */ c */"), (Kind::Ident, "d")]);
        check(r#""a \" // b" c"#, &[(Kind::Literal, r#""a \" // b""#), (Kind::Ident, "c")]);
        check(r##"r#"a " b"# c"##, &[(Kind::Literal, r##"r#"a " b"#"##), (Kind::Ident, "c")]);
        check(
            r#"b"x" br"\" c"y""#,
            &[(Kind::Literal, r#"b"x""#), (Kind::Literal, r#"br"\""#), (Kind::Literal, r#"c"y""#)],
        );
    }

    #[test]
    fn quotes_are_characters_or_lifetimes() {
        check("'a' 'a b'{'", &[(Kind::Literal, "'a'"), (Kind::Lifetime, "'a"), (Kind::Literal, "b'{'")]);
        check(r"'\'' '\u{1F600}' x", &[(Kind::Literal, r"'\''"), (Kind::Literal, r"'\u{1F600}'"), (Kind::Ident, "x")]);
    }

    #[test]
    fn raw_identifiers_and_numbers_are_single_tokens() {
        check("r#type 1.5e3", &[(Kind::Ident, "r#type"), (Kind::Literal, "1.5e3")]);
        let range = [(Kind::Literal, "1"), (Kind::Punct, "."), (Kind::Punct, "."), (Kind::Literal, "5")];
        check("1..5", &range);
    }

    #[test]
    fn lines_are_counted_through_multi_line_tokens() {
        let tokens = tokens("a\n\"x\ny\"\nb");
        let lines: Vec<_> = tokens.iter().map(|token| (token.line, token.last_line)).collect();
        assert_eq!(lines, [(1, 1), (2, 3), (4, 4)]);
    }

    #[test]
    fn unfinished_text_ends_quietly() {
        for text in ["\"abc", "/* abc", "r#\"abc", "'\\", "'"] {
            tokens(text);
        }
    }
}
