//! JSON-RPC 2.0: the envelope of a message, and an error response.

use crate::json::{MemberError, Members, string};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A message's envelope, borrowed from a text that [`json`](crate::json) has checked.
pub(crate) struct Envelope<'a> {
    /// Whether `jsonrpc` is `"2.0"`.
    pub(crate) is_version_2: bool,
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) method: Option<&'a RawValue>,
    pub(crate) params: Option<&'a RawValue>,
    /// Whether it has a `result` or an `error`, as responses do.
    pub(crate) answers: bool,
}

impl<'a> Envelope<'a> {
    /// Reads the members that JSON-RPC knows (§4, §5).
    pub(crate) fn read(members: &Members<'a>) -> Result<Self, MemberError> {
        Ok(Self {
            is_version_2: members.get("jsonrpc")?.and_then(string).as_deref() == Some("2.0"),
            id: members.get("id")?,
            method: members.get("method")?,
            params: members.get("params")?,
            answers: members.get("result")?.is_some() || members.get("error")?.is_some(),
        })
    }

    /// The method's name, if it is a string.
    pub(crate) fn method_name(&self) -> Option<Cow<'a, str>> {
        self.method.and_then(string)
    }
}

/// Whether an id is one that MCP allows: a string or an integer, not `null` (MCP, base protocol, requests).
pub(crate) fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    text.starts_with('"') || text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) // Not 1.0 and not 1e3.
}

#[derive(Serialize)]
struct ErrorResponse<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: i32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

/// An error response (JSON-RPC 2.0 §5.1). Without an id it says `null`: the request's could not be read.
pub fn error(id: Option<&RawValue>, code: i32, message: &str, data: Option<&Value>) -> Vec<u8> {
    let response = ErrorResponse { jsonrpc: "2.0", id, error: ErrorObject { code, message, data } };
    // Writing strings and numbers into memory can't fail; if it ever does, the answer is still an error.
    serde_json::to_vec(&response).unwrap_or_else(|_| {
        br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}"#.to_vec()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;
    use serde_json::json;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn an_error_keeps_the_id_as_it_was_written() {
        let bytes = error(Some(&raw(r#""a\u0062""#)), -32601, "no such \"method\"", None);
        let expected =
            r#"{"jsonrpc":"2.0","id":"a\u0062","error":{"code":-32601,"message":"no such \"method\""}}"#;
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn an_error_without_an_id_says_null() {
        let bytes = error(None, -32700, "not JSON", Some(&json!({"reason": "invalid_json"})));
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["id"], Value::Null);
        assert_eq!(value["error"]["data"]["reason"], "invalid_json");
    }

    #[test]
    fn strings_and_integers_are_ids() {
        for id in ["1", "-7", r#""""#, r#""a""#, "18446744073709551615"] {
            assert!(is_id(&raw(id)), "{id}");
        }
        for id in ["1.0", "1e3", "null", "true", "[1]", r#"{"a":1}"#] {
            assert!(!is_id(&raw(id)), "{id}");
        }
    }
}
