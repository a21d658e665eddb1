//! Bytes to a peer that has to take them in time.

use super::activity::Activity;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream on which a write that makes no progress for so long is an error. Reading has no such bound here: what is read,
/// and for how long that may take, whoever reads knows better.
#[derive(Debug)]
pub(super) struct Patient<T> {
    io: T,
    patience: Duration,
    /// Runs while the peer takes nothing.
    waits: Option<Pin<Box<Sleep>>>,
    activity: Arc<Activity>,
}

impl<T> Patient<T> {
    pub(super) fn new(io: T, patience: Duration, activity: Arc<Activity>) -> Self {
        Self { io, patience, waits: None, activity }
    }

    fn judged<R>(&mut self, polled: Poll<Result<R>>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        if polled.is_pending() {
            let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience)));
            self.activity.writing(true);
            ready!(waits.as_mut().poll(cx));
            return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the peer takes nothing")));
        }
        if self.waits.take().is_some() {
            self.activity.writing(false);
        }
        polled
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judged(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.judged(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.judged(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judged(polled, cx)
    }
}
