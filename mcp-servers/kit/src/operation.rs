//! What a request does and which scope that needs. Read from the body that rmcp will get, before rmcp gets it:
//! a tool that a server's author adds is covered, and so is a method that a later rmcp learns.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt::Write;

/// A request as far as its scope depends on it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The JSON-RPC method; `None` for a GET, a DELETE or a response.
    pub(crate) method: Option<String>,
    /// The tool that `tools/call` names.
    pub(crate) tool: Option<String>,
    /// The JSON-RPC id as it came, for a refusal to answer.
    pub(crate) id: Option<String>,
    /// Digest of what else is named: a resource's URI or a prompt.
    pub(crate) target: Option<String>,
    /// Digest of the arguments, as the gateway's audit has it.
    pub(crate) arguments: Option<String>,
}

/// Why a body can't be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OperationError {
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body is not one JSON-RPC message")]
    NotAMessage,
    #[error("tools/call names no tool")]
    NoTool,
}

/// serde refuses a second member of the same name here; whichever a later parser took, it would be another message.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CallParams {
    name: String,
}

/// What the record has digests of.
#[derive(Deserialize)]
struct Named {
    name: Option<Value>,
    uri: Option<Value>,
    arguments: Option<Value>,
}

/// The scopes of what is no tool; a tool of such a name would share one.
pub(crate) const RESERVED: [&str; 3] = ["protocol", "resources", "prompts"];

impl Operation {
    /// What opens, reads or ends a stream without a message.
    pub(crate) fn of_stream() -> Self {
        Self { method: None, tool: None, id: None, target: None, arguments: None }
    }

    /// Reads a POST's body.
    pub(crate) fn of_body(body: &[u8]) -> Result<Self, OperationError> {
        // serde fills structs from arrays too, by position, and so would a later parser.
        let text = std::str::from_utf8(body).map_err(|_| OperationError::NotJson)?;
        if !is_object(text) {
            let json = serde_json::from_str::<serde::de::IgnoredAny>(text);
            return Err(if json.is_ok() { OperationError::NotAMessage } else { OperationError::NotJson });
        }
        let message: Message<'_> = serde_json::from_str(text).map_err(|error| {
            if error.is_data() { OperationError::NotAMessage } else { OperationError::NotJson }
        })?;
        protocol::json::check(body, &protocol::json::Limits::default())
            .map_err(|_| OperationError::NotAMessage)?;
        let params = message.params.map(RawValue::get);
        if params.is_some_and(|p| !is_object(p)) {
            return Err(OperationError::NotAMessage);
        }
        let tool = match (message.method.as_deref(), params) {
            (Some("tools/call"), Some(params)) => {
                Some(serde_json::from_str::<CallParams>(params).map_err(|_| OperationError::NoTool)?.name)
            }
            (Some("tools/call"), None) => return Err(OperationError::NoTool),
            _ => None,
        };
        let named = params.and_then(|params| serde_json::from_str::<Named>(params).ok());
        let (target, arguments) = match named {
            Some(named) => (named.uri.or(named.name.filter(|_| tool.is_none())), named.arguments),
            None => (None, None),
        };
        Ok(Self {
            method: message.method,
            tool,
            id: message.id.map(|id| id.get().to_owned()),
            target: target.as_ref().map(digested),
            arguments: arguments.as_ref().map(digested),
        })
    }

    /// The scope that allows it: `s3:get_object` for that tool, `s3:resources`, `s3:prompts`, and `s3:protocol` for all
    /// that opens, lists, keeps or ends.
    pub(crate) fn scope(&self, server: &str) -> String {
        let right = match (self.tool.as_deref(), self.method.as_deref()) {
            (Some(tool), _) => tool,
            (None, Some(method)) if method.starts_with("resources/") => "resources",
            (None, Some(method)) if method.starts_with("prompts/") => "prompts",
            (None, _) => "protocol",
        };
        format!("{server}:{right}")
    }

    /// Whether a session begins with it, unless it is one already.
    pub(crate) fn opens_a_session(&self) -> bool {
        self.method.as_deref() == Some("initialize")
    }

    /// Whether the answer is a stream without an end of its own, which a stopping server doesn't wait for.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self.method.as_deref(), None | Some("subscriptions/listen"))
    }
}

/// `sha256:` and, in hex, the digest of compact JSON with sorted keys.
fn digested(value: &Value) -> String {
    let text = value.to_string();
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::from("sha256:"), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // A String takes everything.
        hex
    })
}

fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn scope(body: &str) -> Result<String, OperationError> {
        Operation::of_body(body.as_bytes()).map(|o| o.scope("s3"))
    }

    #[test]
    fn each_method_needs_its_scope() {
        for (method, wanted) in [
            ("tools/list", "s3:protocol"),
            ("initialize", "s3:protocol"),
            ("server/discover", "s3:protocol"),
            ("notifications/initialized", "s3:protocol"),
            ("completion/complete", "s3:protocol"),
            ("resources/list", "s3:resources"),
            ("resources/read", "s3:resources"),
            ("resources/templates/list", "s3:resources"),
            ("prompts/get", "s3:prompts"),
            ("resourcesx", "s3:protocol"),
        ] {
            assert_eq!(
                scope(&format!(r#"{{"id":1,"method":"{method}","params":{{"name":"x"}}}}"#)).unwrap(),
                wanted,
                "{method}"
            );
        }
        assert_eq!(Operation::of_stream().scope("s3"), "s3:protocol");
        assert_eq!(scope(r#"{"id":1,"result":{}}"#).unwrap(), "s3:protocol");
    }

    #[test]
    fn a_tool_call_needs_the_scope_of_its_tool_however_its_name_is_written() {
        assert_eq!(
            scope(r#"{"method":"tools/call","params":{"name":"get_object"}}"#).unwrap(),
            "s3:get_object"
        );
        assert_eq!(
            scope(r#"{"method":"tools\/call","params":{"n\u0061me":"put_object"}}"#).unwrap(),
            "s3:put_object"
        );
        assert_eq!(
            scope(r#"{"params":{"name":"delete_object"},"method":"tools/call"}"#).unwrap(),
            "s3:delete_object"
        );
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for (body, wanted) in [
            (r#"{"method":"ping","method":"tools/call","params":{"name":"x"}}"#, OperationError::NotAMessage),
            (r#"{"method":"tools/call","params":{},"params":{"name":"x"}}"#, OperationError::NotAMessage),
            (r#"{"method":"tools/call","params":{"name":"a","name":"b"}}"#, OperationError::NotAMessage),
            (r#"{"method":"tools/call","params":["delete_object"]}"#, OperationError::NotAMessage),
            (r#"{"method":"tools/call","params":{"Name":"a"}}"#, OperationError::NoTool),
            (r#"{"method":"tools/call"}"#, OperationError::NoTool),
            (r#"[1,"tools/call",{"name":"x"}]"#, OperationError::NotAMessage),
            (r#"[{"method":"ping"}]"#, OperationError::NotAMessage),
            (r#"{"method":1}"#, OperationError::NotAMessage),
            (r#"{"method":"ping"}{}"#, OperationError::NotJson),
            ("", OperationError::NotJson),
            ("{", OperationError::NotJson),
        ] {
            assert_eq!(scope(body), Err(wanted), "{body}");
        }
        assert_eq!(scope(r#"{"method":"tools/call","params":{"name":"x"}}"#), Ok("s3:x".into()));
    }

    #[test]
    fn equal_arguments_have_one_digest_and_no_text_of_theirs_is_kept() {
        let arguments = |params: &str| {
            let body = format!(r#"{{"method":"tools/call","params":{params}}}"#);
            Operation::of_body(body.as_bytes()).unwrap().arguments
        };
        let one = arguments(r#"{"name":"x","arguments":{"b":1,"a":"s"}}"#);
        assert_eq!(one, arguments(r#"{"arguments":{ "a" : "\u0073", "b": 1 },"name":"x"}"#));
        assert_ne!(one, arguments(r#"{"name":"x","arguments":{"b":1,"a":"t"}}"#));
        assert_eq!(one.unwrap(), digested(&serde_json::json!({"a": "s", "b": 1})));
        assert_eq!(arguments(r#"{"name":"x"}"#), None);
        let read = Operation::of_body(br#"{"method":"resources/read","params":{"uri":"s3://a/b"}}"#).unwrap();
        assert_eq!(read.target, Some(digested(&"s3://a/b".into())));
    }

    #[test]
    fn a_stopping_server_waits_for_calls_and_not_for_subscriptions() {
        assert!(Operation::of_body(br#"{"method":"subscriptions/listen"}"#).unwrap().is_endless());
        assert!(!Operation::of_body(br#"{"method":"tools/list"}"#).unwrap().is_endless());
    }
}
