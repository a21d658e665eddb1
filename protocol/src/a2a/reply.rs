//! An error as each binding has it: a JSON-RPC error, an AIP-193 error object, or a gRPC status in trailers.

use super::{Binding, ErrorKind, Method, Version, grpc, wire};
use crate::jsonrpc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The type of the one detail that every error carries.
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// Whose an error's reason is.
const A2A_DOMAIN: &str = "a2a-protocol.org";
const OUR_DOMAIN: &str = "sallyport";

/// An answer that says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status: 200 for JSON-RPC and gRPC, which say it inside.
    pub status: u16,
    /// Its media type.
    pub content_type: &'static str,
    /// Its body; empty for gRPC.
    pub body: Vec<u8>,
    /// Header fields of a gRPC answer that has nothing but trailers.
    pub trailers: Vec<(&'static str, String)>,
}

/// Writes an error. `reason` is the stable code, which all bindings carry in the metadata of `ErrorInfo`.
pub fn reply(
    binding: Binding,
    version: Version,
    kind: ErrorKind,
    id: Option<&RawValue>,
    reason: &str,
) -> Reply {
    let (rpc, http, grpc, status, name) = kind.codes();
    let text =
        if kind.is_ours() { format!("{}: {reason}", kind.headline()) } else { kind.headline().to_owned() };
    let domain = if kind.is_ours() { OUR_DOMAIN } else { A2A_DOMAIN };
    let info = json!({"@type": ERROR_INFO, "reason": name, "domain": domain, "metadata": {"reason": reason}});
    match binding {
        Binding::JsonRpc => {
            let data = if version == Version::V1_0 { json!([info]) } else { json!({"reason": reason}) };
            let body = jsonrpc::error(id, rpc, &text, Some(&data));
            Reply { status: 200, content_type: "application/json", body, trailers: Vec::new() }
        }
        Binding::HttpJson => {
            let error =
                json!({"error": {"code": http, "status": status, "message": text, "details": [info]}});
            let body = error.to_string().into_bytes();
            Reply { status: http, content_type: "application/json", body, trailers: Vec::new() }
        }
        Binding::Grpc => {
            let details = STANDARD_NO_PAD.encode(status_message(grpc, &text, (name, domain, reason)));
            let message = utf8_percent_encode(&text, MESSAGE).to_string();
            let trailers = vec![
                ("grpc-status", grpc.to_string()),
                ("grpc-message", message),
                ("grpc-status-details-bin", details),
            ];
            Reply { status: 200, content_type: "application/grpc", body: Vec::new(), trailers }
        }
    }
}

/// Writes a result of 1.0 that the gateway itself has: JSON, or the method's message in a frame.
pub fn result(
    binding: Binding,
    method: Method,
    id: Option<&RawValue>,
    result: &Map<String, Value>,
) -> Vec<u8> {
    match binding {
        Binding::JsonRpc => {
            let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
            answer.to_string().into_bytes()
        }
        Binding::HttpJson => Value::Object(result.clone()).to_string().into_bytes(),
        Binding::Grpc => {
            let message = grpc::answer(method, result);
            grpc::frame(&message).unwrap_or_default().to_vec()
        }
    }
}

/// What gRPC percent-encodes in `grpc-message`.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// `google.rpc.Status` with one `ErrorInfo`.
fn status_message(code: u8, text: &str, (name, domain, reason): (&str, &str, &str)) -> Vec<u8> {
    use wire::writing;
    let mut entry = Vec::new();
    writing::bytes(&mut entry, 1, b"reason");
    writing::bytes(&mut entry, 2, reason.as_bytes());
    let mut info = Vec::new();
    writing::bytes(&mut info, 1, name.as_bytes());
    writing::bytes(&mut info, 2, domain.as_bytes());
    writing::bytes(&mut info, 3, &entry);
    let mut any = Vec::new();
    writing::bytes(&mut any, 1, ERROR_INFO.as_bytes());
    writing::bytes(&mut any, 2, &info);
    let mut status = Vec::new();
    writing::varint(&mut status, 1, u64::from(code));
    writing::bytes(&mut status, 2, text.as_bytes());
    writing::bytes(&mut status, 3, &any);
    status
}

impl ErrorKind {
    /// Whether it is the gateway's own, and not one of the protocol.
    fn is_ours(self) -> bool {
        matches!(self, Self::Denied | Self::Unauthenticated | Self::Limit | Self::Unavailable)
    }

    /// What a person reads. The same for everything that must look the same.
    fn headline(self) -> &'static str {
        match self {
            Self::Parse => "the request is not JSON",
            Self::InvalidRequest => "the request is not valid",
            Self::MethodNotFound => "there is no such method",
            Self::InvalidParams => "the parameters are not the method's",
            Self::Internal => "internal error",
            Self::TaskNotFound => "there is no such task",
            Self::TaskNotCancelable => "the task can't be canceled",
            Self::PushNotificationNotSupported => "push notifications are not supported",
            Self::UnsupportedOperation => "the operation is not supported",
            Self::ContentTypeNotSupported => "the content type is not supported",
            Self::InvalidAgentResponse => "the agent's answer is not valid",
            Self::ExtendedAgentCardNotConfigured => "there is no extended card",
            Self::ExtensionSupportRequired => "an extension that the agent requires was not declared",
            Self::VersionNotSupported => "the version is not supported here",
            Self::Denied => "denied",
            Self::Unauthenticated => "not authenticated",
            Self::Limit => "over a limit",
            Self::Unavailable => "unavailable",
        }
    }
}
