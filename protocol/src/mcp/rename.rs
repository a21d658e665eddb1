//! Names on their way through an endpoint that stands for several servers: what a call names is put in the place of the
//! name that its caller wrote, in the body and in `Mcp-Name`. Every other byte stays as it came.

use super::headers::{self, NAME};
use super::list::{edited, place};
use super::{DecodeError, Fault, MessageError};
use crate::json::{Members, string};
use crate::jsonrpc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// The name of a tool or a prompt in a call's body, and where it stands there.
#[derive(Debug)]
pub struct Named<'b> {
    body: &'b str,
    place: Range<usize>,
    name: Cow<'b, str>,
    id: Option<&'b RawValue>,
}

impl<'b> Named<'b> {
    /// Finds it. None: the call names no tool and no prompt, or is none that a strict reader takes; it is decoded in any
    /// case, and refused there.
    pub fn find(body: &'b [u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let members = Members::of_text(body)?;
        let params = Members::of(members.get("params").ok()??)?;
        let of = match members.get("method").ok()?.and_then(string)?.as_ref() {
            "tools/call" | "prompts/get" => params,
            "completion/complete" => {
                let reference = Members::of(params.get("ref").ok()??)?;
                let kind = reference.get("type").ok()?.and_then(string)?;
                (kind == "ref/prompt").then_some(reference)?
            }
            _ => return None,
        };
        let raw = of.get("name").ok()??;
        let id = members.get("id").ok()?.filter(|id| jsonrpc::is_id(id));
        Some(Self { body, place: place(body, raw.get()).ok()?, name: string(raw)?, id })
    }

    /// As its caller wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `Mcp-Name` says the same, if it says anything that can be read.
    ///
    /// # Errors
    /// [`DecodeError`] if it says something else: the renamed body would not show that any more.
    pub fn agrees(&self, headers: &HeaderMap) -> Result<(), DecodeError> {
        match headers::name(headers) {
            Ok(Some(header)) if header != self.name => {
                let fault = Fault::HeaderMismatch { name: NAME };
                Err(DecodeError::new(fault, self.id.map(ToOwned::to_owned)))
            }
            // What can't be read, or stands there twice, the decoder refuses with the renamed body, too.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether `Mcp-Name` is there and says the same.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        matches!(headers::name(headers), Ok(Some(header)) if header == self.name)
    }

    /// The body with another name in its place.
    ///
    /// # Errors
    /// [`MessageError`], which can't be: the place is the body's own.
    pub fn renamed(&self, name: &str) -> Result<Vec<u8>, MessageError> {
        edited(self.body, vec![(self.place.clone(), quoted(name))])
    }
}

/// What `Mcp-Name` says of a name (2026-07-28, Streamable HTTP, Value Encoding).
pub fn name_header(name: &str) -> String {
    let plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && name.trim() == name
        && !name.is_empty()
        && !name.starts_with("=?");
    if plain { name.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(name)) }
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;
    use crate::mcp::{Call, HttpRequest, Limits, Target, call};
    use http::{HeaderValue, Method};

    fn renamed(body: &str, name: &str) -> String {
        let named = Named::find(body.as_bytes()).unwrap();
        String::from_utf8(named.renamed(name).unwrap()).unwrap()
    }

    #[test]
    fn every_byte_but_the_names_stays() {
        for (before, after) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""#,
                r#"","arguments":{"name":"s3__get","n":1.50e1}}}"#,
            ),
            (
                " {\"params\" : {\"arguments\":{\"big\":123456789012345678901234567890},\n\"name\" : \"",
                "\" },\"method\":\"prompts/get\" }\n",
            ),
            (
                r#"{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":""#,
                r#""},"argument":{"name":"name","value":"s3__get"}}}"#,
            ),
            ("{\"method\":\"tools/c\\u0061ll\",\"p\\u0061rams\":{\"n\\u0061me\":\"", "\"}}"),
        ] {
            for written in ["s3__get", "s3__\\u0067et", "s3\\u005F_get"] {
                let body = format!("{before}{written}{after}");
                assert_eq!(Named::find(body.as_bytes()).unwrap().name(), "s3__get", "{body}");
                assert_eq!(renamed(&body, "get"), format!("{before}get{after}"));
                assert_eq!(renamed(&body, "g\"\u{e9}\n"), format!("{before}g\\\"\u{e9}\\n{after}"));
            }
        }
    }

    #[test]
    fn what_names_nothing_is_left_to_the_decoder() {
        for body in [
            "",
            "[]",
            "{",
            r#"{"method":"tools/list","params":{"name":"s3__get"}}"#,
            r#"{"method":"tools/call","params":{"name":7}}"#,
            r#"{"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            r#"{"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"method":"tools/call","method":"tools/list","params":{"name":"a"}}"#,
            r#"{"method":"completion/complete","params":{"ref":{"type":"ref/resource","name":"a"}}}"#,
        ] {
            assert!(Named::find(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn a_header_for_a_name_is_read_back_as_that_name() {
        for name in ["get_object", "a b", " a", "", "\u{e9}", "=?base64?YQ==?=", "a\tb", "=?"] {
            let mut headers = HeaderMap::new();
            headers.insert(NAME, HeaderValue::try_from(name_header(name)).unwrap());
            assert_eq!(headers::name(&headers).unwrap().as_deref(), Some(name));
        }
    }

    fn decoded(headers: &HeaderMap, body: &[u8]) -> Result<Call, DecodeError> {
        call(
            &HttpRequest { method: &Method::POST, headers, body },
            &Limits { json: crate::json::Limits { depth_max: 64 }, ..Limits::default() },
        )
    }

    #[test]
    fn a_header_that_names_something_else_is_refused_before_it_is_renamed() {
        let body = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"s3__get","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let named = Named::find(body).unwrap();
        let headers = |name: &str| {
            let all = [
                ("accept", "application/json, text/event-stream"),
                ("content-type", "application/json"),
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/call"),
                (NAME, name),
            ];
            HeaderMap::from_iter(all.map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::try_from(value).unwrap())
            }))
        };
        assert!(
            named.agrees(&headers("s3__get")).is_ok()
                && named.agrees(&headers("=?base64?czNfX2dldA==?=")).is_ok()
        );
        for other in ["get", "s3__put", "=?base64?Z2V0?="] {
            let refused = named.agrees(&headers(other)).unwrap_err();
            assert_eq!((refused.reason(), refused.id().map(RawValue::get)), ("header_mismatch", Some("7")));
        }
        assert!(named.agrees(&headers("=?base64?*?=")).is_ok(), "the decoder refuses it");
        let renamed = named.renamed("get").unwrap();
        let read = decoded(&headers("get"), &renamed).unwrap();
        assert_eq!(read.target, Target::Tool { name: "get".into() });
        assert_eq!(decoded(&headers("=?base64?*?="), &renamed).unwrap_err().reason(), "header_encoding");
    }
}
