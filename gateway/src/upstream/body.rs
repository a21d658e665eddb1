//! The body of an answer: chunks as they arrive, never gathered, ended when its permit ends.

use super::UpstreamError;
use super::filter::EventFilter;
use super::grpc::Messages;
use super::pool::Lease;
use crate::revocation::Hold;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;
use protocol::mcp::Watch;
use std::pin::pin;
use tokio::time::Instant;

/// Chunks on their way to the caller. Dropped before its end, it closes the upstream's connection.
#[derive(Debug)]
pub struct AnswerBody {
    source: Source,
    hold: Option<Hold>,
    /// What stands behind the last chunk.
    trailers: Option<HeaderMap>,
}

#[derive(Debug)]
enum Source {
    Whole(Option<Bytes>),
    Upstream(Streaming),
    Events(Streaming, EventFilter),
    Watched(Bytes, Streaming, Watch),
    Grpc(Box<Messages>),
}

/// What is left of an upstream's answer.
#[derive(Debug)]
pub(super) struct Streaming {
    incoming: Incoming,
    lease: Option<Lease>,
    deadline: Instant,
}

impl AnswerBody {
    fn of(source: Source) -> Self {
        Self { source, hold: None, trailers: None }
    }

    /// The same body, which ends once anything that it rests on is revoked.
    pub(super) fn held(self, hold: Hold) -> Self {
        Self { hold: Some(hold), ..self }
    }

    /// The messages of a gRPC answer.
    pub(super) fn grpc(messages: Messages) -> Self {
        Self::of(Source::Grpc(Box::new(messages)))
    }

    /// The same body with trailers behind it.
    pub(crate) fn with_trailers(self, trailers: HeaderMap) -> Self {
        Self { trailers: Some(trailers), ..self }
    }

    /// What stands behind the last chunk, once that was taken.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.source {
            Source::Grpc(messages) => messages.take_trailers(),
            Source::Whole(_) | Source::Upstream(_) | Source::Events(..) | Source::Watched(..) => {
                self.trailers.take()
            }
        }
    }

    /// A body that is already here.
    pub fn whole(body: Bytes) -> Self {
        Self::of(Source::Whole(Some(body)))
    }

    pub(super) fn upstream(incoming: Incoming, lease: Lease, deadline: Instant) -> Self {
        Self::of(Source::Upstream(Streaming { incoming, lease: Some(lease), deadline }))
    }

    /// The same body with its events judged on the way.
    pub(super) fn filtered(self, filter: EventFilter) -> Self {
        match self.source {
            Source::Upstream(streaming) => Self::of(Source::Events(streaming, filter)),
            other => Self::of(other),
        }
    }

    /// The same body behind a beginning that was watched already, and the rest under watch.
    pub(super) fn watched(self, beginning: Bytes, watch: Watch) -> Self {
        match self.source {
            Source::Upstream(streaming) => Self::of(Source::Watched(beginning, streaming, watch)),
            other => Self::of(other),
        }
    }

    /// Whether the server asked for what it may not in the chunks since the last time that this was called.
    pub fn take_unasked(&mut self) -> bool {
        match &mut self.source {
            Source::Events(_, filter) => filter.take_unasked(),
            Source::Whole(_) | Source::Upstream(_) | Source::Watched(..) | Source::Grpc(_) => false,
        }
    }

    /// Whether it is a stream of events about a task that the caller knows, and can subscribe to again.
    pub fn is_of_a_known_task(&self) -> bool {
        match &self.source {
            Source::Events(_, filter) => filter.is_of_a_known_task(),
            Source::Grpc(messages) => messages.is_of_a_known_task(),
            Source::Whole(_) | Source::Upstream(_) | Source::Watched(..) => false,
        }
    }

    /// Ends a stream in good order before its upstream does.
    pub fn end(&mut self) {
        if let Source::Grpc(messages) = &mut self.source {
            messages.end_here();
        }
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// [`UpstreamError`] if the upstream broke off, or the permit has ended or was revoked.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        let next = pin!(self.source.next()); // In one place, and not in each future that it is handed to.
        match &mut self.hold {
            None => next.await,
            Some(hold) => hold.unless_revoked(next).await.unwrap_or_else(|revoked| Some(Err(revoked.into()))),
        }
    }

    /// Waits for something, but no longer than until what the body rests on is revoked.
    ///
    /// # Errors
    /// [`UpstreamError::Revoked`].
    pub async fn unless_revoked<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, UpstreamError> {
        match &mut self.hold {
            None => Ok(awaited.await),
            Some(hold) => Ok(hold.unless_revoked(awaited).await?),
        }
    }
}

impl Source {
    async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        match self {
            Self::Whole(body) => body.take().filter(|b| !b.is_empty()).map(Ok),
            Self::Upstream(streaming) => streaming.next().await,
            Self::Grpc(messages) => messages.next().await,
            Self::Watched(beginning, ..) if !beginning.is_empty() => Some(Ok(std::mem::take(beginning))),
            Self::Watched(_, streaming, watch) => {
                let next = streaming.next().await;
                let judged = match &next {
                    Some(Ok(chunk)) => watch.push(chunk),
                    Some(Err(_)) => Ok(()),
                    None => watch.finish(),
                };
                match judged {
                    Err(error) => Some(Err(error.into())),
                    Ok(()) if watch.asks() => Some(Err(UpstreamError::ServerRequest)),
                    Ok(()) => next,
                }
            }
            Self::Events(streaming, filter) => loop {
                let passed = match streaming.next().await {
                    Some(Ok(chunk)) => filter.pass(&chunk).await,
                    Some(Err(error)) => return Some(Err(error)),
                    None => match filter.rest().await {
                        Ok(rest) => return rest.map(Ok),
                        Err(error) => return Some(Err(error)),
                    },
                };
                match passed {
                    Ok(bytes) if bytes.is_empty() => {} // No event has ended yet.
                    result => return Some(result),
                }
            },
        }
    }
}

impl Streaming {
    async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        loop {
            let Some(lease) = &mut self.lease else { return None };
            let frame = lease.connection().frame(&mut self.incoming);
            let frame = tokio::time::timeout_at(self.deadline, frame);
            match frame.await {
                Err(_) => return Some(Err(UpstreamError::PermitEnded)),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Some(Ok(data)),
                    _ => {} // Trailers end here: HTTP/1.1 callers could not be given them.
                },
                Ok(Some(Err(error))) => return Some(Err(error.into())),
                Ok(None) => {
                    if let Some(lease) = self.lease.take() {
                        lease.done();
                    }
                    return None;
                }
            }
        }
    }
}
