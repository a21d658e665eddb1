//! What callers write beside names: media types, entity tags, versions, digests. Each is a type of its own before it becomes
//! a header or part of a request.

use aws_lc_rs::digest::{self, SHA256};
use std::fmt;

/// A content type, as in `text/csv; charset=utf-8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(String);

/// An entity tag, in its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag(String);

/// A version of an object, as the store calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionId(String);

/// A SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256([u8; 32]);

/// Why one of these is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// RFC 9110 §8.3.1.
    #[error(
        "content_type is a type and subtype of {MEDIA_TYPE_MAX} characters at most, as in text/csv; charset=utf-8"
    )]
    MediaType,
    /// RFC 9110 §8.8.3, without weak ones.
    #[error("if_match is an etag as the tools give it, of {ETAG_MAX} characters at most")]
    Etag,
    /// Characters that a version has nowhere.
    #[error("a version is one as list_versions gives it, of {VERSION_MAX} characters at most")]
    Version,
    /// Not 64 hexadecimal digits.
    #[error("sha256 is 64 hexadecimal digits")]
    Sha256,
}

const MEDIA_TYPE_MAX: usize = 255;
const ETAG_MAX: usize = 256;
const VERSION_MAX: usize = 1024;

impl MediaType {
    /// Reads a media type with its parameters.
    ///
    /// # Errors
    /// [`ArgumentError::MediaType`].
    pub fn parse(text: &str) -> Result<Self, ArgumentError> {
        let token = |t: &str| !t.is_empty() && t.bytes().all(is_token);
        let mut parts = text.split(';');
        let essence = parts.next().and_then(|part| part.trim_end_matches(' ').split_once('/'));
        let parameters = parts.all(|part| match part.trim_matches(' ').split_once('=') {
            Some((name, value)) => {
                let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                token(name) && quoted.map_or_else(|| token(value), |inner| inner.bytes().all(is_quotable))
            }
            None => false,
        });
        match essence {
            Some((kind, sub)) if text.len() <= MEDIA_TYPE_MAX && token(kind) && token(sub) && parameters => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(ArgumentError::MediaType),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Between quotes, without escapes.
fn is_quotable(b: u8) -> bool {
    matches!(b, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl Etag {
    /// Reads an entity tag, with its quotes or without.
    ///
    /// # Errors
    /// [`ArgumentError::Etag`], for `*` and for lists of tags too.
    pub fn parse(text: &str) -> Result<Self, ArgumentError> {
        let inner = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text);
        let plain = |b: u8| matches!(b, 0x21 | 0x23..=0x7e) && b != b',' && b != b'*';
        if inner.is_empty() || inner.len() > ETAG_MAX || !inner.bytes().all(plain) {
            return Err(ArgumentError::Etag);
        }
        Ok(Self(format!("\"{inner}\"")))
    }

    /// With its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a store's tag is this one; some write none of the quotes.
    pub fn is(&self, of_store: &str) -> bool {
        self.0.trim_matches('"') == of_store.trim_matches('"')
    }
}

impl VersionId {
    /// Reads a version.
    ///
    /// # Errors
    /// [`ArgumentError::Version`].
    pub fn parse(text: &str) -> Result<Self, ArgumentError> {
        // Stores take them from a query, so what would mean something there is no part of one.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:".contains(&b);
        if text.is_empty() || text.len() > VERSION_MAX || !text.bytes().all(plain) {
            return Err(ArgumentError::Version);
        }
        Ok(Self(text.to_owned()))
    }

    /// As the store wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sha256 {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`ArgumentError::Sha256`].
    pub fn parse(text: &str) -> Result<Self, ArgumentError> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(ArgumentError::Sha256)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |sum, digit| sum << 4 | digit);
        }
        Ok(Self(bytes))
    }

    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_bytes(digest::digest(&SHA256, bytes).as_ref()).unwrap_or(Self([0; 32]))
    }

    /// What a hash has come to.
    pub(crate) fn finished(hash: digest::Context) -> Self {
        Self::from_bytes(hash.finish().as_ref()).unwrap_or(Self([0; 32]))
    }

    /// 32 bytes, as a store has written them down.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn media_types_are_those_of_http() {
        for right in ["text/csv", "text/plain; charset=utf-8", "a/b;c=\"d e\"", "application/vnd.x+json"] {
            assert_eq!(MediaType::parse(right).unwrap().as_str(), right);
        }
        let long = format!("text/{}", "x".repeat(251));
        for wrong in [
            "",
            "text",
            "text/",
            "/csv",
            "text/csv;",
            "text/csv; charset",
            "te xt/csv",
            "text/csv\r\nx: y",
            "text/cs\u{e4}",
            "text/csv; a=\"",
            "text/csv; a=\"\\\"",
            "text/csv, text/html",
            "text/csv\0",
            &long,
        ] {
            assert_eq!(MediaType::parse(wrong), Err(ArgumentError::MediaType), "{wrong:?}");
        }
    }

    #[test]
    fn a_tag_is_one_tag() {
        assert_eq!(Etag::parse("abc").unwrap(), Etag::parse("\"abc\"").unwrap());
        assert!(Etag::parse("\"abc-2\"").unwrap().is("abc-2"));
        let long = "x".repeat(257);
        for wrong in ["", "\"\"", "*", "a,b", "\"a\", \"b\"", "W/\"a\"", "a b", "a\nb", "\u{e4}", "\"", &long]
        {
            assert_eq!(Etag::parse(wrong), Err(ArgumentError::Etag), "{wrong:?}");
        }
    }

    #[test]
    fn a_version_is_nothing_else_of_a_query() {
        for right in [
            "null",
            "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo",
            "2026-01-01T00:00:00.0000000Z",
        ] {
            assert!(VersionId::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "a&uploadId=b", "a b", "a#b", "a?b", "a%26b", "\u{e4}", "a\nb", &"x".repeat(1025)] {
            assert_eq!(VersionId::parse(wrong), Err(ArgumentError::Version), "{wrong:?}");
        }
    }

    #[test]
    fn a_digest_is_64_digits() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::parse(empty).unwrap(), Sha256::of(b""));
        assert_eq!(Sha256::parse(&empty.to_uppercase()).unwrap().to_string(), empty);
        for wrong in [
            "",
            "e3",
            &empty[1..],
            &format!("{empty}0"),
            &empty.replace('e', "g"),
            &empty.replace('e', "\u{e4}"),
        ] {
            assert_eq!(Sha256::parse(wrong), Err(ArgumentError::Sha256), "{wrong:?}");
        }
    }
}
