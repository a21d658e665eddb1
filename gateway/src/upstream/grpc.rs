//! gRPC toward an agent: the request, and the answer's messages, each of them whole and judged before it goes on, with
//! the status at their end (gRPC over HTTP/2).

use super::agent::{A2A_VERSION, REQUEST_HEADERS};
use super::{Answer, AnswerBody, Upstream, UpstreamError, filtered, traced};
use crate::config::Server;
use crate::exchange::Credential;
use crate::request::Arrival;
use crate::tasks::Watcher;
use crate::tasks::watch::WatchError;
use bytes::{Bytes, BytesMut};
use http::header::{self, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use protocol::a2a::{self, Asked, Binding, Call};
use serde_json::Value;
use std::time::SystemTime;
use tokio::time::Instant;

/// The media type.
pub(crate) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What of trailers reaches the caller.
const TRAILERS: [HeaderName; 3] =
    [STATUS, HeaderName::from_static("grpc-message"), HeaderName::from_static("grpc-status-details-bin")];
/// What of the metadata before the messages reaches the caller, besides.
const METADATA: [HeaderName; 2] = [HeaderName::from_static("a2a-extensions"), A2A_VERSION];
/// Bytes before each message.
const PREFIX_BYTES: usize = 5;
/// Statuses that are about our credential and not the caller's: `PERMISSION_DENIED` and `UNAUTHENTICATED`.
const ABOUT_US: [&[u8]; 2] = [b"7", b"16"];
const NOT_FOUND: &[u8] = b"5";

/// The request as the agent gets it: for its own tenant, and not for the name that it has here. Where the caller named it by
/// its host, the message is as it came.
pub(super) fn request(
    server: &Server,
    credential: &Credential,
    call: &Call,
    (arrival, body): (&Arrival, Option<&Bytes>),
    trace: Option<HeaderValue>,
) -> Result<Request<Full<Bytes>>, UpstreamError> {
    let mut headers = filtered(&arrival.headers, &REQUEST_HEADERS, None);
    traced(&mut headers, trace);
    let body = body.cloned().unwrap_or_else(|| arrival.body.clone().unwrap_or_default());
    if a2a::tenant_of(arrival.uri.path(), &body) == call.tenant {
        return addressed(server, credential, headers, call.method, body);
    }
    let message = a2a::unframed(&body).ok_or(UpstreamError::Grpc)?;
    let message = a2a::with_tenant(message, call.method, call.tenant.as_deref());
    let message = message.ok().and_then(|message| a2a::frame(&message)).ok_or(UpstreamError::Grpc)?;
    addressed(server, credential, headers, call.method, message)
}

fn addressed(
    server: &Server,
    credential: &Credential,
    mut headers: HeaderMap,
    method: a2a::Method,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, UpstreamError> {
    headers.insert(A2A_VERSION, HeaderValue::from_static("1.0"));
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(header::AUTHORIZATION, credential.bearer.clone());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::builder()
        .scheme("https")
        .authority(server.host.as_bytes())
        .path_and_query(format!("/{}/{}", a2a::SERVICE, method.name()))
        .build()
        .map_err(|_| UpstreamError::Host)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The answer, once its head is here.
pub(super) async fn judged(
    head: &HeaderMap,
    incoming: Incoming,
    watcher: Watcher,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Answer, UpstreamError> {
    if head.get(CONTENT_TYPE).is_none_or(|told| !told.as_bytes().starts_with(GRPC.as_bytes())) {
        return Err(UpstreamError::MediaType);
    }
    let mut headers = filtered(head, &METADATA, None);
    match head.get(STATUS) {
        Some(status) if ABOUT_US.contains(&status.as_bytes()) => {
            return Err(UpstreamError::Status(StatusCode::FORBIDDEN));
        }
        Some(_) => headers.extend(filtered(head, &TRAILERS, None)), // No messages, so that the status stands here.
        None => {}
    }
    headers.insert(CONTENT_TYPE, GRPC);
    let waits = !watcher.streams() && !headers.contains_key(STATUS);
    let mut messages = Messages {
        ready: None,
        incoming,
        watcher,
        deadline,
        bytes_max,
        held: BytesMut::new(),
        ended: headers.contains_key(STATUS),
        trailers: None,
    };
    if waits {
        messages.ready = messages.message().await?; // What can't go on is refused, where it is all that there is.
    }
    Ok(Answer { status: StatusCode::OK, headers, body: AnswerBody::grpc(messages) })
}

/// An answer of the gateway's own.
pub(crate) fn whole(message: Vec<u8>) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, GRPC);
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    Answer {
        status: StatusCode::OK,
        headers,
        body: AnswerBody::whole(message.into()).with_trailers(trailers),
    }
}

/// The messages of an answer, as they arrive.
#[derive(Debug)]
pub(super) struct Messages {
    /// One that was judged already.
    ready: Option<Bytes>,
    incoming: Incoming,
    watcher: Watcher,
    deadline: Instant,
    bytes_max: usize,
    /// What of a message is here.
    held: BytesMut,
    ended: bool,
    trailers: Option<HeaderMap>,
}

impl Messages {
    /// The next message with its prefix. `None`: the status has come.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        match self.ready.take() {
            Some(message) => Some(Ok(message)),
            None => self.message().await.transpose(),
        }
    }

    async fn message(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            if let Some(length) = self.length()?
                && self.held.len() >= length
            {
                let framed = self.held.split_to(length).freeze();
                let message = a2a::unframed(&framed).ok_or(UpstreamError::Grpc)?;
                self.watcher.saw(message).await?;
                return Ok(Some(framed));
            }
            if self.ended {
                return if self.held.is_empty() { Ok(None) } else { Err(UpstreamError::Grpc) };
            }
            let frame = tokio::time::timeout_at(self.deadline, self.incoming.frame()).await;
            match frame.map_err(|_| UpstreamError::PermitEnded)?.transpose()? {
                None => return Err(UpstreamError::Grpc), // It broke off: there was no status.
                Some(frame) => match frame.into_data() {
                    Ok(data) => self.held.extend_from_slice(&data),
                    Err(frame) => self.end(&frame.into_trailers().unwrap_or_default())?,
                },
            }
        }
    }

    /// With its prefix, once that is here.
    fn length(&self) -> Result<Option<usize>, UpstreamError> {
        let Some(prefix) = self.held.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let [compressed, length @ ..] = *prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| UpstreamError::TooLong)?;
        match (compressed, length <= self.bytes_max) {
            (0, true) => Ok(Some(PREFIX_BYTES + length)),
            (0, false) => Err(UpstreamError::TooLong),
            _ => Err(UpstreamError::Grpc), // Nothing was asked for that would have to be unpacked.
        }
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), UpstreamError> {
        let status = trailers.get(STATUS).ok_or(UpstreamError::Grpc)?;
        if ABOUT_US.contains(&status.as_bytes()) {
            return Err(UpstreamError::Status(StatusCode::FORBIDDEN));
        }
        self.ended = true;
        self.trailers = Some(filtered(trailers, &TRAILERS, None));
        Ok(())
    }

    /// Whether the messages are about a task that their caller knows.
    pub(super) fn is_of_a_known_task(&self) -> bool {
        self.watcher.streams_a_known_task()
    }

    /// Ends the answer between two messages, in good order.
    pub(super) fn end_here(&mut self) {
        self.trailers = Some(HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]));
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

impl Upstream<'_> {
    /// Asks the agent for a task. None: it has no such task.
    pub(super) async fn task_over_grpc(
        &self,
        credential: &Credential,
        asked: Asked,
        until: SystemTime,
    ) -> Result<Option<Value>, UpstreamError> {
        let method = a2a::Method::GetTask;
        let request = addressed(&self.server, credential, HeaderMap::new(), method, asked.body)?;
        let (response, lasts) = self.pool.send_grpc(&self.server, &self.identity, request).await?;
        let (head, incoming) = response.into_parts();
        let deadline = self.pool.deadline(until.min(lasts));
        let body = Limited::new(incoming, self.pool.held_bytes_max).collect();
        let body = tokio::time::timeout_at(deadline, body).await.map_err(|_| UpstreamError::PermitEnded)?;
        let body = body.map_err(|_| UpstreamError::TooLong)?;
        let status = body.trailers().and_then(|trailers| trailers.get(STATUS)).or(head.headers.get(STATUS));
        match status.map(HeaderValue::as_bytes) {
            Some(b"0") => {
                let whole = body.to_bytes();
                let message = a2a::unframed(&whole).ok_or(UpstreamError::Grpc)?;
                Ok(a2a::task(Binding::Grpc, message).map_err(WatchError::from)?)
            }
            Some(NOT_FOUND) => Ok(None),
            _ => Err(UpstreamError::Grpc),
        }
    }
}
