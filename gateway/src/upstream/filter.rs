//! What of an answer reaches the caller. Lists are filtered item by item, and a server that asks the client for something
//! is heard only if its configuration allows that. Events are judged one by one, a list is held (within a bound), and any
//! other JSON streams by under watch. Whatever can't be read can't be judged, and what can't be judged doesn't pass.

use super::{Answer, AnswerBody, UpstreamError};
use crate::authorize::ListFilter;
use crate::reply;
use crate::tasks::Watcher;
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use protocol::mcp::{ServerMessage, ServerRequest, Unasked, Watch};
use protocol::sse::{Event, Events};
use std::borrow::Cow;

/// By which an answer is judged.
#[derive(Debug)]
pub(super) struct Rules {
    /// What the server may ask of the client.
    pub(super) allowed: Vec<ServerRequest>,
    /// How much of a list, or of one event, is held.
    pub(super) bytes_max: usize,
    /// For an answer that may bring a list.
    pub(super) list: Option<ListFilter>,
}

/// How much of an answer is held until it has said that it is a result. No limit: one that says so later streams on under
/// watch, and is broken off if it turns out to be none.
const PEEKED_BYTES: usize = 64 * 1024;

impl Rules {
    /// The answer as the caller may have it.
    ///
    /// # Errors
    /// [`UpstreamError`] if it can't be judged, or asks the client for something.
    pub(super) async fn judge(self, mut answer: Answer) -> Result<Answer, UpstreamError> {
        if self.list.is_some() {
            answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        }
        let media_type = media_type(&answer)?;
        // The caller hears the type by which the answer is judged and no parameters, in which some clients see another type.
        let mut told = |media_type| answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        match media_type.as_str() {
            "application/json" => {
                told("application/json");
                match self.list {
                    Some(_) => self.held(answer, BytesMut::new()).await,
                    None => self.watched(answer).await,
                }
            }
            "text/event-stream" => {
                told("text/event-stream");
                answer.headers.remove(CONTENT_LENGTH);
                let filter = EventFilter::new(self.bytes_max, By::Rules(self));
                Ok(Answer { body: answer.body.filtered(filter), ..answer })
            }
            _ if answer.status.is_success() => without_body(answer).await,
            _ => {
                told("text/plain"); // A refusal in plain words is no message, so no client reads one from it.
                Ok(answer)
            }
        }
    }

    /// An answer that is judged whole, what of it is here already included.
    async fn held(mut self, mut answer: Answer, mut whole: BytesMut) -> Result<Answer, UpstreamError> {
        more(&mut whole, &mut answer, self.bytes_max).await?;
        let message = ServerMessage::read(&whole)?;
        if message.unasked(&self.allowed)?.is_some() {
            return Err(UpstreamError::ServerRequest);
        }
        let body = match &mut self.list {
            Some(list) => Bytes::from(list.apply(&message).await?.into_owned()),
            None => whole.freeze(),
        };
        answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Ok(Answer { body: AnswerBody::whole(body), ..answer })
    }

    /// An answer that is passed on once it has said that it is a result, and watched to its end.
    async fn watched(self, mut answer: Answer) -> Result<Answer, UpstreamError> {
        let (mut watch, mut chunks, mut bytes) = (Watch::default(), Vec::new(), 0);
        while !watch.is_complete() && bytes < PEEKED_BYTES {
            let Some(chunk) = answer.body.next().await.transpose()? else {
                watch.finish()?;
                return Ok(Answer { body: AnswerBody::whole(joined(chunks)), ..answer });
            };
            watch.push(&chunk)?;
            bytes += chunk.len();
            chunks.push(chunk);
            if watch.asks() {
                if self.allowed.is_empty() {
                    return Err(UpstreamError::ServerRequest);
                }
                return self.held(answer, BytesMut::from(joined(chunks))).await; // Allowed or not: its whole text says.
            }
        }
        Ok(Answer { body: answer.body.watched(joined(chunks), watch), ..answer })
    }
}

/// What the answer's body is by its only `Content-Type`, in lower case and without parameters.
pub(super) fn media_type(answer: &Answer) -> Result<String, UpstreamError> {
    let mut types = answer.headers.get_all(CONTENT_TYPE).iter();
    let media_type = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    if types.next().is_some() {
        return Err(UpstreamError::MediaType); // The client might take the other one.
    }
    Ok(media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The rest of a body behind what of it is here.
async fn more(whole: &mut BytesMut, answer: &mut Answer, bytes_max: usize) -> Result<(), UpstreamError> {
    while let Some(chunk) = answer.body.next().await.transpose()? {
        if whole.len() + chunk.len() > bytes_max {
            return Err(UpstreamError::TooLong);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(())
}

/// A whole body, within a bound.
pub(super) async fn collected(answer: &mut Answer, bytes_max: usize) -> Result<Bytes, UpstreamError> {
    let mut whole = BytesMut::new();
    more(&mut whole, answer, bytes_max).await?;
    Ok(whole.freeze())
}

fn joined(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.pop() {
        Some(only) if chunks.is_empty() => only, // Most answers come in one piece, which is never copied.
        Some(last) => chunks.into_iter().chain([last]).collect::<Vec<_>>().concat().into(),
        None => Bytes::new(),
    }
}

/// A success that is neither JSON nor events: nothing, or the word to a 202 that no client reads.
pub(super) async fn without_body(mut answer: Answer) -> Result<Answer, UpstreamError> {
    if answer.body.next().await.transpose()?.is_some() && answer.status != StatusCode::ACCEPTED {
        return Err(UpstreamError::MediaType);
    }
    if answer.status != StatusCode::NO_CONTENT {
        answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    Ok(Answer { body: AnswerBody::whole(Bytes::new()), ..answer })
}

/// Judges an event stream.
#[derive(Debug)]
pub(super) struct EventFilter {
    events: Option<Events>,
    by: By,
    unasked: bool,
}

/// By whose rules.
#[derive(Debug)]
enum By {
    /// A server's events: what may be shown of them.
    Rules(Rules),
    /// An agent's: whose they are.
    Watcher(Box<Watcher>),
}

impl EventFilter {
    fn new(bytes_max: usize, by: By) -> Self {
        Self { events: Some(Events::new(bytes_max)), by, unasked: false }
    }

    /// For the events of an agent.
    pub(super) fn watched(watcher: Watcher, bytes_max: usize) -> Self {
        Self::new(bytes_max, By::Watcher(Box::new(watcher)))
    }

    /// Takes a chunk and gives the events that ended in it. Dropped before its end, it has lost some: so is the stream.
    pub(super) async fn pass(&mut self, chunk: &[u8]) -> Result<Bytes, UpstreamError> {
        let Some(events) = &mut self.events else { return Ok(Bytes::new()) };
        let mut out = BytesMut::new();
        for event in events.push(chunk)? {
            out.extend_from_slice(&self.event(event).await?);
        }
        Ok(out.freeze())
    }

    /// What stands behind the last whole event; a half event is judged like a whole one.
    pub(super) async fn rest(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        match self.events.take().map(Events::finish).transpose()?.flatten() {
            Some(event) => self.event(event).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the server has asked for what it may not since the last time that this was called.
    pub(super) fn take_unasked(&mut self) -> bool {
        std::mem::take(&mut self.unasked)
    }

    /// Whether the events are about a task that their caller knows.
    pub(super) fn is_of_a_known_task(&self) -> bool {
        match &self.by {
            By::Watcher(watcher) => watcher.streams_a_known_task(),
            By::Rules(_) => false,
        }
    }

    /// The event as the caller may have it, written anew: a line that isn't one of the standard's fields is left out, since
    /// a lenient reader might take it for data.
    async fn event(&mut self, event: Event) -> Result<Bytes, UpstreamError> {
        let Some(data) = event.data().filter(|data| !data.is_empty()) else { return Ok(event.plain(None)) };
        let rules = match &mut self.by {
            By::Rules(rules) => rules,
            By::Watcher(watcher) => {
                watcher.saw(data.as_bytes()).await?;
                return Ok(event.plain(Some(data.as_bytes())));
            }
        };
        let message = ServerMessage::read(data.as_bytes())?;
        let unasked = message.unasked(&rules.allowed)?;
        self.unasked |= unasked.is_some();
        let data = match (unasked, &mut rules.list) {
            (Some(Unasked::Request), _) => return Ok(event.without_data()),
            (Some(Unasked::Input), _) => Cow::Owned(reply::unasked(message.id()?)),
            (None, Some(list)) => list.apply(&message).await?,
            (None, None) => Cow::Borrowed(data.as_bytes()),
        };
        Ok(event.plain(Some(&data)))
    }
}
