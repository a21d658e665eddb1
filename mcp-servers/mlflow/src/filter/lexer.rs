//! The words of a filter.

use super::can_be_quoted;
use crate::error::MlflowError;
use crate::names::is_unseen;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Number(f64),
    /// What stood between quotes.
    Text(String),
    Operator(&'static str),
    Symbol(char),
    End,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Where the next token is looked for, in bytes.
    at: usize,
    /// Where the last one began.
    begin: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, bytes_max: usize) -> Result<Self, MlflowError> {
        if text.len() > bytes_max {
            let what = format!("it is longer than {bytes_max} bytes");
            return Err(MlflowError::Filter { what, position: 1 });
        }
        Ok(Self { text, at: 0, begin: 0 })
    }

    /// An error at the last token.
    pub(super) fn wrong(&self, what: impl Into<String>) -> MlflowError {
        let before = self.text.get(..self.begin).unwrap_or_default();
        MlflowError::Filter { what: what.into(), position: before.chars().count() + 1 }
    }

    pub(super) fn peek(&mut self) -> Result<Token, MlflowError> {
        let (at, begin) = (self.at, self.begin);
        let token = self.next()?;
        (self.at, self.begin) = (at, begin);
        Ok(token)
    }

    pub(super) fn next(&mut self) -> Result<Token, MlflowError> {
        let rest = self.rest().trim_start_matches([' ', '\t', '\n', '\r']);
        self.begin = self.text.len() - rest.len();
        self.at = self.begin;
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Word(self.take(|c| c.is_ascii_alphanumeric() || c == '_').to_owned()));
        }
        if first.is_ascii_digit() || matches!(first, '-' | '.') {
            return self.number();
        }
        if matches!(first, '\'' | '"') {
            return self.quoted(first).map(Token::Text);
        }
        for operator in ["!=", "<=", ">=", "=", "<", ">"] {
            if rest.starts_with(operator) {
                self.at += operator.len();
                return Ok(Token::Operator(operator));
            }
        }
        if matches!(first, '(' | ')' | ',') {
            self.at += 1;
            return Ok(Token::Symbol(first));
        }
        Err(self.wrong("this is no part of a filter"))
    }

    pub(super) fn keyword(&mut self, wanted: &str) -> Result<(), MlflowError> {
        match self.next()? {
            Token::Word(word) if word.eq_ignore_ascii_case(wanted) => Ok(()),
            _ => Err(self.wrong(format!("{wanted} is expected"))),
        }
    }

    pub(super) fn symbol(&mut self, wanted: char) -> Result<(), MlflowError> {
        match self.next()? {
            Token::Symbol(found) if found == wanted => Ok(()),
            _ => Err(self.wrong(format!("{wanted:?} is expected"))),
        }
    }

    /// Whether a dot follows at once; it is taken.
    pub(super) fn dot(&mut self) -> bool {
        let dot = self.rest().starts_with('.');
        self.at += usize::from(dot);
        dot
    }

    /// The key behind a dot: bare, or in backticks or double quotes.
    pub(super) fn key(&mut self) -> Result<String, MlflowError> {
        self.begin = self.at;
        let key = match self.rest().chars().next() {
            Some(quote @ ('`' | '"')) => self.quoted(quote)?,
            _ => self.take(|c| c.is_ascii_alphanumeric() || "_./-".contains(c)).to_owned(),
        };
        let whole = !key.is_empty() && key.trim() == key && !key.chars().any(is_unseen);
        if whole && !key.contains(['`', '"', '\'', '\\']) {
            Ok(key)
        } else {
            Err(self.wrong("a key is expected"))
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn number(&mut self) -> Result<Token, MlflowError> {
        let text = self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
        let digits = text.bytes().all(|b| b.is_ascii_digit() || b".-+eE".contains(&b));
        match text.parse::<f64>() {
            Ok(number) if digits && number.is_finite() => Ok(Token::Number(number)),
            _ => Err(self.wrong("this is no number")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, MlflowError> {
        let inner = self.rest().get(1..).unwrap_or_default();
        let Some((text, after)) = inner.split_once(quote) else {
            return Err(self.wrong("the quotes are not closed"));
        };
        if after.starts_with(quote) || (quote != '`' && !can_be_quoted(text)) {
            let what =
                "a text has no unseen characters, one kind of quotes at most, and no backslash before one";
            return Err(self.wrong(what));
        }
        self.at += text.len() + 2;
        Ok(text.to_owned())
    }
}
