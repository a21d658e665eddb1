//! Why a request went no further, and all that the client learns of it: the one file that chooses statuses and codes.

use crate::bearer::BearerError;
use crate::operation::OperationError;
use crate::request::Body;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

/// One variant for each reason, in the order in which a request meets them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such path")]
    Path,
    #[error("the client's certificate is no longer accepted")]
    Peer,
    #[error("invalid token")]
    Token(#[source] BearerError),
    #[error("request bodies are read without Content-Encoding only")]
    Encoded,
    #[error("the body is longer than {max} bytes")]
    BodyTooLong { max: usize },
    #[error("the body did not arrive in time")]
    BodyTooSlow,
    #[error("the body ended early")]
    BodyBroken,
    #[error("{0}")]
    Operation(OperationError),
    #[error("the token lacks the scope {scope}")]
    Scope { scope: String, id: Option<String> },
    #[error("session not found")]
    Session { id: Option<String> },
    #[error("too many sessions are open; end those that are not used any more, or try again later")]
    TooManySessions { id: Option<String> },
}

impl Refusal {
    /// HTTP status, JSON-RPC code and stable reason.
    fn answer(&self) -> (StatusCode, i32, &'static str) {
        match self {
            Self::Path => (StatusCode::NOT_FOUND, -32600, "no_such_path"),
            Self::Peer => (StatusCode::FORBIDDEN, -32001, "peer_not_accepted"),
            Self::Token(_) => (StatusCode::UNAUTHORIZED, -32001, "invalid_token"),
            Self::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, -32600, "content_encoding"),
            Self::BodyTooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, -32600, "body_too_long"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, -32600, "body_too_slow"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, -32600, "body_broken"),
            Self::Operation(OperationError::NotJson) => (StatusCode::BAD_REQUEST, -32700, "not_json"),
            Self::Operation(OperationError::NotAMessage) => {
                (StatusCode::BAD_REQUEST, -32600, "not_a_message")
            }
            Self::Operation(OperationError::NoTool) => (StatusCode::BAD_REQUEST, -32602, "no_tool"),
            Self::Scope { .. } => (StatusCode::FORBIDDEN, -32003, "insufficient_scope"),
            Self::Session { .. } => (StatusCode::NOT_FOUND, -32600, "session_not_found"),
            Self::TooManySessions { .. } => (StatusCode::SERVICE_UNAVAILABLE, -32600, "too_many_sessions"),
        }
    }

    /// What the log says: the reason, or what was wrong with a token.
    pub(crate) fn code(&self) -> &'static str {
        if let Self::Token(error) = self { error.code() } else { self.answer().2 }
    }

    /// The answer: a JSON-RPC error, and the challenge of RFC 6750 §3 where a token is the matter.
    pub(crate) fn response(&self) -> Response<Body> {
        let (status, code, reason) = self.answer();
        let id = match self {
            Self::Scope { id, .. } | Self::Session { id } | Self::TooManySessions { id } => {
                id.as_deref().unwrap_or("null")
            }
            _ => "null",
        };
        let error =
            serde_json::json!({"code": code, "message": self.to_string(), "data": {"reason": reason}});
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
        let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if matches!(self, Self::Peer | Self::BodyTooLong { .. } | Self::BodyTooSlow) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn challenge(&self) -> Option<HeaderValue> {
        match self {
            // A request without credentials gets no error code (RFC 6750 §3.1).
            Self::Token(BearerError::Missing) => Some(HeaderValue::from_static("Bearer")),
            Self::Token(_) => Some(HeaderValue::from_static(r#"Bearer error="invalid_token""#)),
            Self::Scope { scope, .. } if scope.bytes().all(is_scope_byte) => {
                HeaderValue::from_str(&format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)).ok()
            }
            Self::Scope { .. } => Some(HeaderValue::from_static(r#"Bearer error="insufficient_scope""#)),
            _ => None,
        }
    }
}

/// RFC 6749 §3.3: printable ASCII without space, quote and backslash.
fn is_scope_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_name_cannot_break_out_of_the_challenge() {
        let challenge = |scope: &str| Refusal::Scope { scope: scope.into(), id: None }.challenge();
        assert_eq!(
            challenge("s3:get_object"),
            Some(HeaderValue::from_static(r#"Bearer error="insufficient_scope", scope="s3:get_object""#))
        );
        let bare = Some(HeaderValue::from_static(r#"Bearer error="insufficient_scope""#));
        assert_eq!(challenge("s3:x\", realm=\"y"), bare);
        assert_eq!(challenge("s3:x\r\ny"), bare);
    }
}
