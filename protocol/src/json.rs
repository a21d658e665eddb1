//! The strict scanner: one pass over a JSON document, no tree, and nothing that two parsers could read in two ways.
//! Parsers disagree on repeated keys, on keys that differ in case, on half surrogates and on numbers that a double
//! can't hold; policy must see what the upstream will see, so such documents are refused.

mod members;
mod scanner;

pub(crate) use members::{MemberError, Members, is_same_folded, string};

use scanner::Scanner;

/// How large a document may be in what its bytes don't show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects and arrays that may stand inside one another. [`serde_json::Value`] holds no more than 127.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth_max: 64 }
    }
}

/// Why a document is refused. Offsets are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// RFC 8259 §8.1.
    #[error("not UTF-8 at byte {offset}")]
    Utf8 {
        /// Where.
        offset: usize,
    },
    /// RFC 8259 §8.1: some parsers skip it, others fail.
    #[error("a byte order mark stands before the document")]
    ByteOrderMark,
    /// RFC 8259 §2.
    #[error("not JSON at byte {offset}")]
    Syntax {
        /// Where.
        offset: usize,
    },
    /// A second value, or anything else but white space.
    #[error("something stands behind the document at byte {offset}")]
    Trailing {
        /// Where.
        offset: usize,
    },
    /// RFC 8259 §4: what a repeated key means is the parser's choice.
    #[error("an object that ends before byte {offset} repeats a key")]
    DuplicateKey {
        /// Behind the object's end.
        offset: usize,
    },
    /// Some parsers take `Name` for `name`.
    #[error("an object that ends before byte {offset} has two keys that differ in case only")]
    CaseVariant {
        /// Behind the object's end.
        offset: usize,
    },
    /// A key by which a parser marks values of its own: what stands behind it, it would read as something else.
    #[error("a reserved key before byte {offset}")]
    ReservedKey {
        /// Behind the colon.
        offset: usize,
    },
    /// RFC 8259 §8.2.
    #[error("half a surrogate pair before byte {offset}")]
    LoneSurrogate {
        /// Behind the escape.
        offset: usize,
    },
    /// An integer outside `i64` and `u64`, the integer `-0`, or a decimal of which a double holds another value: one
    /// beyond its range, or with more digits than it keeps.
    #[error("a number that can't be held before byte {offset}")]
    Number {
        /// Behind the number.
        offset: usize,
    },
    /// Deeper than [`Limits::depth_max`].
    #[error("nested too deep at byte {offset}")]
    Depth {
        /// The bracket that is too many.
        offset: usize,
    },
}

impl JsonError {
    /// The stable code.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Utf8 { .. } => "invalid_utf8",
            Self::ByteOrderMark => "byte_order_mark",
            Self::Syntax { .. } => "invalid_json",
            Self::Trailing { .. } => "trailing_bytes",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::CaseVariant { .. } => "case_variant_key",
            Self::ReservedKey { .. } => "reserved_key",
            Self::LoneSurrogate { .. } => "lone_surrogate",
            Self::Number { .. } => "inexact_number",
            Self::Depth { .. } => "too_deep",
        }
    }

    /// Whether it is the grammar that is broken, or only our stricter rules.
    pub(crate) fn is_syntax(&self) -> bool {
        match self {
            Self::Utf8 { .. } | Self::ByteOrderMark | Self::Syntax { .. } | Self::Trailing { .. } => true,
            Self::DuplicateKey { .. }
            | Self::CaseVariant { .. }
            | Self::ReservedKey { .. }
            | Self::LoneSurrogate { .. }
            | Self::Number { .. }
            | Self::Depth { .. } => false,
        }
    }
}

/// Checks a whole document, strictly.
///
/// UTF-8 without a byte order mark, the grammar of RFC 8259, nothing but white space behind the value. In one object,
/// at any depth, no two keys that are equal once unescaped, or equal but for case (simple case mappings). No half
/// surrogate pairs. Integers that `i64` or `u64` hold, and decimals that an `f64` gives back
/// as they were.
///
/// # Errors
/// The first [`JsonError`]; repeated keys are found where their object ends.
pub fn check(bytes: &[u8], limits: &Limits) -> Result<(), JsonError> {
    Scanner::new(text(bytes)?, limits, false).document()
}

/// [`check`] for a JSON-RPC call, whose text it gives back. With `case_variants_in_arguments`, keys below
/// `params.arguments` may differ in case only: they belong to the tool, and some tools have such.
pub(crate) fn check_call<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    case_variants_in_arguments: bool,
) -> Result<&'a str, JsonError> {
    let text = text(bytes)?;
    Scanner::new(text, limits, case_variants_in_arguments).document()?;
    Ok(text)
}

fn text(bytes: &[u8]) -> Result<&str, JsonError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(JsonError::ByteOrderMark);
    }
    std::str::from_utf8(bytes).map_err(|error| JsonError::Utf8 { offset: error.valid_up_to() })
}

/// A key as readers that ignore case see it: each character upper-cased and then lower-cased, where those are single
/// characters (so that `K` for kelvin, the long `s` and both small sigmas meet their like).
pub(crate) fn folded(key: &str) -> String {
    if key.is_ascii() {
        return key.to_ascii_lowercase(); // Which is the same, and nearly all keys are.
    }
    key.chars()
        .map(|c| match c {
            '\u{130}' => 'i', // Its simple mapping; the full one has two characters.
            c => single(single(c, c.to_uppercase()), single(c, c.to_uppercase()).to_lowercase()),
        })
        .collect()
}

fn single(otherwise: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(c), None) => c,
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests;
