//! Names that mean one thing to everybody: to the policy that judged them, to this server, to the file system and to S3.
//! A name that another reader could take for a different one is refused here too, whoever let it through before.

use std::fmt::{self, Write as _};

/// A bucket's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(String);

/// An object's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

/// The beginning of keys: any characters of a key, the last segment cut anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// S3's rule for bucket names.
    #[error(
        "a bucket name has 3 to 63 of a-z, 0-9, '-' and '.', begins and ends with a letter or digit, and has no '..'"
    )]
    Bucket,
    /// Nothing, or more than S3 allows.
    #[error("a key has 1 to {KEY_BYTES_MAX} bytes")]
    Length,
    /// `//`, or a slash at the beginning or the end.
    #[error("a key has no empty segments: no '//' and no '/' at its beginning or end")]
    EmptySegment,
    /// `.` or `..`.
    #[error("'.' and '..' are no segments of a key")]
    DotSegment,
    /// Some systems take it for a slash.
    #[error("a key has no backslash")]
    Backslash,
    /// C0, C1, and what turns the writing direction or can't be seen.
    #[error("a key has no control characters")]
    Control,
    /// Decoded once more, it would be another key.
    #[error(
        "a key is written as it is: '%2e', '%2f', '%5c', '%25' and encoded control characters are refused"
    )]
    Encoded,
    /// Not `s3://bucket/key`, or percent-encoded where it need not be.
    #[error("a URI here is s3://BUCKET/KEY, percent-encoded only where RFC 3986 demands it")]
    Uri,
}

/// The longest key, in bytes of UTF-8.
pub(crate) const KEY_BYTES_MAX: usize = 1024;

impl Bucket {
    /// Reads a bucket's name.
    ///
    /// # Errors
    /// [`NameError::Bucket`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(|b| inner(*b)) && bytes.last().is_some_and(|b| inner(*b));
        let body = bytes.iter().all(|b| inner(*b) || matches!(b, b'-' | b'.'));
        if (3..=63).contains(&bytes.len()) && ends && body && !text.contains("..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Bucket)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key {
    /// Reads a key.
    ///
    /// # Errors
    /// [`NameError`] names the first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > KEY_BYTES_MAX {
            return Err(NameError::Length);
        }
        check_characters(text)?;
        for segment in text.split('/') {
            check_segment(segment)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    /// The one that begins every key.
    pub const fn empty() -> Self {
        Self(String::new())
    }

    /// Reads a prefix; the empty one begins every key.
    ///
    /// # Errors
    /// [`NameError`] names the first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > KEY_BYTES_MAX {
            return Err(NameError::Length);
        }
        check_characters(text)?;
        let (whole, cut) = text.rsplit_once('/').map_or((None, text), |(whole, cut)| (Some(whole), cut));
        for segment in whole.iter().flat_map(|w| w.split('/')) {
            check_segment(segment)?;
        }
        if cut == ".." { Err(NameError::DotSegment) } else { Ok(Self(text.to_owned())) }
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole segments of it, without the last slash: the folder to look into.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

fn check_segment(segment: &str) -> Result<(), NameError> {
    match segment {
        "" => Err(NameError::EmptySegment),
        "." | ".." => Err(NameError::DotSegment),
        _ => Ok(()),
    }
}

fn check_characters(text: &str) -> Result<(), NameError> {
    if text.contains('\\') {
        return Err(NameError::Backslash);
    }
    if text.chars().any(is_unseen) {
        return Err(NameError::Control);
    }
    if text
        .as_bytes()
        .windows(3)
        .filter_map(encoded)
        .any(|byte| matches!(byte, b'.' | b'/' | b'\\' | b'%') || byte.is_ascii_control() || !byte.is_ascii())
    {
        return Err(NameError::Encoded);
    }
    Ok(())
}

/// Control characters, line and paragraph separators, direction marks, zero-width characters.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The byte that `%XX` stands for.
fn encoded(window: &[u8]) -> Option<u8> {
    let [b'%', high, low] = window else { return None };
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// The URI of an object: what is no `pchar` of RFC 3986 §3.3 is percent-encoded, nothing else.
pub(crate) fn uri(bucket: &Bucket, key: &Key) -> String {
    let mut uri = format!("s3://{bucket}/");
    for byte in key.0.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}"); // Writing to a String can't fail.
        }
    }
    uri
}

/// Reads an object's URI. Only the one spelling that [`uri`] gives is accepted, so that whoever judged the text judged
/// the object.
///
/// # Errors
/// [`NameError::Uri`], or what is wrong with the bucket or the key.
pub(crate) fn parse_uri(text: &str) -> Result<(Bucket, Key), NameError> {
    let (bucket, path) =
        text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).ok_or(NameError::Uri)?;
    let (bucket, key) = (Bucket::parse(bucket)?, Key::parse(&decode(path)?)?);
    if uri(&bucket, &key) == text { Ok((bucket, key)) } else { Err(NameError::Uri) }
}

fn decode(path: &str) -> Result<String, NameError> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(rest.get(..3).and_then(encoded).ok_or(NameError::Uri)?);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| NameError::Uri)
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
