//! One pass over a document whose bytes are known to be UTF-8. It has its own stack, so depth costs no thread's stack,
//! and compares an object's keys where the object ends, sorted, so that many keys cost no more than their sorting.

use super::{JsonError, Limits, folded};
use std::borrow::Cow;

/// How serde_json's `Value` recognises values of its own making, and reads the text in them as JSON once more: a second
/// document that this pass has not seen, and as deep as it likes.
const RESERVED: &str = "$serde_json::private::";

/// The pass.
pub(super) struct Scanner<'a> {
    text: &'a str,
    offset: usize,
    depth_max: usize,
    case_variants_in_arguments: bool,
    open: Vec<Frame>,
    keys: Vec<Key<'a>>,
}

/// An object or array that isn't closed yet.
struct Frame {
    object: bool,
    place: Place,
    /// Where its keys begin in [`Scanner::keys`].
    keys_from: usize,
}

/// Where a value stands in a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Params,
    Arguments,
    Elsewhere,
}

struct Key<'a> {
    exact: Cow<'a, str>,
    /// None: the same, but for the case of ASCII letters.
    folded: Option<String>,
}

impl Key<'_> {
    fn folded(&self) -> impl Iterator<Item = u8> {
        self.folded.as_deref().unwrap_or(&self.exact).bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, limits: &Limits, case_variants_in_arguments: bool) -> Self {
        let depth_max = limits.depth_max;
        let (open, keys) = (Vec::with_capacity(8), Vec::with_capacity(16)); // Most calls need no more.
        Self { text, offset: 0, depth_max, case_variants_in_arguments, open, keys }
    }

    /// The whole document.
    pub(super) fn document(mut self) -> Result<(), JsonError> {
        let mut place = Place::Document;
        loop {
            let opened = self.value(place)?;
            match self.next_place(opened)? {
                Some(next) => place = next,
                None => break,
            }
        }
        self.white_space();
        if self.offset < self.text.len() {
            return Err(JsonError::Trailing { offset: self.offset });
        }
        Ok(())
    }

    /// A scalar, or the opening of a container. Whether it is the latter.
    fn value(&mut self, place: Place) -> Result<bool, JsonError> {
        self.white_space();
        match self.peek() {
            Some(bracket @ (b'{' | b'[')) => return self.enter(bracket == b'{', place).map(|()| true),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.syntax()),
        }?;
        Ok(false)
    }

    fn enter(&mut self, object: bool, place: Place) -> Result<(), JsonError> {
        if self.open.len() >= self.depth_max {
            return Err(JsonError::Depth { offset: self.offset });
        }
        self.skip(1);
        self.open.push(Frame { object, place, keys_from: self.keys.len() });
        Ok(())
    }

    /// Goes on to the next value: reads commas, keys and closing brackets. None: the document's value is complete.
    /// Behind an opening bracket a value needs no comma before it.
    fn next_place(&mut self, opened: bool) -> Result<Option<Place>, JsonError> {
        let mut first = opened;
        while let Some(frame) = self.open.last() {
            let (object, place, keys_from) = (frame.object, frame.place, frame.keys_from);
            self.white_space();
            let closing = if object { b'}' } else { b']' };
            if self.peek() == Some(closing) {
                self.skip(1);
                self.close(place, keys_from)?;
                first = false;
                continue;
            }
            if !first {
                self.expect(b',')?;
            }
            return if object { self.key(place).map(Some) } else { Ok(Some(place.element())) };
        }
        Ok(None)
    }

    fn key(&mut self, place: Place) -> Result<Place, JsonError> {
        self.white_space();
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        let quoted = self.string()?;
        self.white_space();
        self.expect(b':')?;
        let exact = if quoted.contains('\\') {
            Cow::Owned(serde_json::from_str(quoted).map_err(|_| self.syntax())?)
        } else {
            Cow::Borrowed(quoted.trim_matches('"')) // Without an escape there is none inside.
        };
        if exact.starts_with(RESERVED) {
            return Err(JsonError::ReservedKey { offset: self.offset });
        }
        let next = place.member(&exact);
        let folded = (!exact.is_ascii()).then(|| folded(&exact));
        self.keys.push(Key { exact, folded });
        Ok(next)
    }

    fn close(&mut self, place: Place, keys_from: usize) -> Result<(), JsonError> {
        let offset = self.offset;
        let keys = self.keys.get_mut(keys_from..).unwrap_or_default();
        keys.sort_unstable_by(|a, b| a.folded().cmp(b.folded()).then_with(|| a.exact.cmp(&b.exact)));
        let may_vary = self.case_variants_in_arguments && place == Place::Arguments;
        for (one, next) in keys.iter().zip(keys.iter().skip(1)) {
            if one.exact == next.exact {
                return Err(JsonError::DuplicateKey { offset });
            }
            if !may_vary && one.folded().eq(next.folded()) {
                return Err(JsonError::CaseVariant { offset });
            }
        }
        self.keys.truncate(keys_from);
        self.open.pop();
        Ok(())
    }

    /// A string, with its quotes.
    fn string(&mut self) -> Result<&'a str, JsonError> {
        let from = self.offset;
        self.skip(1);
        loop {
            let rest = self.text.as_bytes().get(self.offset..).unwrap_or_default();
            let run = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
            self.skip(run.unwrap_or(rest.len()));
            match self.peek() {
                Some(b'"') => {
                    self.skip(1);
                    return self.text.get(from..self.offset).ok_or_else(|| self.syntax());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.skip(1);
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.skip(1),
            Some(b'u') => match self.code_unit()? {
                0xD800..=0xDBFF => {
                    let low = self.expect(b'\\').and_then(|()| self.code_unit()).unwrap_or_default();
                    if !(0xDC00..=0xDFFF).contains(&low) {
                        return Err(JsonError::LoneSurrogate { offset: self.offset });
                    }
                }
                0xDC00..=0xDFFF => return Err(JsonError::LoneSurrogate { offset: self.offset }),
                _ => {}
            },
            _ => return Err(self.syntax()),
        }
        Ok(())
    }

    /// `u` and four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u16, JsonError> {
        self.expect(b'u')?;
        let digits = self.text.get(self.offset..self.offset.saturating_add(4)).unwrap_or_default();
        let unit = match digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => u16::from_str_radix(digits, 16).map_err(|_| self.syntax())?,
            false => return Err(self.syntax()),
        };
        self.skip(4);
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let from = self.offset;
        let negative = self.expect(b'-').is_ok();
        if self.expect(b'0').is_err() {
            self.digits()?;
        }
        let mut integer = true;
        if self.expect(b'.').is_ok() {
            integer = false;
            self.digits()?;
        }
        if self.expect(b'e').or_else(|_| self.expect(b'E')).is_ok() {
            integer = false;
            let _sign = self.expect(b'+').or_else(|_| self.expect(b'-'));
            self.digits()?;
        }
        let text = self.text.get(from..self.offset).unwrap_or_default();
        let held = match (integer, negative) {
            (true, true) => text.parse::<i64>().is_ok_and(|number| number != 0),
            (true, false) => text.parse::<u64>().is_ok(),
            (false, _) => is_exact(text),
        };
        if held { Ok(()) } else { Err(JsonError::Number { offset: self.offset }) }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.offset..).unwrap_or_default();
        match rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len()) {
            0 => Err(self.syntax()),
            run => {
                self.skip(run);
                Ok(())
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), JsonError> {
        if !self.text.get(self.offset..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.syntax());
        }
        self.skip(word.len());
        Ok(())
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.skip(1);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.skip(1);
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_add(bytes);
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax { offset: self.offset }
    }
}

/// Whether a decimal has the value that a double holding it is written with: what readers with more digits see is what
/// readers with doubles see. Where two decimals are equally short and equally near, that is the even one, as serde_json,
/// Python and ECMAScript write it; Rust's own formatting takes the other.
fn is_exact(decimal: &str) -> bool {
    let Ok(double) = decimal.parse::<f64>() else { return false };
    let scientific = decimal.contains(['e', 'E']) || decimal.len() > DIGITS_KEPT;
    if !scientific {
        return true;
    }
    serde_json::Number::from_f64(double)
        .is_some_and(|written| digits_and_point(decimal) == digits_and_point(&written.to_string()))
}

/// So many significant digits survive a double and back, whatever they are.
const DIGITS_KEPT: usize = 15;

/// A number's digits without the zeros around them, and where its point stands counted from their start.
fn digits_and_point(number: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('-');
    let all = [whole, fraction].concat();
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return Some((String::new(), 0)); // Zero, wherever its point is.
    }
    let leading = i64::try_from(all.len().checked_sub(digits.len())?).ok()?;
    let point = i64::try_from(whole.len()).ok()?.checked_sub(leading)?;
    Some((digits.trim_end_matches('0').to_owned(), point.checked_add(exponent.parse().ok()?)?))
}

impl Place {
    fn member(self, key: &str) -> Self {
        match (self, key) {
            (Self::Document, "params") => Self::Params,
            (Self::Params, "arguments") | (Self::Arguments, _) => Self::Arguments,
            _ => Self::Elsewhere,
        }
    }

    fn element(self) -> Self {
        if self == Self::Arguments { self } else { Self::Elsewhere }
    }
}
