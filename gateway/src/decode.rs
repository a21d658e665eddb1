//! Stage 4 of 9: what is asked.
//! In: a body within its bounds and the headers. Out: a [`Call`](protocol::mcp::Call), read from the body as the upstream
//! will read it. Headers that say otherwise are refused (MCP SEP-2243), as is a page of a foreign origin.

use crate::config::Limits;
use crate::request::Arrival;
use crate::route::ServerRoute;
use bytes::Bytes;
use http::header::ORIGIN;
use protocol::mcp::{self, Call, HttpRequest};
use std::collections::BTreeSet;

/// A request's body: all of it, or why it never became whole.
pub type Body = Result<Bytes, BodyError>;

/// Why a body never became whole.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than the limit.
    #[error("the body is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The header fields together are longer than the limit.
    #[error("the header fields are longer than {max} bytes")]
    HeadTooLong {
        /// The limit.
        max: usize,
    },
    /// It came too slowly.
    #[error("the body did not arrive in time")]
    Timeout,
    /// The caller hung up, or broke the framing.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// Why a request is not a call.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body never became whole.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A browser's page of an origin that isn't let in (MCP, transports, security warning).
    #[error("the origin is not let in")]
    Origin,
    /// Not the protocol.
    #[error("not a call of the protocol")]
    Mcp(#[from] mcp::DecodeError),
}

/// Decodes a request to a server's endpoint.
///
/// # Errors
/// [`DecodeError`]; nothing has gone upstream.
pub fn call(
    arrival: &Arrival,
    server: &ServerRoute,
    origins: &BTreeSet<String>,
    limits: &Limits,
) -> Result<Call, DecodeError> {
    if arrival.headers.get_all(ORIGIN).iter().any(|o| !o.to_str().is_ok_and(|o| origins.contains(o))) {
        return Err(DecodeError::Origin);
    }
    let body = arrival.body.clone()?;
    let request = HttpRequest { method: &arrival.method, headers: &arrival.headers, body: &body };
    let limits = mcp::Limits {
        json: protocol::json::Limits { depth_max: limits.json_depth_max },
        case_variants_in_arguments: server.case_variants_in_arguments(),
        client_answers: server.client_answers(),
    };
    Ok(mcp::call(&request, &limits)?)
}
