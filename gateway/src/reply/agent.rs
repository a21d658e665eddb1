//! The same refusals as a caller of an agent hears them: in A2A's own errors, in the shape of the binding.

use super::{DENIED, LIMIT, Refusal, Told, UNAUTHENTICATED, UNAVAILABLE};
use crate::decode::DecodeError;
use crate::request::Arrival;
use crate::route;
use crate::tasks::TaskError;
use crate::tasks::watch::WatchError;
use crate::upstream::{Answer, AnswerBody, UpstreamError};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use protocol::a2a::{self, Binding, ErrorKind};
use serde_json::value::RawValue;

/// The JSON-RPC codes of A2A that stand for themselves; all others are the gateway's.
const TASK_NOT_FOUND: i32 = -32001;
const INVALID_PARAMS: i32 = -32602;
const EXTENSION_REQUIRED: i32 = -32008;

/// Whose a task is, and whether it ever was, is told to nobody but its owner.
pub(super) fn task(error: &TaskError) -> Told {
    let params = |reason| Told::new(StatusCode::BAD_REQUEST, INVALID_PARAMS, reason);
    match error {
        TaskError::Unknown | TaskError::Owner | TaskError::NotShared | TaskError::NoConfig => {
            Told::new(StatusCode::NOT_FOUND, TASK_NOT_FOUND, "task_not_found")
        }
        TaskError::Context | TaskError::ContextNotShared | TaskError::Apart => params("context_not_found"),
        TaskError::Target(_) => params("push_target_not_allowed"),
        TaskError::TooManyContexts { .. } => too_many("too_many_contexts"),
        TaskError::PushOff => of(ErrorKind::PushNotificationNotSupported, "push_not_allowed"),
        TaskError::Tenant => Told::new(StatusCode::FORBIDDEN, DENIED, "tenant_mismatch"),
        TaskError::PageToken => params("invalid_page_token"),
        TaskError::PageSize | TaskError::Moment => params("invalid_params"),
        TaskError::Store(_) => Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "tasks_unavailable"),
    }
}

fn too_many(reason: &'static str) -> Told {
    Told::new(StatusCode::TOO_MANY_REQUESTS, LIMIT, reason)
}

/// A call that doesn't declare what the agent requires (A2A 1.0 §4.6).
pub(super) fn undeclared() -> Told {
    Told::new(StatusCode::BAD_REQUEST, EXTENSION_REQUIRED, "extension_required")
}

/// What isn't a call.
pub(super) fn decode(error: &a2a::DecodeError) -> Told {
    of(error.fault.kind(), error.fault.reason())
}

fn of(kind: ErrorKind, reason: &'static str) -> Told {
    let (code, status, ..) = kind.codes();
    Told::new(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), code, reason)
}

/// An agent's answer that may not go on.
pub(super) fn watched(error: &WatchError) -> Told {
    match error {
        WatchError::TooManyTasks { .. } => too_many("too_many_tasks"),
        WatchError::TooManyContexts { .. } => too_many("too_many_contexts"),
        WatchError::Store(_) => Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "tasks_unavailable"),
        WatchError::Event(_) | WatchError::Foreign | WatchError::Other | WatchError::Nameless => {
            Told::new(StatusCode::BAD_GATEWAY, UNAVAILABLE, "upstream_failed")
        }
    }
}

/// A refusal in the binding of the call. None: it wasn't to an agent.
pub(super) fn answer(
    refusal: &Refusal,
    told: &Told,
    id: Option<&RawValue>,
    url: &str,
    arrival: &Arrival,
) -> Option<Answer> {
    let below = route::operation_path(arrival.uri.path())?;
    let (binding, version) = (a2a::binding(below), a2a::version_of(&arrival.headers, arrival.uri.query()));
    let reply = a2a::reply(binding, version, kind(refusal, told), id, &told.reason);
    let mut headers = super::headers(told, url, arrival, reply.body.len());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    for (name, value) in reply.trailers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let by_status = match binding {
        Binding::HttpJson => told.status != StatusCode::OK,
        Binding::JsonRpc => id.is_none(), // Nobody waits for an answer of that id.
        Binding::Grpc => false,
    };
    let status = match told.challenge {
        Some(_) => told.status, // For this the clients look at the status and the header.
        None if by_status => told.status,
        None => StatusCode::from_u16(reply.status).unwrap_or(told.status),
    };
    Some(Answer { status, headers, body: AnswerBody::whole(reply.body.into()) })
}

/// Which of the protocol's errors it is.
fn kind(refusal: &Refusal, told: &Told) -> ErrorKind {
    if let Refusal::Decode(DecodeError::A2a(error)) = refusal {
        return error.fault.kind();
    }
    if let Refusal::Upstream(UpstreamError::Task(WatchError::Event(_) | WatchError::Nameless)) = refusal {
        return ErrorKind::InvalidAgentResponse;
    }
    if let Refusal::Task(TaskError::PushOff) = refusal {
        return ErrorKind::PushNotificationNotSupported; // Its code is that of a denial elsewhere.
    }
    match told.code {
        TASK_NOT_FOUND => ErrorKind::TaskNotFound,
        EXTENSION_REQUIRED => ErrorKind::ExtensionSupportRequired,
        INVALID_PARAMS => ErrorKind::InvalidParams,
        DENIED => ErrorKind::Denied,
        UNAVAILABLE => ErrorKind::Unavailable,
        LIMIT => ErrorKind::Limit,
        UNAUTHENTICATED => ErrorKind::Unauthenticated,
        -32601 => ErrorKind::MethodNotFound,
        -32700 => ErrorKind::Parse,
        _ => ErrorKind::InvalidRequest,
    }
}
