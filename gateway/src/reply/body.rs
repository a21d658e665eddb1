//! An answer on its way to the engine, with the record that is written when it is over.

use super::UNASKED;
use crate::audit::{Outcome, Record};
use crate::config::problems::chain;
use crate::observed::Observed;
use crate::upstream::{AnswerBody, UpstreamError};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// An answer on its way to the engine, with the record that is written when it is over.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Whether the connection ends with it.
    pub close: bool,
    /// What the gateway refused it with. Not to be read from the body: a server can write the same.
    pub refused: Option<Reason>,
    /// Its body.
    pub body: ResponseBody,
}

/// What the gateway has refused a request with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its JSON-RPC code.
    pub code: i32,
    /// Its stable name.
    pub name: String,
}

/// The body of a response, with its record.
#[derive(Debug)]
pub struct ResponseBody {
    pub(super) body: AnswerBody,
    pub(super) record: Record,
    pub(super) observed: Observed,
}

impl ResponseBody {
    /// The next chunk; `None` at the end. A failure has been noted in the record.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        let next = self.body.next().await;
        if self.body.take_unasked() {
            self.record.refused(UNASKED, chain(&UpstreamError::ServerRequest));
        }
        if let Some(Err(error)) = &next {
            self.broken(error);
        }
        next
    }

    /// Waits for something to be done with a chunk, but no longer than the answer may go on.
    ///
    /// # Errors
    /// [`UpstreamError::Revoked`]; it has been noted in the record.
    pub async fn while_it_may_go_on<T>(&mut self, done: impl Future<Output = T>) -> Result<T, UpstreamError> {
        let done = self.body.unless_revoked(done).await;
        if let Err(error) = &done {
            self.broken(error);
        }
        done
    }

    fn broken(&mut self, error: &UpstreamError) {
        self.record.ended(Outcome::AnswerBroken, Some(chain(error)));
        self.observed.ended(Outcome::AnswerBroken);
    }

    /// Notes bytes that were handed to the caller.
    pub fn sent(&mut self, bytes: usize) {
        self.record.sent(bytes);
    }

    /// Whether the answer is a stream that its caller can have again elsewhere, so that a gateway that stops need not wait
    /// for its end: one that ends only when somebody ends it, or the events of a task that the caller knows.
    pub fn goes_on_elsewhere(&self) -> bool {
        matches!(self.record.method(), Some("session/stream" | "subscriptions/listen"))
            || self.body.is_of_a_known_task()
    }

    /// Ends the stream because the gateway ends.
    pub fn stopped(&mut self) {
        self.body.end();
        self.record.ended(Outcome::Complete, Some("the gateway was told to stop".into()));
    }

    /// What stands behind the last chunk.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.body.take_trailers()
    }

    /// Notes that the last byte was handed over.
    pub fn complete(mut self) {
        self.record.ended(Outcome::Complete, None);
        self.observed.ended(Outcome::Complete);
    }
}
