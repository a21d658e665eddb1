//! Refusals about what is one principal's: to everybody else it is not there. And those of the URL of all servers.

use super::{LIMIT, Told, UNAVAILABLE};
use crate::one_url::{OneUrlError, Unheard};
use crate::push::PushError;
use crate::session::SessionError;
use http::StatusCode;

/// Whose a session is, and whether it ever was, is told to nobody but its owner.
pub(super) fn session(error: &SessionError) -> Told {
    match error {
        SessionError::Unsealed
        | SessionError::Owner
        | SessionError::Server
        | SessionError::Ended
        | SessionError::Revoked(_)
        | SessionError::NoSession => Told::new(StatusCode::NOT_FOUND, -32600, "session_not_found"),
        SessionError::TooMany { .. } => Told::new(StatusCode::TOO_MANY_REQUESTS, LIMIT, "too_many_sessions"),
    }
}

/// What is asked of all servers and not answered for them.
pub(super) fn one_url(error: &OneUrlError) -> Told {
    let params = |reason| Told::new(StatusCode::BAD_REQUEST, -32602, reason);
    match error {
        OneUrlError::Method { version, .. } => {
            let status = if version.is_stateless() { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
            Told::new(status, -32601, "method_of_one_server")
        }
        OneUrlError::Stream => Told::new(StatusCode::METHOD_NOT_ALLOWED, -32600, "method_not_allowed"),
        OneUrlError::NoSession => Told::new(StatusCode::BAD_REQUEST, -32600, "session_required"),
        OneUrlError::Cursor | OneUrlError::Rename(_) => params("invalid_params"),
        OneUrlError::Ambiguous(_) => params("ambiguous_resource"),
        OneUrlError::Busy { .. } => {
            Told { again: Some(1), ..Told::new(StatusCode::SERVICE_UNAVAILABLE, LIMIT, "too_many_lists") }
        }
        OneUrlError::Unopened(Unheard::Limit) => {
            Told::new(StatusCode::TOO_MANY_REQUESTS, LIMIT, "too_many_sessions")
        }
        OneUrlError::Unopened(Unheard::Timeout) => {
            Told::new(StatusCode::GATEWAY_TIMEOUT, UNAVAILABLE, "upstream_timeout")
        }
        OneUrlError::Unopened(Unheard::Audit) => {
            Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "audit_unavailable")
        }
        OneUrlError::Unopened(_) => Told::new(StatusCode::BAD_GATEWAY, UNAVAILABLE, "upstream_failed"),
    }
}

/// An agent's event that isn't taken. All that is wrong about its URL is that there is nothing.
pub(super) fn push(error: &PushError) -> Told {
    match error {
        PushError::Unsealed | PushError::Void(_) | PushError::Task => {
            Told::new(StatusCode::NOT_FOUND, -32601, "not_found")
        }
        PushError::Event(_) => Told::new(StatusCode::BAD_REQUEST, -32600, "invalid_event"),
        PushError::TooMany => Told::new(StatusCode::TOO_MANY_REQUESTS, LIMIT, "too_many_tasks"),
        PushError::Store(_) => Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "tasks_unavailable"),
        PushError::Full => {
            Told { again: Some(1), ..Told::new(StatusCode::SERVICE_UNAVAILABLE, LIMIT, "push_queue_full") }
        }
    }
}
