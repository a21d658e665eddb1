//! Why a request is not a call of A2A, and the error that the protocol has for that. How an error looks in each
//! binding is [`super::reply`]'s.

use super::wire::WireError;
use crate::json::{JsonError, MemberError};
use serde_json::value::RawValue;

/// An error that A2A knows: JSON-RPC's, and its own (A2A 1.0 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not JSON.
    Parse,
    /// Not a request.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// Not what the method takes.
    InvalidParams,
    /// A failure behind the gateway, or of the gateway.
    Internal,
    /// No such task, or not the caller's: nobody can tell.
    TaskNotFound,
    /// A task that is over.
    TaskNotCancelable,
    /// The agent sends no push notifications.
    PushNotificationNotSupported,
    /// Something that the agent doesn't do.
    UnsupportedOperation,
    /// A media type that the agent doesn't take.
    ContentTypeNotSupported,
    /// The agent's answer isn't one.
    InvalidAgentResponse,
    /// There is no extended card.
    ExtendedAgentCardNotConfigured,
    /// The agent requires an extension that the caller didn't declare.
    ExtensionSupportRequired,
    /// A version that isn't spoken here.
    VersionNotSupported,
    /// The caller may not. A2A has no code of its own for it.
    Denied,
    /// The caller has to prove who it is.
    Unauthenticated,
    /// A limit is reached.
    Limit,
    /// What stands behind the gateway isn't there.
    Unavailable,
}

impl ErrorKind {
    /// JSON-RPC code, HTTP status, gRPC code and its name, and the reason in `ErrorInfo` (A2A 1.0 §5.4).
    ///
    /// Clients know the reasons of A2A alone, and the official Python SDK drops the text of an error over HTTP+JSON whose
    /// reason it does not know. So what is ours has the nearest that says "not like this", or "not now"; the code, the
    /// status and the domain tell it apart.
    pub fn codes(self) -> (i32, u16, u8, &'static str, &'static str) {
        match self {
            Self::Parse => (-32700, 400, 3, "INVALID_ARGUMENT", "INVALID_REQUEST"),
            Self::InvalidRequest => (-32600, 400, 3, "INVALID_ARGUMENT", "INVALID_REQUEST"),
            Self::MethodNotFound => (-32601, 404, 12, "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
            Self::InvalidParams => (-32602, 400, 3, "INVALID_ARGUMENT", "INVALID_PARAMS"),
            Self::Internal => (-32603, 500, 13, "INTERNAL", "INTERNAL_ERROR"),
            Self::TaskNotFound => (-32001, 404, 5, "NOT_FOUND", "TASK_NOT_FOUND"),
            Self::TaskNotCancelable => (-32002, 400, 9, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
            Self::PushNotificationNotSupported => {
                (-32003, 400, 9, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED")
            }
            Self::UnsupportedOperation => (-32004, 400, 9, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
            Self::ContentTypeNotSupported => {
                (-32005, 400, 3, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED")
            }
            Self::InvalidAgentResponse => (-32006, 502, 13, "INTERNAL", "INVALID_AGENT_RESPONSE"),
            Self::ExtendedAgentCardNotConfigured => {
                (-32007, 400, 9, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED")
            }
            Self::ExtensionSupportRequired => {
                (-32008, 400, 9, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED")
            }
            Self::VersionNotSupported => (-32009, 400, 9, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
            Self::Denied => (-32030, 403, 7, "PERMISSION_DENIED", "INVALID_REQUEST"),
            Self::Unauthenticated => (-32031, 401, 16, "UNAUTHENTICATED", "INVALID_REQUEST"),
            Self::Limit => (-32032, 429, 8, "RESOURCE_EXHAUSTED", "INVALID_REQUEST"),
            Self::Unavailable => (-32033, 503, 14, "UNAVAILABLE", "INTERNAL_ERROR"),
        }
    }

    /// What 0.3 over HTTP+JSON says in `type`: the name that the error has in the official SDKs.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Parse => "JSONParseError",
            Self::InvalidRequest | Self::Denied | Self::Limit | Self::Unauthenticated => {
                "InvalidRequestError"
            }
            Self::MethodNotFound => "MethodNotFoundError",
            Self::InvalidParams => "InvalidParamsError",
            Self::Internal | Self::Unavailable => "InternalError",
            Self::TaskNotFound => "TaskNotFoundError",
            Self::TaskNotCancelable => "TaskNotCancelableError",
            Self::PushNotificationNotSupported => "PushNotificationNotSupportedError",
            Self::UnsupportedOperation => "UnsupportedOperationError",
            Self::ContentTypeNotSupported => "ContentTypeNotSupportedError",
            Self::InvalidAgentResponse => "InvalidAgentResponseError",
            Self::ExtendedAgentCardNotConfigured => "ExtendedAgentCardNotConfiguredError",
            Self::ExtensionSupportRequired => "ExtensionSupportRequiredError",
            Self::VersionNotSupported => "VersionNotSupportedError",
        }
    }
}

/// A [`Fault`], and the id of the request that has it.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct DecodeError {
    /// What is wrong.
    pub fault: Fault,
    /// The JSON-RPC request's id, where it could be read.
    pub id: Option<Box<RawValue>>,
}

/// Why a request is not a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No operation has this path with this HTTP method.
    #[error("no operation has this path and HTTP method")]
    Path,
    /// A body of another media type than the binding's, or one that would have to be unpacked to be judged.
    #[error("the body is not of the binding's media type")]
    ContentType,
    /// A body where the operation has none, or none where it has one.
    #[error("the operation takes a body, or none")]
    Body,
    /// Not JSON, or JSON that two parsers could read in two ways.
    #[error("the body is not strict JSON")]
    Json(#[source] JsonError),
    /// Not protobuf of the method, or protobuf that two readers could read in two ways.
    #[error("the body is not the method's message")]
    Wire(#[from] WireError),
    /// Not one uncompressed message of gRPC.
    #[error("the body is not one uncompressed message")]
    Frame,
    /// A key stands where only a reader that ignores case would take it for the one that counts.
    #[error("a key differs from a known one in case only")]
    CaseVariant,
    /// Not an object with `jsonrpc`, a method and an id.
    #[error("not a JSON-RPC 2.0 request")]
    Request,
    /// Not a method of the version.
    #[error("the version has no such method")]
    Method,
    /// A version that isn't spoken here, or not in this binding.
    #[error("version {requested} is not supported here")]
    Version {
        /// What the caller wants.
        requested: String,
    },
    /// A header that can't be read, or that stands there twice with two values.
    #[error("header {name} can't be read")]
    Header {
        /// Which.
        name: &'static str,
    },
    /// The parameters aren't an object.
    #[error("the parameters are not an object")]
    Params,
    /// A member that policy would not see: what isn't judged doesn't go on.
    #[error("the parameters have a member that the method does not have: {name}")]
    UnknownMember {
        /// As it is written.
        name: String,
    },
    /// A member of a wrong type, one that is missing, or one that contradicts another.
    #[error("{name} is missing, of a wrong type, or contradicted by another member")]
    Member {
        /// Which.
        name: &'static str,
    },
    /// A query parameter that the operation doesn't have, or one that stands there twice.
    #[error("the query has a parameter that the operation does not have, or has one twice")]
    Query,
    /// Path and body, or header and body, don't name the same.
    #[error("{name} is not the same in path and body")]
    Disagree {
        /// Which.
        name: &'static str,
    },
    /// An id or tenant that is empty, too long, or has characters that no path can carry.
    #[error("{name} is empty, too long, or has characters that an id does not have")]
    Id {
        /// Which.
        name: &'static str,
    },
}

impl Fault {
    /// The error that the protocol has for it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Path | Self::Method => ErrorKind::MethodNotFound,
            Self::ContentType => ErrorKind::ContentTypeNotSupported,
            Self::Json(error) if error.is_syntax() => ErrorKind::Parse,
            Self::Version { .. } => ErrorKind::VersionNotSupported,
            Self::Json(_)
            | Self::Wire(_)
            | Self::Frame
            | Self::Body
            | Self::CaseVariant
            | Self::Request
            | Self::Header { .. } => ErrorKind::InvalidRequest,
            Self::Params
            | Self::UnknownMember { .. }
            | Self::Member { .. }
            | Self::Query
            | Self::Disagree { .. }
            | Self::Id { .. } => ErrorKind::InvalidParams,
        }
    }

    /// The stable code.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Path => "unknown_path",
            Self::ContentType => "wrong_content_type",
            Self::Body => "unexpected_body",
            Self::Json(error) => error.reason(),
            Self::Wire(_) => "invalid_protobuf",
            Self::Frame => "invalid_frame",
            Self::CaseVariant => "case_variant_key",
            Self::Request => "invalid_request",
            Self::Method => "unknown_method",
            Self::Version { .. } => "unsupported_version",
            Self::Header { .. } => "invalid_header",
            Self::Params | Self::Member { .. } => "invalid_params",
            Self::UnknownMember { .. } => "unknown_parameter",
            Self::Query => "invalid_query",
            Self::Disagree { .. } => "path_mismatch",
            Self::Id { .. } => "invalid_id",
        }
    }
}

impl From<MemberError> for Fault {
    fn from(_: MemberError) -> Self {
        Self::CaseVariant
    }
}
