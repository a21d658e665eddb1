//! Requests one word apart: the one is a call, the other is refused, and this is what the caller is told.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;
use http::{HeaderName, HeaderValue};
use serde_json::json;

mod legacy;
mod stateless;
mod table;

/// A request that can be changed before it is decoded.
#[derive(Clone)]
struct Request {
    method: Method,
    headers: HeaderMap,
    body: Vec<u8>,
    limits: Limits,
}

impl Request {
    fn post(body: &str) -> Self {
        let limits = Limits::default();
        let post =
            Self { method: Method::POST, headers: HeaderMap::new(), body: body.as_bytes().to_vec(), limits };
        post.header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
    }

    /// A call of 2025-11-25 in a session.
    fn legacy(body: &str) -> Self {
        Self::post(body).header("mcp-protocol-version", "2025-11-25").header("mcp-session-id", "s-1")
    }

    fn without_body(method: Method) -> Self {
        let mut request = Self::legacy("");
        request.method = method;
        request.without("content-type").header("accept", "text/event-stream")
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn also(mut self, name: &str, value: &str) -> Self {
        self.headers
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn decode(&self) -> Result<Call, DecodeError> {
        let request = HttpRequest { method: &self.method, headers: &self.headers, body: &self.body };
        call(&request, &self.limits)
    }

    #[track_caller]
    fn accepted(&self) -> Call {
        match self.decode() {
            Ok(call) => call,
            Err(error) => panic!("refused: {error} ({})", error.reason()),
        }
    }

    /// HTTP status, JSON-RPC code and reason.
    #[track_caller]
    fn refused(&self) -> (u16, i32, &'static str) {
        let error = self.decode().unwrap_err();
        (error.http_status().as_u16(), error.rpc_code(), error.reason())
    }
}
