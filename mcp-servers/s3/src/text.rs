//! Bytes as text: UTF-8, or UTF-16 where a byte order mark says so. Anything else is no text here, and nothing is guessed.

use schemars::JsonSchema;
use serde::Serialize;

/// How a text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Charset {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "utf-16le")]
    Utf16Le,
    #[serde(rename = "utf-16be")]
    Utf16Be,
}

/// Bytes as text without its byte order mark. With `more`, the bytes are the beginning of something longer, and a character
/// that their end cuts is left out.
pub(crate) fn decoded(bytes: &[u8], more: bool) -> Option<(Charset, String)> {
    let (charset, text) = match bytes {
        [0xff, 0xfe, rest @ ..] => (Charset::Utf16Le, utf16(rest, more, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => (Charset::Utf16Be, utf16(rest, more, u16::from_be_bytes)?),
        [0xef, 0xbb, 0xbf, rest @ ..] => (Charset::Utf8, utf8(rest, more)?.to_owned()),
        _ => (Charset::Utf8, utf8(bytes, more)?.to_owned()),
    };
    (!text.contains('\0')).then_some((charset, text)) // Valid UTF-8, and yet no text.
}

/// Bytes as UTF-8. A character that the end cuts is left to what comes behind.
pub(crate) fn utf8(bytes: &[u8], more: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if more && error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
}

fn utf16(bytes: &[u8], more: bool, unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut units: Vec<u16> = pairs.iter().copied().map(unit).collect();
    if !rest.is_empty() && !more {
        return None;
    }
    if more && units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) {
        units.pop();
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_charset_is_known_or_there_is_no_text() {
        let le = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        for (bytes, charset) in [
            ("a\u{fc}\u{1f600}".as_bytes().to_vec(), Charset::Utf8),
            ("\u{feff}a\u{fc}\u{1f600}".as_bytes().to_vec(), Charset::Utf8),
            (le("\u{feff}a\u{fc}\u{1f600}"), Charset::Utf16Le),
            (be("\u{feff}a\u{fc}\u{1f600}"), Charset::Utf16Be),
        ] {
            assert_eq!(decoded(&bytes, false), Some((charset, "a\u{fc}\u{1f600}".to_owned())));
            let cut = &bytes[..bytes.len() - 1];
            assert_eq!(decoded(cut, true), Some((charset, "a\u{fc}".to_owned())), "the end cuts a character");
            assert_eq!(decoded(cut, false), None);
        }
        for bytes in [b"\xff\x00".as_slice(), b"PAR1\0\0", b"\xe4", b"\xff\xfe\x00\xd8a\x00", b"\x80abc"] {
            assert_eq!(decoded(bytes, false), None, "{bytes:?}");
        }
        assert_eq!(decoded(b"", false), Some((Charset::Utf8, String::new())));
    }
}
