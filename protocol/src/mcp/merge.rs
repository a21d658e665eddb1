//! Lists of several servers on their way into one: each server is asked in its caller's words, page by page, and the items
//! of its answers stay as they came but for their names.

use super::list::{edited, place};
use super::rename::quoted;
use super::{Item, ListKind, MessageError};
use crate::json::{Members, string};
use serde_json::value::RawValue;

/// What a client says of a list that it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'b> {
    /// `params._meta`, as it came.
    pub meta: Option<&'b RawValue>,
    /// Whether it asks for a page behind the first.
    pub goes_on: bool,
}

impl<'b> Asked<'b> {
    /// Reads a body that has been decoded; what can't be read asks for nothing in particular.
    pub fn read(body: &'b [u8]) -> Self {
        let params = std::str::from_utf8(body).ok().and_then(Members::of_text);
        let params = params.and_then(|members| members.get("params").ok()?.and_then(Members::of));
        let get = |key| params.as_ref().and_then(|params| params.get(key).ok()?);
        Self { meta: get("_meta"), goes_on: get("cursor").is_some_and(|cursor| cursor.get() != "null") }
    }

    /// The question for one server, and the page of its answer.
    pub fn of_one(&self, method: &str, cursor: Option<&str>) -> Vec<u8> {
        let cursor = cursor.map(|cursor| format!(r#""cursor":{}"#, quoted(cursor)));
        let meta = self.meta.map(|meta| format!(r#""_meta":{}"#, meta.get()));
        let params = meta.into_iter().chain(cursor).collect::<Vec<_>>().join(",");
        let method = quoted(method);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method},"params":{{{params}}}}}"#).into_bytes()
    }
}

/// A message that may be a server's answer.
#[derive(Debug)]
pub enum Reply<'a> {
    /// Neither a result nor an error: a notification, or a request of the server's.
    Other,
    /// A result, all of it.
    Result(&'a RawValue),
    /// An error.
    Error {
        /// Its JSON-RPC code.
        code: i64,
    },
}

impl<'a> Reply<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`] if it is none.
    pub fn read(message: &'a [u8]) -> Result<Self, MessageError> {
        let text = std::str::from_utf8(message).map_err(|_| MessageError::NotAMessage)?;
        let members = Members::of_text(text).ok_or(MessageError::NotAMessage)?;
        if members.get("method")?.is_some() {
            return Ok(Self::Other);
        }
        if let Some(result) = members.get("result")? {
            return Ok(Self::Result(result));
        }
        let Some(error) = members.get("error")? else { return Ok(Self::Other) };
        let error = Members::of(error).ok_or(MessageError::NotAMessage)?;
        let code = error.get("code")?.and_then(|code| code.get().parse().ok()).unwrap_or_default();
        Ok(Self::Error { code })
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<'a> {
    /// What is listed, in its order.
    pub items: Vec<Item<'a>>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// `ttlMs`: how long it may be kept.
    pub ttl_ms: Option<u64>,
}

impl<'a> Page<'a> {
    /// Reads a result.
    ///
    /// # Errors
    /// [`MessageError`] if it has no such list, or one that can't be read.
    pub fn read(result: &'a RawValue, kind: ListKind) -> Result<Self, MessageError> {
        let result = Members::of(result).ok_or(MessageError::Result)?;
        let list = result.get(kind.list_key())?.ok_or(MessageError::List)?;
        let raws: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| MessageError::List)?;
        let item = |raw: &'a RawValue| {
            let members = Members::of(raw).ok_or(MessageError::Item)?;
            let key = members.get(kind.item_key())?.and_then(string).ok_or(MessageError::Item)?;
            Ok(Item { key, raw })
        };
        Ok(Self {
            items: raws.into_iter().map(item).collect::<Result<_, MessageError>>()?,
            next: result.get("nextCursor")?.and_then(string).map(Into::into),
            ttl_ms: result.get("ttlMs")?.and_then(|ttl| ttl.get().parse().ok()),
        })
    }
}

impl Item<'_> {
    /// The item under another name; every other byte as it came.
    ///
    /// # Errors
    /// [`MessageError`] if its name can't be found.
    pub fn renamed(&self, kind: ListKind, name: &str) -> Result<String, MessageError> {
        let text = self.raw.get();
        let members = Members::of_text(text).ok_or(MessageError::Item)?;
        let raw = members.get(kind.item_key())?.ok_or(MessageError::Item)?;
        let bytes = edited(text, vec![(place(text, raw.get())?, quoted(name))])?;
        String::from_utf8(bytes).map_err(|_| MessageError::Item)
    }
}

/// The version that an `initialize` was answered with.
///
/// # Errors
/// [`MessageError`] if the result says none.
pub fn negotiated(result: &RawValue) -> Result<String, MessageError> {
    let result = Members::of(result).ok_or(MessageError::Result)?;
    Ok(result.get("protocolVersion")?.and_then(string).ok_or(MessageError::Result)?.into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_server_is_asked_in_its_callers_words() {
        let body = br#"{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{"_meta":{"a":1.50,"b":"\u0041"},"other":1}}"#;
        let asked = Asked::read(body);
        assert!(!asked.goes_on);
        let first =
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"a":1.50,"b":"\u0041"}}}"#;
        assert_eq!(asked.of_one("tools/list", None), first.as_bytes());
        let next: Value = serde_json::from_slice(&asked.of_one("tools/list", Some("\"2"))).unwrap();
        assert_eq!(next["params"]["cursor"], "\"2");
        let plain = Asked::read(br#"{"method":"tools/list"}"#);
        assert_eq!(
            plain.of_one("prompts/list", None),
            br#"{"jsonrpc":"2.0","id":1,"method":"prompts/list","params":{}}"#
        );
        assert!(Asked::read(br#"{"params":{"cursor":"a"}}"#).goes_on);
        assert!(!Asked::read(br#"{"params":{"cursor":null}}"#).goes_on);
    }

    #[test]
    fn an_item_keeps_every_byte_but_its_name() {
        let text = r#"{"tools":[{"title":"get","name":"g\u0065t","x":1.50e1,"inner":{"name":"get"}}],"nextCursor":"2","ttlMs":5}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let page = Page::read(raw, ListKind::Tools).unwrap();
        assert_eq!(
            (page.next.as_deref(), page.ttl_ms, page.items[0].key.as_ref()),
            (Some("2"), Some(5), "get")
        );
        assert_eq!(
            page.items[0].renamed(ListKind::Tools, "s3__get").unwrap(),
            r#"{"title":"get","name":"s3__get","x":1.50e1,"inner":{"name":"get"}}"#
        );
        for wrong in [json!({"tools": {}}), json!({}), json!({"tools": [{"title": "a"}]}), json!([])] {
            let raw = RawValue::from_string(wrong.to_string()).unwrap();
            assert!(Page::read(&raw, ListKind::Tools).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_a_result_or_an_error() {
        assert!(matches!(Reply::read(br#"{"id":1,"result":{}}"#).unwrap(), Reply::Result(_)));
        assert!(matches!(
            Reply::read(br#"{"method":"notifications/message","params":{}}"#).unwrap(),
            Reply::Other
        ));
        let error = br#"{"id":1,"error":{"code":-32003,"message":"","data":{"reason":"not_allowed"}}}"#;
        assert!(matches!(Reply::read(error).unwrap(), Reply::Error { code: -32003 }));
        assert!(Reply::read(b"[]").is_err());
    }
}
