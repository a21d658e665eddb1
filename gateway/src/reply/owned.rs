//! Refusals about what is one principal's: to everybody else it is not there.

use super::{LIMIT, Told, UNAVAILABLE};
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

/// An agent's event that isn't taken. All that is wrong about its URL is that there is nothing.
pub(super) fn push(error: &PushError) -> Told {
    match error {
        PushError::Unsealed
        | PushError::Agent
        | PushError::Quarantined
        | PushError::Caller
        | PushError::Ended
        | PushError::Revoked(_)
        | PushError::Task => Told::new(StatusCode::NOT_FOUND, -32601, "not_found"),
        PushError::Event(_) => Told::new(StatusCode::BAD_REQUEST, -32600, "invalid_event"),
        PushError::TooMany => Told::new(StatusCode::TOO_MANY_REQUESTS, LIMIT, "too_many_tasks"),
        PushError::Store(_) => Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "tasks_unavailable"),
        PushError::Full => {
            Told { again: Some(1), ..Told::new(StatusCode::SERVICE_UNAVAILABLE, LIMIT, "push_queue_full") }
        }
    }
}
