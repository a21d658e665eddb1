//! Counts the requests whose answers are not out yet, so that a stopping server can wait for them.

use crate::record::Record;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// The number of requests in flight.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<watch::Sender<usize>>);

/// One of them. Dropping it counts it out.
pub(crate) struct Entry(Arc<watch::Sender<usize>>);

/// A body that keeps its request counted, and its record open, until its last byte is gone or the client is.
pub(crate) struct Counted<B> {
    body: B,
    record: Record,
    _entry: Option<Entry>,
}

impl InFlight {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(crate) fn enter(&self) -> Entry {
        self.0.send_modify(|count| *count += 1);
        Entry(Arc::clone(&self.0))
    }

    /// Returns when nothing is in flight.
    pub(crate) async fn none(&self) {
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await; // An error can't be: the sender is ours.
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl<B: Body> Counted<B> {
    pub(crate) fn new(body: B, mut record: Record, entry: Option<Entry>) -> Self {
        if body.is_end_stream() {
            record.complete(); // Nobody asks an empty body for its end.
        }
        Self { body, record, _entry: entry }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.body.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.record.complete();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
