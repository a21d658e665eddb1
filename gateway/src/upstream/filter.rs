//! Lists on their way back: a JSON list is held (within a bound) and filtered, one inside an event stream is filtered
//! event by event. Whatever can't be read can't be filtered, and what can't be filtered doesn't pass.

use super::{Answer, AnswerBody, UpstreamError};
use crate::authorize::ListFilter;
use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use protocol::sse::{Event, Events};

/// Filters the answer of a call that may bring a list.
///
/// # Errors
/// [`UpstreamError`] if it can't be read.
pub(super) async fn list(mut answer: Answer, mut filter: ListFilter) -> Result<Answer, UpstreamError> {
    answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let media_type = answer.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => {
            let body = gather(answer.body, filter.bytes_max).await?;
            let body = Bytes::from(filter.apply(&body).await?);
            answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            Ok(Answer { body: AnswerBody::whole(body), ..answer })
        }
        "text/event-stream" => {
            answer.headers.remove(CONTENT_LENGTH);
            let events = Events::new(filter.bytes_max);
            Ok(Answer { body: answer.body.filtered(EventFilter { events: Some(events), filter }), ..answer })
        }
        _ if answer.status.is_success() => Err(UpstreamError::MediaType),
        _ => Ok(answer), // A refusal in plain words is no message, so no client reads a list from it.
    }
}

async fn gather(mut body: AnswerBody, max: usize) -> Result<Bytes, UpstreamError> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if whole.len() + chunk.len() > max {
            return Err(UpstreamError::ListTooLong);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Filters the list inside an event stream.
#[derive(Debug)]
pub(super) struct EventFilter {
    events: Option<Events>,
    filter: ListFilter,
}

impl EventFilter {
    /// Takes a chunk and gives the events that ended in it. Dropped before its end, it has lost some: so is the stream.
    pub(super) async fn pass(&mut self, chunk: &[u8]) -> Result<Bytes, UpstreamError> {
        let Some(events) = &mut self.events else { return Ok(Bytes::new()) };
        let mut out = BytesMut::new();
        for event in events.push(chunk)? {
            out.extend_from_slice(&self.event(event).await?);
        }
        Ok(out.freeze())
    }

    /// What stands behind the last whole event; a half event with a list in it is not let out.
    pub(super) async fn rest(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        match self.events.take().map(Events::finish).transpose()?.flatten() {
            Some(event) => self.event(event).await.map(Some),
            None => Ok(None),
        }
    }

    /// The event with its lists filtered, written anew: a line that isn't one of the standard's fields is left out, since
    /// a lenient reader might take it for data.
    async fn event(&mut self, event: Event) -> Result<Bytes, UpstreamError> {
        match event.data().filter(|data| !data.is_empty()) {
            Some(data) => Ok(event.plain(Some(&self.filter.apply(data.as_bytes()).await?))),
            None => Ok(event.plain(None)),
        }
    }
}
