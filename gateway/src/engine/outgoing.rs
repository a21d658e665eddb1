//! The body of an answer on its way to hyper. A pump takes the chunks as they come, watches whether the caller is still
//! there, and knows how the answer ended; hyper takes them from it one by one.

use super::Counted;
use super::activity::UnderWay;
use super::gathered::Gathered;
use crate::reply::ResponseBody;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A chunk, or the end with its trailers. A channel that closes without it has broken off.
#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    End(Option<HeaderMap>),
}

/// What hyper sends. Dropped before its end, it tells the pump that the caller has gone.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// None once the end has come.
    pieces: Option<mpsc::Receiver<Piece>>,
    /// Taken from there already: only so can it be said of a chunk that it is the last one.
    next: Option<Bytes>,
    trailers: Option<HeaderMap>,
    broken: bool,
}

/// Half an answer, which nobody must take for a whole one.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct BrokenOff;

/// Carries an answer from its source to hyper.
pub(super) struct Pump {
    /// Where it comes from.
    pub(super) body: ResponseBody,
    /// How many bytes the head announces.
    pub(super) length: Option<usize>,
    /// How long the caller may take for a chunk.
    pub(super) write_timeout: Duration,
    /// Told when the gateway stops.
    pub(super) stopping: watch::Receiver<bool>,
    /// What ends with it.
    pub(super) under_way: (Counted, UnderWay),
}

impl Pump {
    /// Waits for all of it.
    pub(super) async fn whole(mut self) -> Outgoing {
        let mut gathered = Gathered::default();
        while let Some(chunk) = self.body.next().await {
            let Ok(chunk) = chunk else { return Outgoing { broken: true, ..Outgoing::none() } };
            gathered.push(chunk);
        }
        let whole = gathered.into_bytes();
        self.body.sent(whole.len());
        self.body.complete();
        Outgoing { next: (!whole.is_empty()).then_some(whole), ..Outgoing::none() }
    }

    /// Starts. What is all there already, as most answers are, needs no task of its own.
    pub(super) async fn start(self) -> Outgoing {
        let (sender, pieces) = mpsc::channel(2); // A chunk and the end.
        let mut running = Box::pin(self.run(sender));
        if poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await.is_pending() {
            tokio::spawn(running);
        }
        let mut outgoing = Outgoing { pieces: Some(pieces), ..Outgoing::none() };
        outgoing.look_ahead();
        outgoing
    }

    async fn run(mut self, sender: mpsc::Sender<Piece>) {
        loop {
            let chunk = if self.length == Some(0) {
                self.body.next().await // The caller has all of it: whoever leaves now has not gone too early.
            } else {
                tokio::select! {
                    biased;
                    chunk = self.body.next() => chunk,
                    () = sender.closed() => return,
                    _ = self.stopping.wait_for(|stops| *stops), if self.body.goes_on_elsewhere() => {
                        self.body.stopped();
                        None // Between two events: the caller gets a whole stream, and opens the next one elsewhere.
                    }
                }
            };
            let bytes = match chunk {
                None => break,
                Some(Err(_)) => return,
                Some(Ok(chunk)) => {
                    let bytes = chunk.len();
                    let taken = pin!(sender.send_timeout(Piece::Chunk(chunk), self.write_timeout));
                    let Ok(Ok(())) = self.body.while_it_may_go_on(taken).await else {
                        return; // The caller has gone, takes nothing, or may have nothing more.
                    };
                    bytes
                }
            };
            self.length = self.length.map(|left| left.saturating_sub(bytes));
            self.body.sent(bytes);
        }
        let trailers = self.body.take_trailers();
        self.body.complete();
        let _ = sender.send_timeout(Piece::End(trailers), self.write_timeout).await;
        drop(self.under_way);
    }
}

impl Outgoing {
    /// A body for answers that have none.
    pub(super) fn none() -> Self {
        Self { pieces: None, next: None, trailers: None, broken: false }
    }

    /// Takes what waits already.
    fn look_ahead(&mut self) {
        if let Some(Ok(piece)) = self.pieces.as_mut().map(mpsc::Receiver::try_recv) {
            self.take(piece);
        }
    }

    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Chunk(chunk) => self.next = Some(chunk),
            Piece::End(trailers) => (self.pieces, self.trailers) = (None, trailers),
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.broken {
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        if self.next.is_none()
            && let Some(pieces) = &mut self.pieces
        {
            let Some(piece) = ready!(pieces.poll_recv(cx)) else { return Poll::Ready(Some(Err(BrokenOff))) };
            self.take(piece);
        }
        let Some(chunk) = self.next.take() else {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        };
        self.look_ahead();
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.pieces.is_none() && self.trailers.is_none() && !self.broken
    }
}
