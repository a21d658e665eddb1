//! What the gateway asks one server in its caller's name: a request of its own, with a record of its own, on the whole path.

use super::Front;
use super::to::{self, Begun};
use crate::reply::{DENIED, LIMIT, Response, UNAUTHENTICATED, UNAVAILABLE};
use crate::request::{self, Arrival};
use crate::upstream::{LAST_EVENT_ID, SESSION_ID, UpstreamError};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use protocol::mcp::{Reply, Version};
use protocol::sse::Events;
use serde_json::json;

/// An answer that is here.
pub(super) struct Heard {
    /// The message: a result or an error.
    pub(super) message: Bytes,
    /// The session that it is in.
    pub(super) session: Option<HeaderValue>,
}

/// Why there is none. The record of the part says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// The caller may not ask there.
    Denied,
    /// The server has no such thing.
    Nothing,
    /// It took too long.
    Timeout,
    /// It is longer than may be held.
    TooLong,
    /// It has more pages than are asked for.
    TooManyPages,
    /// Some of its names are too long to be called here.
    NameTooLong,
    /// What it names, another server names too.
    Ambiguous,
    /// The caller has as many sessions as it may.
    Limit,
    /// No record could be kept of it.
    Audit,
    /// It failed, or there is no credential for it, or nobody could read what it said.
    Failed,
}

/// What of the caller's words is about another request than the gateway's own.
const NOT_PASSED: [HeaderName; 4] =
    [HeaderName::from_static("mcp-method"), HeaderName::from_static("mcp-name"), LAST_EVENT_ID, SESSION_ID];

impl Front<'_> {
    /// A POST to a server, in a session or none.
    pub(super) fn asks(&self, server: &str, method: &str, body: Vec<u8>, begun: Option<&Begun>) -> Arrival {
        let mut arrival = to::at(self.arrival, server);
        for name in NOT_PASSED {
            arrival.headers.remove(name);
        }
        let json = HeaderValue::from_static("application/json");
        arrival.headers.insert(CONTENT_TYPE, json);
        let both = HeaderValue::from_static("application/json, text/event-stream");
        arrival.headers.insert(http::header::ACCEPT, both);
        if let Ok(method) = HeaderValue::try_from(method) {
            arrival.headers.insert(HeaderName::from_static("mcp-method"), method);
        }
        to::in_session(&mut arrival, begun);
        Arrival { method: Method::POST, body: Ok(body.into()), ..arrival }
    }

    /// Sends it, and hears the answer to its end.
    pub(super) async fn heard(&self, arrival: &Arrival) -> Result<Heard, Unheard> {
        let record = self.gateway.audit.open_part(arrival);
        let response = request::part(self.gateway, self.state, arrival, record).await;
        let session = response.headers.get(SESSION_ID).cloned();
        let message = message(response, self.gateway.limits.list_bytes_max).await?;
        Ok(Heard { message, session })
    }

    /// Has a server begin a session, in its caller's version or another of those years.
    pub(super) async fn begin(&self, server: &str, version: Version) -> Result<Begun, Unheard> {
        let params = json!({
            "protocolVersion": version.as_str(),
            "capabilities": {},
            "clientInfo": super::server_info(),
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let heard = self.heard(&self.asks(server, "initialize", body.to_string().into_bytes(), None)).await?;
        let spoken = match Reply::read(&heard.message) {
            Ok(Reply::Result(result)) => protocol::mcp::negotiated(result).map_err(|_| Unheard::Failed)?,
            Ok(Reply::Error { code, reason }) => return Err(Unheard::refused(code, reason.as_deref())),
            Ok(Reply::Other) | Err(_) => return Err(Unheard::Failed),
        };
        let known = Version::ALL.into_iter().find(|v| v.as_str() == spoken && !v.is_stateless());
        let known = known.ok_or(Unheard::Failed)?;
        let begun = Begun { session: heard.session, version: HeaderValue::from_static(known.as_str()) };
        let method = "notifications/initialized";
        let body = json!({ "jsonrpc": "2.0", "method": method }).to_string().into_bytes();
        let told = self.asks(server, method, body, Some(&begun));
        self.said(&told).await;
        Ok(begun)
    }

    /// Ends a session that a server has begun.
    pub(super) async fn end(&self, server: &str, begun: &Begun) {
        if begun.session.is_none() {
            return;
        }
        let mut arrival = self.asks(server, "session/end", Vec::new(), Some(begun));
        arrival.headers.remove(CONTENT_TYPE);
        arrival.headers.remove(HeaderName::from_static("mcp-method"));
        self.said(&Arrival { method: Method::DELETE, body: Ok(Bytes::new()), ..arrival }).await;
    }

    /// Sends what needs no answer. That it was refused or failed stands in its record.
    async fn said(&self, arrival: &Arrival) {
        let record = self.gateway.audit.open_part(arrival);
        let mut response = request::part(self.gateway, self.state, arrival, record).await;
        while let Some(Ok(chunk)) = response.body.next().await {
            response.body.sent(chunk.len());
        }
        response.body.complete();
    }
}

impl Unheard {
    /// By an error, the gateway's or the server's.
    pub(super) fn refused(code: i64, reason: Option<&str>) -> Self {
        match (i32::try_from(code).unwrap_or_default(), reason) {
            (DENIED | UNAUTHENTICATED, _) => Self::Denied,
            (METHOD_NOT_FOUND, _) => Self::Nothing,
            (UNAVAILABLE, Some("upstream_timeout" | "token_service_timeout")) => Self::Timeout,
            (UNAVAILABLE, Some("audit_unavailable")) => Self::Audit,
            (LIMIT, _) => Self::Limit,
            _ => Self::Failed,
        }
    }

    fn of(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::TooLong | UpstreamError::Events(_) => Self::TooLong,
            UpstreamError::Timeout => Self::Timeout,
            _ => Self::Failed,
        }
    }

    /// Its stable name in records and metrics.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Nothing => "nothing",
            Self::Timeout => "timeout",
            Self::TooLong => "too_long",
            Self::TooManyPages => "too_many_pages",
            Self::NameTooLong => "name_too_long",
            Self::Ambiguous => "ambiguous",
            Self::Limit => "limit",
            Self::Audit => "audit",
            Self::Failed => "failed",
        }
    }
}

/// JSON-RPC 2.0 §5.1.
const METHOD_NOT_FOUND: i32 = -32601;

/// The message in an answer. What else stands in its stream is about progress, and for nobody here.
async fn message(mut response: Response, bytes_max: usize) -> Result<Bytes, Unheard> {
    let streams = response.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let (mut events, mut whole) = (streams.then(|| Events::new(bytes_max)), BytesMut::new());
    while let Some(chunk) = response.body.next().await {
        let chunk = chunk.map_err(|error| Unheard::of(&error))?;
        response.body.sent(chunk.len());
        let Some(events) = &mut events else {
            if whole.len() + chunk.len() > bytes_max {
                return Err(Unheard::TooLong);
            }
            whole.extend_from_slice(&chunk);
            continue;
        };
        for event in events.push(&chunk).map_err(|error| Unheard::of(&error.into()))? {
            let Some(data) = event.data().filter(|data| !data.is_empty()) else { continue };
            if !matches!(Reply::read(data.as_bytes()), Ok(Reply::Other)) {
                let message = Bytes::from(data.into_owned());
                response.body.complete();
                return Ok(message);
            }
        }
    }
    response.body.complete();
    if streams { Err(Unheard::Failed) } else { Ok(whole.freeze()) }
}
