//! JSON held against a table: what a message may not hold is refused, and what is left has one spelling.
//!
//! ProtoJSON readers forgive much (numbers for enums, text for numbers, unknown members), each in its own way. What
//! goes on is judged, so here nothing is forgiven but `null`, which means absent.

use super::error::Fault;
use super::schema::{Field, Kind, Message};
use serde_json::{Map, Value};

/// Holds an object against a message; members of it come back under the table's names, nulls left out.
///
/// # Errors
/// [`Fault::UnknownMember`] and [`Fault::Member`], which name the member.
pub(super) fn object(value: Value, message: &'static Message) -> Result<Map<String, Value>, Fault> {
    let Value::Object(members) = value else { return Err(Fault::Params) };
    let mut kept = Map::new();
    let mut chosen = false;
    for (name, value) in members {
        let Some(field) = message.named(&name) else { return Err(Fault::UnknownMember { name }) };
        if value.is_null() && !matches!(field.kind, Kind::Value) {
            continue;
        }
        if field.one_of && std::mem::replace(&mut chosen, true) {
            return Err(Fault::Member { name: field.name });
        }
        let value = many(value, field)?;
        if kept.insert(field.name.to_owned(), value).is_some() {
            return Err(Fault::Member { name: field.name }); // Under both its names.
        }
    }
    Ok(kept)
}

fn many(value: Value, field: &'static Field) -> Result<Value, Fault> {
    if !field.repeated {
        return one(value, &field.kind, field.name);
    }
    let Value::Array(items) = value else { return Err(Fault::Member { name: field.name }) };
    items
        .into_iter()
        .map(|item| one(item, &field.kind, field.name))
        .collect::<Result<Vec<_>, _>>()
        .map(Value::Array)
}

fn one(value: Value, kind: &'static Kind, name: &'static str) -> Result<Value, Fault> {
    let fits = match (kind, &value) {
        (Kind::Text | Kind::Timestamp, Value::String(_))
        | (Kind::Bool, Value::Bool(_))
        | (Kind::Struct, Value::Object(_))
        | (Kind::Value, _) => true,
        (Kind::Bytes, Value::String(text)) => length_of_base64(text).is_some(),
        (Kind::Int, Value::Number(number)) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Kind::Enum(names), Value::String(text)) => names.contains(&text.as_str()),
        (Kind::Message(message), Value::Object(_)) => return object(value, message).map(Value::Object),
        (Kind::Map(kind), Value::Object(_)) => return map(value, kind, name),
        _ => false,
    };
    if fits { Ok(value) } else { Err(Fault::Member { name }) }
}

fn map(value: Value, kind: &'static Kind, name: &'static str) -> Result<Value, Fault> {
    let Value::Object(members) = value else { return Err(Fault::Member { name }) };
    let members = members.into_iter().map(|(key, value)| Ok((key, one(value, kind, name)?)));
    members.collect::<Result<Map<_, _>, Fault>>().map(Value::Object)
}

/// How many bytes a base64 text holds, in either alphabet and with or without padding, as ProtoJSON allows.
pub(super) fn length_of_base64(text: &str) -> Option<usize> {
    let body = text.trim_end_matches('=');
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let padding = text.len().checked_sub(body.len())?;
    let whole = padding == 0 || text.len().is_multiple_of(4);
    let rest = body.len() % 4;
    let fits = padding <= 2 && whole && rest != 1 && body.bytes().all(in_alphabet);
    fits.then(|| (body.len() / 4).saturating_mul(3).saturating_add(rest.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::super::schema::{self, v0_3};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_member_that_is_not_in_the_table_is_refused_at_any_depth() {
        let good = json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}});
        object(good, &schema::SEND).unwrap();
        for bad in [
            json!({"massage": {}}),
            json!({"message": {"task_id": "t"}}),
            json!({"message": {"parts": [{"text": "hi", "kind": "text"}]}}),
        ] {
            assert!(matches!(object(bad, &schema::SEND), Err(Fault::UnknownMember { .. })));
        }
    }

    #[test]
    fn what_a_lenient_reader_would_convert_is_refused() {
        for (bad, name) in [
            (json!({"message": {"role": 1}}), "role"),
            (json!({"message": {"role": "user"}}), "role"),
            (json!({"configuration": {"historyLength": "5"}}), "historyLength"),
            (json!({"configuration": {"historyLength": 4_294_967_296_i64}}), "historyLength"),
            (json!({"configuration": {"returnImmediately": "true"}}), "returnImmediately"),
            (json!({"metadata": []}), "metadata"),
            (json!({"message": {"parts": {"text": "hi"}}}), "parts"),
            (json!({"message": {"parts": [{"raw": "a"}]}}), "raw"),
        ] {
            assert_eq!(object(bad, &schema::SEND), Err(Fault::Member { name }));
        }
    }

    #[test]
    fn a_part_holds_one_content() {
        let part = |part: Value| object(json!({"message": {"parts": [part]}}), &schema::SEND);
        part(json!({"text": "a", "url": null})).unwrap();
        assert_eq!(part(json!({"text": "a", "url": "b"})), Err(Fault::Member { name: "url" }));
        part(json!({"data": null})).unwrap();
        assert!(part(json!({"data": null, "text": "a"})).is_err());
    }

    #[test]
    fn the_older_rest_form_takes_either_name_and_never_both() {
        let message = |message: Value| object(message, &v0_3::rest::SEND);
        let camel = message(json!({"message": {"messageId": "m"}})).unwrap();
        let snake = message(json!({"request": {"message_id": "m"}})).unwrap();
        assert_eq!(camel, snake);
        assert!(message(json!({"message": {}, "request": {}})).is_err());
    }

    #[test]
    fn base64_has_the_length_of_what_it_holds() {
        for (text, length) in [("", 0), ("QQ==", 1), ("QQ", 1), ("QUI", 2), ("QUJD", 3), ("-_-_QQ", 4)] {
            assert_eq!(length_of_base64(text), Some(length), "{text}");
        }
        for text in ["Q", "QQ=", "QQ===", "Q Q=", "=", "QUJD=", "QUI\u{e9}"] {
            assert_eq!(length_of_base64(text), None, "{text}");
        }
    }
}
