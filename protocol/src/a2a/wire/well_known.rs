//! `google.protobuf`'s `Struct`, `Value` and `Timestamp`.

use super::{Fields, Payload, Reading, WireError, utf8};
use serde_json::{Map, Number, Value};

pub(super) fn structure(bytes: &[u8], reading: Reading) -> Result<Value, WireError> {
    let reading = reading.deeper()?;
    let mut members = Map::new();
    let mut rest = Fields(bytes);
    while let Some((number, payload)) = rest.next()? {
        let (1, Payload::Bytes(entry)) = (number, payload) else { return Err(WireError::Malformed) };
        let (mut key, mut held) = (None, None);
        let mut entry = Fields(entry);
        while let Some((number, payload)) = entry.next()? {
            match (number, payload) {
                (1, Payload::Bytes(bytes)) if key.is_none() => key = Some(utf8(bytes, "key")?.to_owned()),
                (2, Payload::Bytes(bytes)) if held.is_none() => held = Some(value(bytes, reading)?),
                _ => return Err(WireError::Malformed),
            }
        }
        if members.insert(key.unwrap_or_default(), held.unwrap_or_default()).is_some() {
            return Err(WireError::Repeated { name: "a key of a struct" });
        }
    }
    Ok(Value::Object(members))
}

/// No kind at all is what some writers make of null.
pub(super) fn value(bytes: &[u8], reading: Reading) -> Result<Value, WireError> {
    let reading = reading.deeper()?;
    let mut rest = Fields(bytes);
    let Some((number, payload)) = rest.next()? else { return Ok(Value::Null) };
    let read = match (number, payload) {
        (1, Payload::Varint(0)) => Value::Null,
        (2, Payload::Eight(bits)) => number_of(f64::from_le_bytes(bits))?,
        (3, Payload::Bytes(bytes)) => utf8(bytes, "a string")?.into(),
        (4, Payload::Varint(n)) => (n != 0).into(),
        (5, Payload::Bytes(bytes)) => structure(bytes, reading)?,
        (6, Payload::Bytes(bytes)) => list(bytes, reading)?,
        _ => return Err(WireError::Malformed),
    };
    if rest.next()?.is_some() {
        return Err(WireError::Repeated { name: "a value's kind" });
    }
    Ok(read)
}

/// A whole number is written without a fraction, as ProtoJSON does.
fn number_of(double: f64) -> Result<Value, WireError> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if double.fract() == 0.0 && double.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::as_conversions,
            reason = "a whole number below 2^53"
        )]
        return Ok(Value::from(double as i64));
    }
    Number::from_f64(double).map(Value::Number).ok_or(WireError::Number)
}

fn list(bytes: &[u8], reading: Reading) -> Result<Value, WireError> {
    let reading = reading.deeper()?;
    let mut items = Vec::new();
    let mut rest = Fields(bytes);
    while let Some((number, payload)) = rest.next()? {
        let (1, Payload::Bytes(item)) = (number, payload) else { return Err(WireError::Malformed) };
        items.push(value(item, reading)?);
    }
    Ok(Value::Array(items))
}

/// RFC 3339 in UTC, with as many digits of a second as needed.
pub(super) fn timestamp(bytes: &[u8]) -> Result<String, WireError> {
    let (mut seconds, mut nanos) = (0_i64, 0_u32);
    let mut rest = Fields(bytes);
    while let Some((number, payload)) = rest.next()? {
        match (number, payload) {
            (1, Payload::Varint(n)) => seconds = n.cast_signed(),
            (2, Payload::Varint(n)) => nanos = u32::try_from(n).map_err(|_| WireError::Malformed)?,
            _ => return Err(WireError::Malformed),
        }
    }
    crate::a2a::moment::text(seconds, nanos).ok_or(WireError::Malformed)
}
