//! An answer that is one JSON message, watched as it streams by: large results are neither held nor parsed.
//! It has no business to be anything but a response, so a member `method` gives it away, as does `resultType` with
//! `input_required` in its result, wherever in the text they stand.

use super::MessageError;
use super::server::INPUT_REQUIRED;
use crate::json::is_same_folded;
use std::borrow::Cow;

/// Looks at the members of a message and of its result, and at nothing deeper. Chunks may end anywhere.
#[derive(Debug, Default)]
pub struct Watch {
    at: At,
    /// Inside of the result's object.
    in_result: bool,
    /// The key or value that is being read, or was read last, as it is written; no longer than [`WORD_BYTES_MAX`].
    word: Vec<u8>,
    member: Member,
    asks: bool,
    complete: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    /// Before a key or the object's end; at a comma's other side there is no end.
    Key {
        first: bool,
    },
    InKey {
        escaped: bool,
    },
    Colon,
    Value,
    InText {
        escaped: bool,
    },
    InScalar,
    /// In an object or array that is of no interest.
    Inside {
        depth: usize,
        text: bool,
        escaped: bool,
    },
    Behind,
    End,
}

/// Which member stands under the last key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Member {
    Result,
    ResultType,
    #[default]
    Other,
}

/// Six bytes for each letter of the longest word that matters, and some: a longer one is none of them.
const WORD_BYTES_MAX: usize = 128;

impl Watch {
    /// Takes a chunk.
    ///
    /// # Errors
    /// [`MessageError::NotAMessage`]; it must not go on.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), MessageError> {
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.get(self.idle(rest)..).and_then(<[u8]>::split_first) {
            self.take(*byte)?;
            rest = behind;
        }
        Ok(())
    }

    /// How many bytes from here on change nothing: most of an answer is text somewhere inside.
    fn idle(&self, rest: &[u8]) -> usize {
        let next = match self.at {
            At::Inside { text: true, escaped: false, .. } => {
                rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))
            }
            At::Inside { text: false, .. } => {
                rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))
            }
            _ => return 0,
        };
        next.unwrap_or(rest.len())
    }

    /// Whether the message asks something of the client, by what has come of it.
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// Whether the result has said that it is one. A message that is sane says nothing else behind that.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the message ended, or there was none.
    ///
    /// # Errors
    /// [`MessageError::NotAMessage`] if it broke off.
    pub fn finish(&self) -> Result<(), MessageError> {
        if matches!(self.at, At::Start | At::End) { Ok(()) } else { Err(MessageError::NotAMessage) }
    }

    fn take(&mut self, byte: u8) -> Result<(), MessageError> {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at = match (self.at, byte) {
            (At::InKey { escaped }, _) => match self.read_word(byte, escaped) {
                Some(escaped) => At::InKey { escaped },
                None => self.key_ended(),
            },
            (At::InText { escaped }, _) => match self.read_word(byte, escaped) {
                Some(escaped) => At::InText { escaped },
                None => self.text_ended(),
            },
            (At::Inside { depth, text, escaped }, _) => inside(depth, text, escaped, byte),
            (At::InScalar, b',' | b'}') => self.behind(byte)?,
            (At::InScalar, b'"' | b'{' | b'[' | b']' | b':') => return Err(MessageError::NotAMessage),
            (At::InScalar, _) if blank => At::Behind,
            (At::InScalar, _) => At::InScalar,
            (at, _) if blank => at,
            (At::Start, b'{') => At::Key { first: true },
            (At::Key { .. }, b'"') => {
                self.word.clear();
                At::InKey { escaped: false }
            }
            (At::Key { first: true }, b'}') => self.closed(),
            (At::Colon, b':') => At::Value,
            (At::Value, b'"') => {
                self.word.clear();
                At::InText { escaped: false }
            }
            (At::Value, b'{') if self.member == Member::Result => {
                self.in_result = true;
                At::Key { first: true }
            }
            (At::Value, b'{' | b'[') => At::Inside { depth: 1, text: false, escaped: false },
            (At::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => At::InScalar,
            (At::Behind, b',' | b'}') => self.behind(byte)?,
            _ => return Err(MessageError::NotAMessage),
        };
        Ok(())
    }

    /// One byte of a key or text; whether the next one is escaped, and None at the end.
    fn read_word(&mut self, byte: u8, escaped: bool) -> Option<bool> {
        if byte == b'"' && !escaped {
            return None;
        }
        if self.word.len() < WORD_BYTES_MAX {
            self.word.push(byte);
        }
        Some(byte == b'\\' && !escaped)
    }

    fn key_ended(&mut self) -> At {
        let is = |key| self.word().is_some_and(|word| is_same_folded(&word, key));
        let member = match self.in_result {
            false if is("result") => Member::Result,
            true if is("resultType") => Member::ResultType,
            _ => Member::Other,
        };
        let asks = !self.in_result && is("method");
        self.member = member;
        self.asks |= asks;
        At::Colon
    }

    fn text_ended(&mut self) -> At {
        if self.member == Member::ResultType {
            let input = self.word().is_some_and(|kind| kind.eq_ignore_ascii_case(INPUT_REQUIRED));
            self.asks |= input;
            self.complete |= !input;
        }
        At::Behind
    }

    /// The word without its escapes. None: none that matters.
    fn word(&self) -> Option<Cow<'_, str>> {
        if self.word.len() >= WORD_BYTES_MAX {
            return None;
        }
        if !self.word.contains(&b'\\') {
            return std::str::from_utf8(&self.word).ok().map(Cow::Borrowed);
        }
        let quoted = [b"\"", self.word.as_slice(), b"\""].concat();
        serde_json::from_slice(&quoted).ok().map(Cow::Owned)
    }

    fn behind(&mut self, byte: u8) -> Result<At, MessageError> {
        match byte {
            b',' => Ok(At::Key { first: false }),
            b'}' => Ok(self.closed()),
            _ => Err(MessageError::NotAMessage),
        }
    }

    fn closed(&mut self) -> At {
        if std::mem::take(&mut self.in_result) { At::Behind } else { At::End }
    }
}

fn inside(depth: usize, text: bool, escaped: bool, byte: u8) -> At {
    match (text, byte) {
        (true, b'"') if !escaped => At::Inside { depth, text: false, escaped: false },
        (true, _) => At::Inside { depth, text, escaped: byte == b'\\' && !escaped },
        (false, b'"') => At::Inside { depth, text: true, escaped: false },
        (false, b'{' | b'[') => At::Inside { depth: depth.saturating_add(1), text, escaped },
        (false, b'}' | b']') if depth == 1 => At::Behind,
        (false, b'}' | b']') => At::Inside { depth: depth.saturating_sub(1), text, escaped },
        (false, _) => At::Inside { depth, text, escaped },
    }
}

#[cfg(test)]
mod tests;
