//! MLflow's filters, `metrics.loss < 0.2 AND tags.team = 'a'`, and its orders, `metrics.loss DESC`: read into a type,
//! checked against what can be asked of which thing, and written anew. MLflow never gets a caller's own text.

use crate::error::MlflowError;
use crate::names::is_unseen;
use std::fmt;

mod lexer;
use lexer::{Lexer, Token};

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entity {
    Experiments,
    Runs,
    Models,
    Versions,
    Traces,
}

/// Clauses that all have to hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter(Vec<Clause>);

/// By what a list is sorted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    field: Field,
    descending: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Clause {
    field: Field,
    test: Test,
}

/// One thing of what is searched: an attribute of it, or an entry of one of its maps.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    kind: Kind,
    key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    /// A text attribute that MLflow compares with lists, too.
    Listed,
    Metric,
    Param,
    Tag,
    Metadata,
    Dataset,
    Span,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Compares(&'static str, Value),
    Among { not: bool, texts: Vec<String> },
    Missing { not: bool },
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Text(String),
}

const BYTES_MAX: usize = 4096;
const CLAUSES_MAX: usize = 32;
const LIST_MAX: usize = 100;
const NUMERIC: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];
const TEXTUAL: [&str; 4] = ["=", "!=", "LIKE", "ILIKE"];

impl Entity {
    /// What a word before a dot means here.
    fn map(self, word: &str) -> Option<Kind> {
        match (self, word) {
            (_, "tag" | "tags") => Some(Kind::Tag),
            (Self::Runs, "metric" | "metrics") => Some(Kind::Metric),
            (Self::Runs, "param" | "params" | "parameter" | "parameters") => Some(Kind::Param),
            (Self::Runs, "dataset" | "datasets") => Some(Kind::Dataset),
            (Self::Traces, "metadata" | "request_metadata") => Some(Kind::Metadata),
            (Self::Traces, "span") => Some(Kind::Span),
            _ => None,
        }
    }

    /// Whether `word.` stands before an attribute.
    fn attributes(self, word: &str) -> bool {
        match self {
            Self::Runs => matches!(word, "attribute" | "attributes" | "attr" | "run"),
            Self::Traces => matches!(word, "attribute" | "attributes" | "trace"),
            _ => matches!(word, "attribute" | "attributes"),
        }
    }

    fn attribute(self, key: &str) -> Option<Kind> {
        Some(match (self, key) {
            (Self::Experiments, "name") => Kind::Text,
            (Self::Experiments, "experiment_id") => Kind::Listed,
            (Self::Experiments, "creation_time" | "last_update_time") => Kind::Number,
            (Self::Runs, "status" | "run_name" | "user_id") => Kind::Text,
            (Self::Runs, "run_id") => Kind::Listed,
            (Self::Runs, "start_time" | "end_time") => Kind::Number,
            (Self::Models, "name") => Kind::Text,
            (Self::Versions, "name" | "run_id") => Kind::Listed,
            (Self::Versions, "version_number") => Kind::Number,
            (Self::Traces, "name" | "status" | "request_id" | "run_id" | "client_request_id") => Kind::Listed,
            (Self::Traces, "timestamp_ms" | "execution_time_ms" | "end_time_ms") => Kind::Number,
            _ => return None,
        })
    }

    /// What can be sorted by, but can't be asked for.
    fn sortable(self, key: &str) -> bool {
        matches!(
            (self, key),
            (Self::Models, "last_updated_timestamp")
                | (Self::Versions, "creation_timestamp" | "last_updated_timestamp")
        )
    }

    fn operators(self, field: &Field) -> &'static [&'static str] {
        match field.kind {
            Kind::Number | Kind::Metric => &NUMERIC,
            Kind::Span if field.key == "content" => &["LIKE", "ILIKE"],
            _ if self == Self::Traces => &["=", "!=", "LIKE", "ILIKE", "RLIKE"],
            _ => &TEXTUAL,
        }
    }

    fn knows_missing(self, kind: Kind) -> bool {
        let of_a_map = matches!(kind, Kind::Tag | Kind::Param | Kind::Metadata);
        of_a_map && !matches!(self, Self::Models | Self::Versions)
    }
}

impl Filter {
    /// Reads a filter for one kind of thing. An empty one is none, and refused.
    pub(crate) fn parse(entity: Entity, text: &str) -> Result<Self, MlflowError> {
        let mut lexer = Lexer::new(text, BYTES_MAX)?;
        let mut clauses = vec![clause(entity, &mut lexer)?];
        while lexer.peek()? != Token::End {
            lexer.keyword("AND")?;
            if clauses.len() == CLAUSES_MAX {
                return Err(lexer.wrong(format!("a filter has {CLAUSES_MAX} clauses at most")));
            }
            clauses.push(clause(entity, &mut lexer)?);
        }
        Ok(Self(clauses))
    }
}

impl Filter {
    /// What has this name, or a name that begins so; `None` where MLflow has no quotes for it. It narrows what MLflow gives,
    /// and decides nothing: `_` and `%` mean more there than themselves.
    pub(crate) fn named(entity: Entity, name: &str, beginning: bool) -> Option<Self> {
        let kind = entity.attribute("name").filter(|_| can_be_quoted(name))?;
        let field = Field { kind, key: "name".into() };
        let test = match beginning {
            true => Test::Compares("LIKE", Value::Text(format!("{name}%"))),
            false => Test::Compares("=", Value::Text(name.to_owned())),
        };
        Some(Self(vec![Clause { field, test }]))
    }

    /// Both filters at once.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Order {
    /// Reads a field, and perhaps `ASC` or `DESC`.
    pub(crate) fn parse(entity: Entity, text: &str) -> Result<Self, MlflowError> {
        let mut lexer = Lexer::new(text, BYTES_MAX)?;
        let field = match lexer.peek()? {
            Token::Word(word) if entity.sortable(&word) => {
                lexer.next()?;
                Field { kind: Kind::Number, key: word }
            }
            _ => field(entity, &mut lexer)?,
        };
        let of_runs = matches!(field.kind, Kind::Metric | Kind::Param | Kind::Tag) && entity == Entity::Runs;
        let shlex = field.key.contains(['\\', '"', '\'', '`']); // MLflow reads an order with the rules of a shell.
        if shlex || !(of_runs || matches!(field.kind, Kind::Number | Kind::Text | Kind::Listed)) {
            return Err(lexer.wrong("this can't be sorted by"));
        }
        let descending = match lexer.next()? {
            Token::End => return Ok(Self { field, descending: false }),
            Token::Word(word) if word.eq_ignore_ascii_case("ASC") => false,
            Token::Word(word) if word.eq_ignore_ascii_case("DESC") => true,
            _ => return Err(lexer.wrong("an order is a field, and ASC or DESC behind it")),
        };
        match lexer.next()? {
            Token::End => Ok(Self { field, descending }),
            _ => Err(lexer.wrong("an order ends with ASC or DESC")),
        }
    }
}

fn clause(entity: Entity, lexer: &mut Lexer<'_>) -> Result<Clause, MlflowError> {
    let field = field(entity, lexer)?;
    let test = match lexer.next()? {
        Token::Operator(operator) => compared(entity, &field, operator, lexer)?,
        Token::Word(word) => match word.to_ascii_uppercase().as_str() {
            "LIKE" => compared(entity, &field, "LIKE", lexer)?,
            "ILIKE" => compared(entity, &field, "ILIKE", lexer)?,
            "RLIKE" => compared(entity, &field, "RLIKE", lexer)?,
            "IN" => among(&field, false, lexer)?,
            "NOT" => {
                lexer.keyword("IN")?;
                among(&field, true, lexer)?
            }
            "IS" => missing(entity, &field, lexer)?,
            _ => return Err(lexer.wrong("a comparison is expected")),
        },
        _ => return Err(lexer.wrong("a comparison is expected")),
    };
    Ok(Clause { field, test })
}

fn field(entity: Entity, lexer: &mut Lexer<'_>) -> Result<Field, MlflowError> {
    let Token::Word(word) = lexer.next()? else { return Err(lexer.wrong("a field is expected")) };
    let unknown = "there is no such field here";
    if !lexer.dot() {
        let kind = entity.attribute(&word).ok_or_else(|| lexer.wrong(unknown))?;
        return Ok(Field { kind, key: word });
    }
    if entity.attributes(&word) {
        let key = lexer.key()?;
        let kind = entity.attribute(&key).ok_or_else(|| lexer.wrong(unknown))?;
        return Ok(Field { kind, key });
    }
    let kind = entity.map(&word).ok_or_else(|| lexer.wrong(unknown))?;
    let key = lexer.key()?;
    let known = match kind {
        Kind::Dataset => matches!(key.as_str(), "name" | "digest" | "context"),
        Kind::Span => matches!(key.as_str(), "name" | "type" | "status" | "content"),
        _ => true,
    };
    if known { Ok(Field { kind, key }) } else { Err(lexer.wrong(unknown)) }
}

fn compared(
    entity: Entity,
    field: &Field,
    operator: &str,
    lexer: &mut Lexer<'_>,
) -> Result<Test, MlflowError> {
    let known = entity.operators(field).iter().find(|known| **known == operator).copied();
    let operator = known.ok_or_else(|| lexer.wrong("this field can't be compared so"))?;
    let value = match (lexer.next()?, matches!(field.kind, Kind::Number | Kind::Metric)) {
        (Token::Number(number), true) => Value::Number(number),
        (Token::Text(text), false) => Value::Text(text),
        (_, true) => return Err(lexer.wrong("a number is expected")),
        (_, false) => return Err(lexer.wrong("a text in quotes is expected")),
    };
    Ok(Test::Compares(operator, value))
}

fn among(field: &Field, not: bool, lexer: &mut Lexer<'_>) -> Result<Test, MlflowError> {
    if !matches!(field.kind, Kind::Listed | Kind::Dataset) {
        return Err(lexer.wrong("this field can't be compared with a list"));
    }
    lexer.symbol('(')?;
    let mut texts = Vec::new();
    loop {
        match lexer.next()? {
            // MLflow reads a list as Python does.
            Token::Text(text) if !text.contains('\\') && texts.len() < LIST_MAX => texts.push(text),
            _ => {
                return Err(lexer
                    .wrong(format!("up to {LIST_MAX} texts in quotes, without backslashes, are expected")));
            }
        }
        match lexer.next()? {
            Token::Symbol(',') => {}
            Token::Symbol(')') => return Ok(Test::Among { not, texts }),
            _ => return Err(lexer.wrong("',' or ')' is expected")),
        }
    }
}

fn missing(entity: Entity, field: &Field, lexer: &mut Lexer<'_>) -> Result<Test, MlflowError> {
    if !entity.knows_missing(field.kind) {
        return Err(lexer.wrong("this field can't be compared with NULL"));
    }
    let Token::Word(word) = lexer.next()? else { return Err(lexer.wrong("NULL is expected")) };
    let not = word.eq_ignore_ascii_case("NOT");
    if not {
        lexer.keyword("NULL")?;
    } else if !word.eq_ignore_ascii_case("NULL") {
        return Err(lexer.wrong("NULL is expected"));
    }
    Ok(Test::Missing { not })
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, clause) in self.0.iter().enumerate() {
            let and = if number == 0 { "" } else { " AND " };
            write!(f, "{and}{clause}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.field)?;
        match &self.test {
            Test::Compares(operator, Value::Number(number)) => write!(f, "{operator} {number}"),
            Test::Compares(operator, Value::Text(text)) => write!(f, "{operator} {}", Quoted(text)),
            Test::Among { not, texts } => {
                write!(f, "{}IN (", if *not { "NOT " } else { "" })?;
                for (number, text) in texts.iter().enumerate() {
                    write!(f, "{}{}", if number == 0 { "" } else { ", " }, Quoted(text))?;
                }
                f.write_str(")")
            }
            Test::Missing { not } => write!(f, "IS {}NULL", if *not { "NOT " } else { "" }),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match self.kind {
            Kind::Text | Kind::Number | Kind::Listed => write!(f, "{key}"),
            Kind::Metric => write!(f, "metrics.`{key}`"),
            Kind::Param => write!(f, "params.`{key}`"),
            Kind::Tag => write!(f, "tags.`{key}`"),
            Kind::Metadata => write!(f, "request_metadata.`{key}`"),
            Kind::Dataset => write!(f, "dataset.{key}"),
            Kind::Span => write!(f, "span.{key}"),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, if self.descending { "DESC" } else { "ASC" })
    }
}

/// MLflow knows no escapes: a text stands in the quotes that are not in it. One with both was refused.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('\'') { '"' } else { '\'' };
        write!(f, "{quote}{}{quote}", self.0)
    }
}

/// Whether a text means itself in MLflow's quotes: no unseen characters, one kind of quotes at most, and no backslash that
/// could take a quote's meaning away.
fn can_be_quoted(text: &str) -> bool {
    let both = text.contains('\'') && text.contains('"');
    let escapes = text.ends_with('\\') || text.contains("\\'") || text.contains("\\\"");
    !(both || escapes || text.chars().any(is_unseen))
}

#[cfg(test)]
mod tests;
