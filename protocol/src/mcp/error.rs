//! Why a request is not a call, and what each protocol says to that.

use super::Version;
use crate::json::{JsonError, MemberError};
use http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const PARSE_ERROR: i32 = -32700; // JSON-RPC 2.0 §5.1, as are the next three.
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const HEADER_MISMATCH: i32 = -32020; // MCP 2026-07-28, as is the next.
const UNSUPPORTED_VERSION: i32 = -32022;

/// A [`Fault`], and the id of the request that has it.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct DecodeError {
    fault: Fault,
    id: Option<Box<RawValue>>,
}

/// Why a request is not a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither POST nor, in a version with sessions, GET or DELETE.
    #[error("the HTTP method is not one of the endpoint's")]
    HttpMethod,
    /// A POST whose `Content-Type` isn't `application/json`, at most with `charset=utf-8`.
    #[error("the body is not declared as JSON")]
    ContentType,
    /// A body that would have to be unpacked to be judged.
    #[error("the body has a content encoding")]
    ContentEncoding,
    /// The client would not read what it may be answered.
    #[error("the client does not accept what the endpoint answers")]
    Accept,
    /// A GET or DELETE with a body.
    #[error("a body where none is expected")]
    UnexpectedBody,
    /// A POST without one.
    #[error("the body is empty")]
    EmptyBody,
    /// Not JSON, or JSON that two parsers could read in two ways.
    #[error("the body is not strict JSON")]
    Json(#[source] JsonError),
    /// A key stands where only a reader that ignores case would take it for the one that counts.
    #[error("a key differs from a known one in case only")]
    CaseVariant,
    /// An array of messages: of all versions only 2025-03-26 has them.
    #[error("batches are not accepted")]
    Batch,
    /// Neither a message nor a batch.
    #[error("the body is not an object")]
    NotAnObject,
    /// `jsonrpc` is not `"2.0"`.
    #[error("not a JSON-RPC 2.0 message")]
    JsonRpcVersion,
    /// Neither a string nor an integer.
    #[error("the id is neither a string nor an integer")]
    Id,
    /// A request's method, sent as a notification: some servers would still do it.
    #[error("a request without an id")]
    IdMissing,
    /// A notification's method, sent as a request.
    #[error("a notification with an id")]
    IdUnexpected,
    /// No method, or one that isn't a string.
    #[error("the method is missing or not a string")]
    Method,
    /// A response, though the server may not ask anything of its clients, or not in this version.
    #[error("responses from clients are not accepted")]
    ClientResponse,
    /// Parameters that don't have the method's shape.
    #[error("parameter {name} is missing, of a wrong type or too long")]
    Params {
        /// Which.
        name: &'static str,
    },
    /// A parameter that policy would not see: what isn't judged doesn't go on.
    #[error("the parameters have a member that the method does not have")]
    UnknownParameter,
    /// A field of `_meta` that 2026-07-28 requires.
    #[error("_meta lacks {key}")]
    MetaMissing {
        /// Which.
        key: &'static str,
    },
    /// A header that 2026-07-28 requires.
    #[error("header {name} is missing")]
    HeaderMissing {
        /// Which.
        name: &'static str,
    },
    /// A header that says other than the body.
    #[error("header {name} disagrees with the body")]
    HeaderMismatch {
        /// Which.
        name: &'static str,
    },
    /// A header that stands there twice: which one counts is the reader's choice.
    #[error("header {name} has more than one value")]
    HeaderRepeated {
        /// Which.
        name: &'static str,
    },
    /// A header with bytes that aren't allowed, or whose base64 doesn't hold text.
    #[error("header {name} can't be read")]
    HeaderEncoding {
        /// Which.
        name: &'static str,
    },
    /// A version that isn't spoken here, or not in this way.
    #[error("protocol version is not supported")]
    UnsupportedVersion {
        /// What the client wants.
        requested: String,
    },
    /// 2026-07-28 has no sessions: a server that only ignored the id would hide that.
    #[error("a session in a stateless call")]
    SessionInStatelessCall,
    /// `initialize` opens a session, so it can't be in one.
    #[error("a session in initialize")]
    SessionInInitialize,
    /// Not visible ASCII, or too long.
    #[error("the session id is malformed")]
    SessionId,
    /// Not a method of the version.
    #[error("the version has no such method")]
    UnknownMethod {
        /// In which version.
        version: Version,
    },
    /// Tasks are known, and not served.
    #[error("tasks are not supported")]
    Tasks {
        /// In which version.
        version: Version,
    },
}

impl DecodeError {
    pub(super) fn new(fault: Fault, id: Option<Box<RawValue>>) -> Self {
        Self { fault, id }
    }

    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The request's id, if it could be read.
    pub fn id(&self) -> Option<&RawValue> {
        self.id.as_deref()
    }

    /// The JSON-RPC error code.
    pub fn rpc_code(&self) -> i32 {
        match &self.fault {
            Fault::Json(error) if error.is_syntax() => PARSE_ERROR,
            Fault::EmptyBody => PARSE_ERROR,
            Fault::HttpMethod
            | Fault::ContentType
            | Fault::ContentEncoding
            | Fault::Accept
            | Fault::UnexpectedBody
            | Fault::Json(_)
            | Fault::CaseVariant
            | Fault::Batch
            | Fault::NotAnObject
            | Fault::JsonRpcVersion
            | Fault::Id
            | Fault::IdMissing
            | Fault::IdUnexpected
            | Fault::Method
            | Fault::ClientResponse
            | Fault::SessionInStatelessCall
            | Fault::SessionInInitialize
            | Fault::SessionId => INVALID_REQUEST,
            Fault::Params { .. } | Fault::UnknownParameter | Fault::MetaMissing { .. } => INVALID_PARAMS,
            Fault::HeaderMissing { .. }
            | Fault::HeaderMismatch { .. }
            | Fault::HeaderRepeated { .. }
            | Fault::HeaderEncoding { .. } => HEADER_MISMATCH,
            Fault::UnsupportedVersion { .. } => UNSUPPORTED_VERSION,
            Fault::UnknownMethod { .. } | Fault::Tasks { .. } => METHOD_NOT_FOUND,
        }
    }

    /// The HTTP status. 2026-07-28 wants 404 for an unknown method.
    pub fn http_status(&self) -> StatusCode {
        match &self.fault {
            Fault::HttpMethod => StatusCode::METHOD_NOT_ALLOWED,
            Fault::ContentType | Fault::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Fault::Accept => StatusCode::NOT_ACCEPTABLE,
            Fault::UnknownMethod { version } | Fault::Tasks { version } if version.is_stateless() => {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The stable code.
    pub fn reason(&self) -> &'static str {
        match &self.fault {
            Fault::HttpMethod => "method_not_allowed",
            Fault::ContentType => "content_type",
            Fault::ContentEncoding => "content_encoding",
            Fault::Accept => "not_acceptable",
            Fault::UnexpectedBody => "unexpected_body",
            Fault::EmptyBody => "empty_body",
            Fault::Json(error) => error.reason(),
            Fault::CaseVariant => "case_variant_key",
            Fault::Batch => "batch_refused",
            Fault::NotAnObject => "not_an_object",
            Fault::JsonRpcVersion => "jsonrpc_version",
            Fault::Id => "invalid_id",
            Fault::IdMissing => "id_missing",
            Fault::IdUnexpected => "id_unexpected",
            Fault::Method => "method_missing",
            Fault::ClientResponse => "client_response_refused",
            Fault::Params { .. } => "invalid_params",
            Fault::UnknownParameter => "unknown_parameter",
            Fault::MetaMissing { .. } => "meta_missing",
            Fault::HeaderMissing { .. } => "header_missing",
            Fault::HeaderMismatch { .. } => "header_mismatch",
            Fault::HeaderRepeated { .. } => "header_repeated",
            Fault::HeaderEncoding { .. } => "header_encoding",
            Fault::UnsupportedVersion { .. } => "unsupported_version",
            Fault::SessionInStatelessCall => "session_in_stateless_call",
            Fault::SessionInInitialize => "session_in_initialize",
            Fault::SessionId => "invalid_session_id",
            Fault::UnknownMethod { .. } => "unknown_method",
            Fault::Tasks { .. } => "tasks_not_supported",
        }
    }

    /// The JSON-RPC error's `data`, where the protocol wants one: what is supported and what was requested.
    pub fn data(&self) -> Option<Value> {
        match &self.fault {
            Fault::UnsupportedVersion { requested } => {
                Some(json!({ "supported": Version::ALL.map(Version::as_str), "requested": requested }))
            }
            _ => None,
        }
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        Self::new(fault, None)
    }
}

impl From<MemberError> for Fault {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Duplicate => Self::Json(JsonError::DuplicateKey { offset: 0 }), // The scanner came first.
            MemberError::CaseVariant => Self::CaseVariant,
        }
    }
}
