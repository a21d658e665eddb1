//! What several gRPC libraries put into `:authority` over a Unix socket: its path, percent-encoded or plain. Neither is an
//! authority, and crate h2 resets the stream. Nobody looks at the name here, so the characters that it can't have become
//! hyphens before h2 sees them: as many bytes as before, so nothing else changes.
//!
//! Frames of RFC 9113 §4.1 are followed, and of their header blocks the representations of RFC 7541 §6. Values in Huffman
//! code stay as they are (gRPC's C core sends none), and so does all that can't be read.

use bytes::{Buf, BytesMut};
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The largest frame that h2 takes unless it says otherwise (RFC 9113 §4.2).
const FRAME_MAX: usize = 16 * 1024;
/// `:authority` in the static table (RFC 7541, Appendix A).
const AUTHORITY: usize = 1;

/// A client's stream with its authorities mended.
pub(super) struct Mended<T> {
    io: T,
    /// Read, and not mended yet: part of a frame.
    raw: BytesMut,
    /// Mended, and not handed on yet.
    mended: BytesMut,
    /// Bytes of the preface, or of a frame, that go on as they come.
    passing: usize,
}

impl<T> Mended<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, raw: BytesMut::new(), mended: BytesMut::new(), passing: PREFACE }
    }

    /// Moves on what is complete.
    fn mend(&mut self) {
        loop {
            let passes = self.passing.min(self.raw.len());
            self.mended.extend_from_slice(&self.raw.split_to(passes));
            self.passing -= passes;
            let Some(head) = self.raw.get(..FRAME_HEAD) else { return };
            let length = head.iter().take(3).fold(0, |length, byte| length << 8 | usize::from(*byte));
            let (kind, flags) = (head.get(3).copied(), head.get(4).copied().unwrap_or_default());
            let whole = FRAME_HEAD + length;
            if kind != Some(HEADERS) || length > FRAME_MAX {
                self.passing = whole; // Too long ones h2 refuses itself.
                continue;
            }
            if self.raw.len() < whole {
                return;
            }
            let mut frame = self.raw.split_to(whole);
            if let Some(block) = frame.get_mut(FRAME_HEAD..) {
                mend_block(block, flags);
            }
            self.mended.unsplit(frame);
        }
    }
}

/// A header block: the representations, one behind the other.
fn mend_block(payload: &mut [u8], flags: u8) {
    let padding = usize::from(flags & PADDED > 0);
    let mut at = padding + if flags & PRIORITY > 0 { 5 } else { 0 };
    while let Some(first) = payload.get(at).copied() {
        let prefix = match first {
            0x80.. => 7,      // Indexed.
            0x40..=0x7F => 6, // Literal, and into the table.
            0x20..=0x3F => 5, // The table's size.
            0x00..=0x1F => 4, // Literal, not into the table, or never.
        };
        let Some((index, next)) = integer(payload, at, prefix) else { return };
        at = next;
        if prefix == 7 || prefix == 5 {
            continue;
        }
        let mut named = index == AUTHORITY;
        if index == 0 {
            let Some((from, end, _)) = string(payload, at) else { return };
            named = payload.get(from..end) == Some(b":authority"); // gRPC's C core spells it out.
            at = end;
        }
        let Some((from, end, huffman)) = string(payload, at) else { return };
        if named && !huffman {
            let value = payload.get_mut(from..end).unwrap_or_default();
            value.iter_mut().filter(|byte| matches!(byte, b'%' | b'/')).for_each(|byte| *byte = b'-');
        }
        at = end;
    }
}

/// An integer with a prefix of so many bits (§5.1), and where it ends.
fn integer(bytes: &[u8], at: usize, prefix: u32) -> Option<(usize, usize)> {
    let most = (1 << prefix) - 1;
    let mut value = usize::from(*bytes.get(at)?) & most;
    let mut at = at + 1;
    if value < most {
        return Some((value, at));
    }
    for shift in [0, 7, 14, 21] {
        let byte = usize::from(*bytes.get(at)?);
        at += 1;
        value += (byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

/// Where a string's octets begin and end (§5.2), and whether they are in Huffman code.
fn string(bytes: &[u8], at: usize) -> Option<(usize, usize, bool)> {
    let huffman = bytes.get(at)? & 0x80 > 0;
    let (length, from) = integer(bytes, at, 7)?;
    let end = from.checked_add(length)?;
    (end <= bytes.len()).then_some((from, end, huffman))
}

impl<T: AsyncRead + Unpin> AsyncRead for Mended<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        while self.mended.is_empty() {
            let mut piece = [0; 4096];
            let mut read = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(())); // The end; half a frame is no use to anybody.
            }
            self.raw.extend_from_slice(read.filled());
            self.mend();
        }
        let handed = self.mended.len().min(into.remaining());
        into.put_slice(self.mended.get(..handed).unwrap_or_default());
        self.mended.advance(handed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Mended<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use tokio::io::AsyncReadExt;

    const PATH: &[u8] = b"tmp%2Fa/agent.sock";

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// A literal with a name from the static table.
    fn literal(first: u8, value: &[u8]) -> Vec<u8> {
        [&[first, u8::try_from(value.len()).unwrap()], value].concat()
    }

    /// POST, a path, an authority, and a header with a name of its own.
    fn block(path: &[u8], authority: &[u8]) -> Vec<u8> {
        let own = [&[0x40, 1, b'x', 3][..], b"a/b"].concat();
        [vec![0x83, 0x3F, 0xE1, 0x1F], literal(0x44, path), literal(0x41, authority), own].concat()
    }

    async fn through(sent: &[u8], at_a_time: usize) -> Vec<u8> {
        let mut read = Vec::new();
        Mended::new(Pieces { rest: sent.to_vec(), at_a_time }).read_to_end(&mut read).await.unwrap();
        read
    }

    struct Pieces {
        rest: Vec<u8>,
        at_a_time: usize,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<Result<()>> {
            let piece = self.at_a_time.min(self.rest.len()).min(into.remaining());
            let piece: Vec<u8> = self.rest.drain(..piece).collect();
            into.put_slice(&piece);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn an_authority_is_mended_and_nothing_else_is_touched() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let stream = |authority: &[u8]| {
            let headers = block(b"/SpiffeWorkloadAPI/FetchX509SVID", authority);
            let spelled = [&[0x40, 10][..], b":authority", &literal(0, authority)[1..]].concat();
            let padded = [&[2][..], &[0; 5], &headers, &[0, 0]].concat();
            [
                preface.to_vec(),
                frame(4, 0, &[]),
                frame(HEADERS, 0x4, &headers),
                frame(0, 1, b"%2F//%"),
                frame(HEADERS, 0x4, &spelled),
                frame(HEADERS, 0x4 | PADDED | PRIORITY, &padded),
            ]
            .concat()
        };
        for at_a_time in [1, 7, 4096] {
            let mended = through(&stream(PATH), at_a_time).await;
            assert_eq!(mended, stream(b"tmp-2Fa-agent.sock"));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_stays_as_it_is() {
        let huffman = [vec![0x41, 0x82], vec![b'%', b'/']].concat();
        for payload in [vec![0x41], vec![0x41, 200, b'%'], vec![0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], huffman]
        {
            let sent = [vec![0; PREFACE], frame(HEADERS, 0x4, &payload)].concat();
            assert_eq!(through(&sent, 4096).await, sent);
        }
    }
}
