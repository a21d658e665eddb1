//! RFC 8785 canonical JSON, written in one pass: members in the order in which they are given, no white space, strings with
//! the escapes of §3.2.2.2 and nothing more. Names are ours, ASCII and in sorted order; [`super::facts`] keeps that order.

use std::net::IpAddr;
use std::time::SystemTime;
use time::OffsetDateTime;

/// The largest integer that RFC 8785 §3.2.2.3 writes as it is: a number is a double there.
const INTEGER_MAX: u64 = (1 << 53) - 1;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The name of a member, quoted, and its colon.
pub(super) fn name(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(b"\\u00");
                hex(out, &[byte]);
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// A string, or null.
pub(super) fn string_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// An array of strings.
pub(super) fn strings<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a String>) {
    out.push(b'[');
    for (at, text) in texts.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(out, text);
    }
    out.push(b']');
}

/// An integer; what is beyond 2^53 - 1 is written as that.
pub(super) fn integer(out: &mut Vec<u8>, number: u64) {
    decimal(out, number.min(INTEGER_MAX), 1);
}

/// An address, as a string.
pub(super) fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    string(out, &ip.to_string());
}

/// A time as RFC 3339 has it, in UTC, with as many digits of the second as it has, up to nanoseconds.
pub(super) fn time(out: &mut Vec<u8>, at: SystemTime) {
    let utc = OffsetDateTime::from(at);
    out.push(b'"');
    decimal(out, u64::try_from(utc.year()).unwrap_or_default(), 4);
    for (mark, number) in [
        (b'-', u8::from(utc.month())),
        (b'-', utc.day()),
        (b'T', utc.hour()),
        (b':', utc.minute()),
        (b':', utc.second()),
    ] {
        out.push(mark);
        decimal(out, u64::from(number), 2);
    }
    if utc.nanosecond() > 0 {
        out.push(b'.');
        decimal(out, u64::from(utc.nanosecond()), 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(b"Z\"");
}

/// Lower-case hex.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

fn decimal(out: &mut Vec<u8>, mut number: u64, digits_min: usize) {
    let mut digits = [b'0'; 20];
    let mut from = digits.len();
    while number > 0 || digits.len() - from < digits_min {
        from -= 1;
        digits[from] = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
    out.extend_from_slice(&digits[from..]);
}

/// A member, with a comma behind it.
pub(super) fn member(out: &mut Vec<u8>, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    name(out, key);
    value(out);
    out.push(b',');
}

/// A member of text, if there is one.
pub(super) fn text(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        member(out, key, |out| string(out, value));
    }
}

/// A member that is a number, if there is one.
pub(super) fn number(out: &mut Vec<u8>, key: &str, value: Option<u64>) {
    if let Some(value) = value {
        member(out, key, |out| integer(out, value));
    }
}

/// An object of members that each have a comma behind them.
pub(super) fn object(out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'{');
    members(out);
    out.pop();
    out.push(b'}');
}

/// An object of one member.
pub(super) fn only(out: &mut Vec<u8>, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    object(out, |out| member(out, key, value));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};
    use time::format_description::well_known::Rfc3339;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_string_is_written_as_the_canonical_form_has_it() {
        let all: String = (0..0x11_0000).filter_map(char::from_u32).collect();
        let odd =
            ["", "\"", "\\\\\"\u{0}", "\u{7f}\u{80}\u{2028}\u{2029}", "é\u{301}", "\u{10ffff}x\n", "</a>"];
        for text in odd.into_iter().chain([all.as_str()]) {
            let canonical = serde_json_canonicalizer::to_string(&json!(text)).unwrap();
            assert!(written(|out| string(out, text)) == canonical, "{:?}", text.get(..20));
        }
        for code in 0..0x80u8 {
            let text = format!("a{}b", char::from(code));
            assert_eq!(
                written(|out| string(out, &text)),
                serde_json_canonicalizer::to_string(&json!(text)).unwrap()
            );
        }
    }

    #[test]
    fn every_integer_that_can_stand_in_a_record_is_written_as_the_canonical_form_has_it() {
        for number in [0, 1, 9, 10, 200, 65_535, 1_234_567_890, INTEGER_MAX - 1, INTEGER_MAX] {
            let canonical = serde_json_canonicalizer::to_string(&json!(number)).unwrap();
            assert_eq!(written(|out| integer(out, number)), canonical);
        }
        assert_eq!(written(|out| integer(out, u64::MAX)), INTEGER_MAX.to_string());
    }

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        for nanos in
            [0, 1, 10, 999_999_999, 500_000_000, 1_700_000_000_123_456_789, 4_102_444_799_000_001_000]
        {
            let at = UNIX_EPOCH + Duration::from_nanos(nanos);
            let expected = OffsetDateTime::from(at).format(&Rfc3339).unwrap();
            assert_eq!(written(|out| time(out, at)), format!("\"{expected}\""));
        }
    }
}
