//! Protobuf to the JSON that ProtoJSON would write, by the tables of [`super::schema`], and back.
//!
//! A request is read strictly: a field that the table doesn't have, one that stands there twice, or a value of another
//! wire type is refused, because readers differ in what they make of it (Protocol Buffers, Encoding). An agent's answer
//! is read leniently: what the table doesn't have is stepped over.

mod well_known;
pub(super) mod writing;

use super::schema::{Field, Kind, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

/// How a message is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Whether what the table doesn't have is refused.
    pub(super) strict: bool,
    /// Messages that may stand inside one another.
    pub(super) depth_max: usize,
}

/// Why bytes are not the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They end in the middle of a field.
    #[error("the message is cut off")]
    Cut,
    /// A tag or a length that is none, or a value that its field can't have.
    #[error("a field can't be read")]
    Malformed,
    /// A field that nobody would judge.
    #[error("the message has field {number}, which it does not have")]
    Unknown {
        /// Its number.
        number: u32,
    },
    /// What the second of two means is the reader's choice.
    #[error("field {name} is there twice")]
    Repeated {
        /// Its name in JSON.
        name: &'static str,
    },
    /// Text that isn't UTF-8.
    #[error("field {name} is not UTF-8")]
    Utf8 {
        /// Its name in JSON.
        name: &'static str,
    },
    /// A number that JSON doesn't have.
    #[error("a number that JSON does not have")]
    Number,
    /// Deeper than the limit.
    #[error("nested too deep")]
    Depth,
}

/// Reads a message. Fields that aren't there are not in the object, whatever their default is.
pub(super) fn object(
    bytes: &[u8],
    message: &'static Message,
    reading: Reading,
) -> Result<Map<String, Value>, WireError> {
    let reading = reading.deeper()?;
    let mut object = Map::new();
    let mut chosen: Option<&'static str> = None;
    let mut rest = Fields(bytes);
    while let Some((number, payload)) = rest.next()? {
        let Some(field) = message.numbered(number) else {
            if reading.strict {
                return Err(WireError::Unknown { number });
            }
            continue;
        };
        if field.one_of {
            match chosen.replace(field.name) {
                Some(_) if reading.strict => return Err(WireError::Repeated { name: field.name }),
                Some(other) if other != field.name => drop(object.remove(other)), // The last one counts.
                _ => {}
            }
        }
        if let (Kind::Map(kind), Payload::Bytes(entry)) = (&field.kind, &payload) {
            let (key, value) = entry_of(entry, kind, field.name, reading)?;
            let slot = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = slot {
                map.insert(key, value);
            }
        } else if field.repeated {
            let value = value(payload, &field.kind, field.name, reading)?;
            match object.entry(field.name).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(items) => items.push(value),
                _ => return Err(WireError::Malformed),
            }
        } else {
            let value = value(payload, &field.kind, field.name, reading)?;
            if object.insert(field.name.to_owned(), value).is_some() && reading.strict {
                return Err(WireError::Repeated { name: field.name });
            }
        }
    }
    Ok(object)
}

impl Reading {
    fn deeper(self) -> Result<Self, WireError> {
        Ok(Self { depth_max: self.depth_max.checked_sub(1).ok_or(WireError::Depth)?, ..self })
    }
}

fn value(
    payload: Payload<'_>,
    kind: &'static Kind,
    name: &'static str,
    reading: Reading,
) -> Result<Value, WireError> {
    Ok(match (kind, payload) {
        (Kind::Text, Payload::Bytes(bytes)) => utf8(bytes, name)?.into(),
        (Kind::Bytes, Payload::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Kind::Bool, Payload::Varint(n)) => (n != 0).into(),
        (Kind::Int, Payload::Varint(n)) => int32(n)?.into(),
        (Kind::Enum(names), Payload::Varint(n)) => {
            let at = usize::try_from(n).map_err(|_| WireError::Malformed)?;
            match names.get(at) {
                Some(known) => (*known).into(),
                None if reading.strict => return Err(WireError::Malformed),
                None => n.into(),
            }
        }
        (Kind::Struct, Payload::Bytes(bytes)) => well_known::structure(bytes, reading)?,
        (Kind::Value, Payload::Bytes(bytes)) => well_known::value(bytes, reading)?,
        (Kind::Timestamp, Payload::Bytes(bytes)) => well_known::timestamp(bytes)?.into(),
        (Kind::Message(message), Payload::Bytes(bytes)) => Value::Object(object(bytes, message, reading)?),
        _ => return Err(WireError::Malformed),
    })
}

/// An entry of a map: field 1 is the key, field 2 the value.
fn entry_of(
    bytes: &[u8],
    kind: &'static Kind,
    name: &'static str,
    reading: Reading,
) -> Result<(String, Value), WireError> {
    let (mut key, mut held) = (String::new(), Value::Object(Map::new()));
    if matches!(kind, Kind::Text) {
        held = Value::String(String::new());
    }
    let mut rest = Fields(bytes);
    while let Some((number, payload)) = rest.next()? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => key = utf8(bytes, name)?.to_owned(),
            (2, payload) => held = value(payload, kind, name, reading)?,
            _ => return Err(WireError::Malformed),
        }
    }
    Ok((key, held))
}

fn utf8<'a>(bytes: &'a [u8], name: &'static str) -> Result<&'a str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Utf8 { name })
}

/// An `int32`: a negative one stands there with all its 64 bits.
fn int32(varint: u64) -> Result<i32, WireError> {
    i32::try_from(varint.cast_signed()).map_err(|_| WireError::Malformed)
}

/// What stands behind a tag.
enum Payload<'a> {
    Varint(u64),
    Eight([u8; 8]),
    Four,
    Bytes(&'a [u8]),
}

/// The fields of a message, in their order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u32, Payload<'a>)>, WireError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::Malformed)?;
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Eight(self.take(8)?.try_into().map_err(|_| WireError::Cut)?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Malformed)?;
                Payload::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Payload::Four)?,
            _ => return Err(WireError::Malformed), // Groups are not of proto3.
        };
        match tag >> 3 {
            0 => Err(WireError::Malformed),
            number => Ok(Some((number, payload))),
        }
    }

    /// Little-endian groups of 7 bits, 10 bytes at most.
    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(WireError::Cut)?;
            self.0 = rest;
            if shift == 63 && byte > 1 {
                return Err(WireError::Malformed);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::Cut)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// The text of a field that stands there once.
pub(super) fn text(message: &[u8], number: u32) -> Option<String> {
    String::from_utf8(payload(message, number)?.to_vec()).ok()
}

/// What is in a field of bytes, a text or a message that stands there once.
pub(super) fn payload(message: &[u8], number: u32) -> Option<&[u8]> {
    let (mut rest, mut found) = (Fields(message), None);
    while let Some((field, payload)) = rest.next().ok()? {
        match payload {
            Payload::Bytes(bytes) if field == number && found.is_none() => found = Some(bytes),
            _ if field == number => return None,
            _ => {}
        }
    }
    found
}

/// The same message with something else in such a field, or without it. All other fields stay as they came.
pub(super) fn with_payload(message: &[u8], number: u32, held: Option<&[u8]>) -> Result<Bytes, WireError> {
    let mut kept = Vec::with_capacity(message.len());
    let mut rest = Fields(message);
    loop {
        let before = rest.0;
        let Some((found, _)) = rest.next()? else { break };
        let taken = before.len().saturating_sub(rest.0.len());
        if found != number {
            kept.extend_from_slice(before.get(..taken).unwrap_or_default());
        }
    }
    if let Some(held) = held {
        writing::bytes(&mut kept, number, held);
    }
    Ok(kept.into())
}

/// Writes an object that came from [`object`], or has the same shape. Members that the table doesn't have are left out.
pub(super) fn bytes(object: &Map<String, Value>, message: &'static Message) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in object {
        let Some(field) = message.named(name) else { continue };
        match (value, &field.kind) {
            (Value::Array(items), _) if field.repeated => {
                items.iter().for_each(|item| writing::value(&mut out, field, &field.kind, item));
            }
            (Value::Object(members), Kind::Map(kind)) => {
                for (key, held) in members {
                    let mut entry = Vec::new();
                    writing::bytes(&mut entry, 1, key.as_bytes());
                    writing::value(&mut entry, &Field { number: 2, ..*field }, kind, held);
                    writing::bytes(&mut out, field.number, &entry);
                }
            }
            _ => writing::value(&mut out, field, &field.kind, value),
        }
    }
    out
}
