//! Calls to agents: what goes out, what of the answer reaches the caller, and the one question that the gateway asks itself.

use super::filter::{EventFilter, collected, media_type, without_body};
use super::{Answer, AnswerBody, Upstream, UpstreamError, filtered, traced};
use crate::config::Server;
use crate::exchange::Credential;
use crate::request::Arrival;
use crate::tasks::Watcher;
use crate::tasks::watch::WatchError;
use bytes::Bytes;
use http::header::{self, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use policy::Permit;
use protocol::a2a::{self, Binding, Call, EventError, Target, Version};
use serde_json::Value;

pub(super) const A2A_VERSION: HeaderName = HeaderName::from_static("a2a-version");

/// What of a call to an agent goes on; the rest is as for servers.
pub(super) const REQUEST_HEADERS: [HeaderName; 6] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    HeaderName::from_static("a2a-extensions"),
    HeaderName::from_static("x-a2a-extensions"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// The request as the agent gets it, with the caller's body or another.
pub(super) fn request(
    server: &Server,
    credential: &Credential,
    call: &Call,
    (arrival, body): (&Arrival, Option<&Bytes>),
    trace: Option<HeaderValue>,
) -> Request<Full<Bytes>> {
    let mut headers = filtered(&arrival.headers, &REQUEST_HEADERS, None);
    traced(&mut headers, trace);
    if call.version == Version::V1_0 {
        headers.insert(A2A_VERSION, HeaderValue::from_static("1.0"));
    }
    let body = body.cloned().unwrap_or_else(|| arrival.body.clone().unwrap_or_default());
    addressed(server, credential, headers, call.target.as_ref(), body)
}

/// A request to an interface: to its URL, or below it.
fn addressed(
    server: &Server,
    credential: &Credential,
    mut headers: HeaderMap,
    target: Option<&Target>,
    body: Bytes,
) -> Request<Full<Bytes>> {
    headers.insert(header::AUTHORIZATION, credential.bearer.clone());
    headers.insert(header::HOST, server.host.clone());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = target.map_or(Method::POST, |target| target.method.clone());
    *request.uri_mut() = target.map_or_else(|| server.target.clone(), |target| below(&server.target, target));
    *request.headers_mut() = headers;
    request
}

/// A path below an interface's own. Both are percent-encoded already, so that together they are a path.
fn below(interface: &Uri, target: &Target) -> Uri {
    let query = target.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{}{query}", interface.path().trim_end_matches('/'), target.path);
    Uri::try_from(path).unwrap_or_else(|_| interface.clone())
}

/// The answer as the caller may have it: as the agent wrote it, once it is known whose it is.
pub(super) async fn judged(
    mut answer: Answer,
    mut watcher: Watcher,
    bytes_max: usize,
) -> Result<Answer, UpstreamError> {
    let media_type = media_type(&answer)?;
    let told = |answer: &mut Answer, media_type| {
        answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    };
    match media_type.as_str() {
        json @ ("application/json" | "application/a2a+json") => {
            told(
                &mut answer,
                if json == "application/json" { "application/json" } else { "application/a2a+json" },
            );
            let whole = collected(&mut answer, bytes_max).await?;
            match watcher.saw(&whole).await {
                Err(WatchError::Event(EventError::Kind) | WatchError::Nameless)
                    if !answer.status.is_success() => {} // A refusal, which names nothing that is anybody's.
                seen => seen?,
            }
            answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
            Ok(Answer { body: AnswerBody::whole(whole), ..answer })
        }
        "text/event-stream" if answer.status.is_success() => {
            told(&mut answer, "text/event-stream");
            answer.headers.remove(CONTENT_LENGTH);
            let filter = EventFilter::watched(watcher, bytes_max);
            Ok(Answer { body: answer.body.filtered(filter), ..answer })
        }
        _ if answer.status.is_success() => without_body(answer).await,
        _ => {
            told(&mut answer, "text/plain"); // A refusal in plain words is no answer, so no client reads one from it.
            Ok(answer)
        }
    }
}

impl Upstream<'_> {
    /// Asks the agent for a task, as the permit for a list of them allows. None: it has no such task.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn task(
        &self,
        permit: &Permit,
        credential: &Credential,
        call: &Call,
        id: &str,
    ) -> Result<Option<Value>, UpstreamError> {
        let asked =
            a2a::get_task(call.binding, call.tenant.as_deref(), id, call.configuration.history_length);
        if call.binding == Binding::Grpc {
            return self.task_over_grpc(credential, asked, permit.expires_at()).await;
        }
        let mut headers = HeaderMap::new();
        headers.insert(A2A_VERSION, HeaderValue::from_static("1.0"));
        if let Some(content_type) = asked.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let request = addressed(&self.server, credential, headers, asked.target.as_ref(), asked.body);
        let (response, lease) = self.pool.send(&self.server, &self.identity, request).await?;
        let (head, incoming) = response.into_parts();
        let until = permit.expires_at().min(lease.until());
        let body = AnswerBody::upstream(incoming, lease, self.pool.deadline(until));
        let mut answer = Answer { status: head.status, headers: HeaderMap::new(), body };
        let whole = collected(&mut answer, self.pool.held_bytes_max).await?;
        match head.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(a2a::task(call.binding, &whole).map_err(WatchError::from)?),
            status => Err(UpstreamError::Status(status)),
        }
    }
}
