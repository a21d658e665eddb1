//! What the gateway asks one server in its caller's name: a request of its own, with a record of its own, on the whole path.

use super::to::{self, Begun};
use super::{Entered, Front, Through};
use crate::reply::{DENIED, LIMIT, Reason, Response, UNAUTHENTICATED, UNAVAILABLE};
use crate::request::{self, Arrival};
use crate::upstream::{LAST_EVENT_ID, SESSION_ID, UpstreamError};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use protocol::mcp::{Reply, Version};
use protocol::sse::Events;
use serde_json::json;

/// Why there is no answer. The record of the part says more.
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
    /// Policy had no time for all of it.
    Undecided,
    /// The session with it is gone.
    Gone,
    /// It failed, or there is no credential for it, or nobody could read what it said.
    Failed,
}

/// What of the caller's words is about another request than the gateway's own.
const NOT_PASSED: [HeaderName; 4] =
    [HeaderName::from_static("mcp-method"), HeaderName::from_static("mcp-name"), LAST_EVENT_ID, SESSION_ID];

impl Front<'_> {
    /// A POST to a server, in a session with it or none.
    pub(super) fn asks(
        &self,
        server: &str,
        method: &str,
        body: Vec<u8>,
        begun: Option<&Begun>,
        through: Through,
    ) -> Arrival {
        let mut arrival = to::at(self.arrival, server, through);
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

    /// Sends it.
    async fn sent(&self, arrival: &Arrival) -> Response {
        let record = self.gateway.audit.open_part(arrival);
        request::part(self.gateway, self.state, arrival, record).await
    }

    /// Sends it, and hears the answer to its end: a result or an error of the server's.
    pub(super) async fn heard(&self, arrival: &Arrival) -> Result<Bytes, Unheard> {
        let response = self.sent(arrival).await;
        let gone = response.status == StatusCode::NOT_FOUND && arrival.headers.contains_key(SESSION_ID);
        let message = message(response, self.gateway.limits.list_bytes_max).await;
        // A server of those years says by a 404 that it doesn't know the session, but some say so of a method.
        let of_method = |message: &Bytes| matches!(Reply::read(message), Ok(Reply::Error { code }) if code == METHOD_NOT_FOUND);
        if gone && !message.as_ref().is_ok_and(of_method) { Err(Unheard::Gone) } else { message }
    }

    /// Has a server begin a session, in its caller's version or another of those years.
    pub(super) async fn begin(
        &self,
        entered: &Entered<'_>,
        shown: &str,
        server: &str,
    ) -> Result<Begun, Unheard> {
        let version = entered.call.version.as_str();
        let params = json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": super::server_info(),
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let body = body.to_string().into_bytes();
        let asked = self.asks(server, "initialize", body, None, Through::in_session(shown));
        let response = self.sent(&asked).await;
        let begun = Begun {
            session: response.headers.get(SESSION_ID).cloned(),
            version: HeaderValue::from_static(version),
        };
        let mut beginning = self.beginning(entered, (shown, server), begun);
        match spoken(response, self.gateway.limits.list_bytes_max).await {
            Ok(version) => beginning.begun.version = version,
            Err(why) => {
                self.end(shown, server, &beginning.begun).await;
                beginning.ended();
                return Err(why);
            }
        }
        let method = "notifications/initialized";
        let body = json!({ "jsonrpc": "2.0", "method": method }).to_string().into_bytes();
        self.told(&self.asks(server, method, body, Some(&beginning.begun), Through::in_session(shown))).await;
        Ok(beginning.kept())
    }

    /// Ends a session that a server has begun.
    pub(super) async fn end(&self, shown: &str, server: &str, begun: &Begun) {
        if begun.session.is_none() {
            return;
        }
        let through = Through::in_session(shown);
        let mut arrival = self.asks(server, "session/end", Vec::new(), Some(begun), through);
        arrival.headers.remove(CONTENT_TYPE);
        arrival.headers.remove(HeaderName::from_static("mcp-method"));
        self.told(&Arrival { method: Method::DELETE, body: Ok(Bytes::new()), ..arrival }).await;
    }

    /// Sends what needs no answer, of which nothing is read. That it was refused or failed stands in its record.
    async fn told(&self, arrival: &Arrival) {
        self.sent(arrival).await.body.complete();
    }
}

impl Unheard {
    /// By a refusal of the gateway's own.
    fn refused(with: &Reason) -> Self {
        match (with.code, with.name.as_str()) {
            (DENIED, "policy_error" | "policy_budget" | "unknown_obligation") => Self::Undecided,
            (DENIED | UNAUTHENTICATED, _) => Self::Denied,
            (UNAVAILABLE, "upstream_timeout" | "token_service_timeout") => Self::Timeout,
            (UNAVAILABLE, "audit_unavailable") => Self::Audit,
            (LIMIT, _) => Self::Limit,
            (_, "session_not_found") => Self::Gone,
            _ => Self::Failed,
        }
    }

    /// By a server's own error. A server can write whatever the gateway writes, so nothing else is read from it.
    pub(super) fn said(code: i64) -> Self {
        if code == METHOD_NOT_FOUND { Self::Nothing } else { Self::Failed }
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
            Self::Undecided => "undecided",
            Self::Gone | Self::Failed => "failed",
        }
    }
}

/// JSON-RPC 2.0 §5.1.
const METHOD_NOT_FOUND: i64 = -32601;

/// The version of a session that an answer opens, for the header of the calls in it.
async fn spoken(response: Response, bytes_max: usize) -> Result<HeaderValue, Unheard> {
    let message = message(response, bytes_max).await?;
    let Ok(Reply::Result(result)) = Reply::read(&message) else { return Err(Unheard::Failed) };
    let spoken = protocol::mcp::negotiated(result).map_err(|_| Unheard::Failed)?;
    let known = Version::ALL.into_iter().find(|v| v.as_str() == spoken && !v.is_stateless());
    known.map(|version| HeaderValue::from_static(version.as_str())).ok_or(Unheard::Failed)
}

/// The message in a server's answer. What else stands in its stream is about progress, and for nobody here.
async fn message(mut response: Response, bytes_max: usize) -> Result<Bytes, Unheard> {
    if let Some(refused) = &response.refused {
        let why = Unheard::refused(refused);
        response.body.complete();
        return Err(why);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_of_itself_that_it_has_no_such_thing_or_has_failed_and_no_more() {
        for code in [DENIED, UNAUTHENTICATED, UNAVAILABLE, LIMIT, -32600, 0, 1 << 20] {
            assert_eq!(Unheard::said(code.into()), Unheard::Failed, "{code}");
        }
        assert_eq!(Unheard::said(METHOD_NOT_FOUND), Unheard::Nothing);
        assert_eq!(Unheard::said(METHOD_NOT_FOUND + (1 << 32)), Unheard::Failed);
    }

    #[test]
    fn a_refusal_that_is_no_decision_is_no_denial() {
        let of = |code, reason: &str| Unheard::refused(&Reason { code, name: reason.to_owned() });
        for (code, reason, why) in [
            (DENIED, "not_allowed", Unheard::Denied),
            (DENIED, "a_code_of_the_policys_own", Unheard::Denied),
            (DENIED, "policy_budget", Unheard::Undecided),
            (UNAUTHENTICATED, "invalid_token", Unheard::Denied),
            (UNAVAILABLE, "audit_unavailable", Unheard::Audit),
            (UNAVAILABLE, "upstream_failed", Unheard::Failed),
            (-32600, "session_not_found", Unheard::Gone),
        ] {
            assert_eq!(of(code, reason), why, "{code} {reason}");
        }
    }
}
