//! Fields, one after the other.

use super::super::moment;
use super::{Engine, Field, Kind, STANDARD};
use serde_json::{Map, Value};

pub(super) fn value(out: &mut Vec<u8>, field: &Field, kind: &Kind, value: &Value) {
    let number = field.number;
    match (kind, value) {
        (Kind::Text, Value::String(text)) => bytes(out, number, text.as_bytes()),
        (Kind::Bytes, Value::String(text)) => bytes(out, number, &STANDARD.decode(text).unwrap_or_default()),
        (Kind::Bool, Value::Bool(flag)) => varint(out, number, u64::from(*flag)),
        (Kind::Int, Value::Number(n)) => varint(out, number, n.as_i64().unwrap_or_default().cast_unsigned()),
        (Kind::Enum(names), Value::String(text)) => {
            let at = names.iter().position(|name| name == text).unwrap_or_default();
            varint(out, number, u64::try_from(at).unwrap_or_default());
        }
        (Kind::Struct, Value::Object(members)) => bytes(out, number, &structure(members)),
        (Kind::Value, any) => bytes(out, number, &any_value(any)),
        (Kind::Timestamp, Value::String(text)) => {
            let (seconds, nanos) = moment::parts(text).unwrap_or_default();
            let mut stamp = Vec::new();
            varint(&mut stamp, 1, seconds.cast_unsigned());
            varint(&mut stamp, 2, u64::from(nanos));
            bytes(out, number, &stamp);
        }
        (Kind::Message(message), Value::Object(members)) => {
            bytes(out, number, &super::bytes(members, message))
        }
        _ => {} // Not of the shape: nothing to write.
    }
}

pub(in crate::a2a) fn bytes(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    raw(out, u64::from(number << 3 | 2));
    raw(out, u64::try_from(payload.len()).unwrap_or_default());
    out.extend_from_slice(payload);
}

pub(in crate::a2a) fn varint(out: &mut Vec<u8>, number: u32, value: u64) {
    raw(out, u64::from(number << 3));
    raw(out, value);
}

fn raw(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

fn structure(members: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, held) in members {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, key.as_bytes());
        bytes(&mut entry, 2, &any_value(held));
        bytes(&mut out, 1, &entry);
    }
    out
}

/// `google.protobuf.Value`.
fn any_value(any: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match any {
        Value::Null => varint(&mut out, 1, 0),
        Value::Number(n) => {
            raw(&mut out, 2 << 3 | 1);
            out.extend_from_slice(&n.as_f64().unwrap_or_default().to_le_bytes());
        }
        Value::String(text) => bytes(&mut out, 3, text.as_bytes()),
        Value::Bool(flag) => varint(&mut out, 4, u64::from(*flag)),
        Value::Object(members) => bytes(&mut out, 5, &structure(members)),
        Value::Array(items) => {
            let mut list = Vec::new();
            items.iter().for_each(|item| bytes(&mut list, 1, &any_value(item)));
            bytes(&mut out, 6, &list);
        }
    }
    out
}
