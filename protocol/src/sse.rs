//! Event streams, split where events end (WHATWG HTML §9.2.5 and §9.2.6) with every byte kept, and events written anew
//! with nothing in them that two readers could take for different things.

use bytes::{Bytes, BytesMut};
use std::borrow::Cow;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Splits a stream into events. Chunks may end anywhere.
#[derive(Debug)]
pub struct Events {
    buffer: BytesMut,
    /// Up to here there is no end of an event.
    scanned: usize,
    line_from: usize,
    /// How much of the buffer's start belongs to no line.
    lead: usize,
    /// A byte order mark may stand here.
    at_start: bool,
    /// The last line ended with CR; an LF that follows belongs to it.
    after_cr: bool,
    event_bytes_max: usize,
}

/// One event with the blank line that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// As it came.
    pub raw: Bytes,
    lead: usize,
}

/// Why a stream can't be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event that would have to be held is too long.
    #[error("an event is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
}

impl Events {
    /// An event, comments and the blank line included, may have so many bytes.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            line_from: 0,
            lead: 0,
            at_start: true,
            after_cr: false,
            event_bytes_max,
        }
    }

    /// Takes a chunk and gives the events that ended in it.
    ///
    /// # Errors
    /// [`SseError`]; the stream can't be split any further.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, SseError> {
        self.buffer.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.event_end() {
            self.is_bounded(end)?;
            let raw = self.buffer.split_to(end).freeze();
            events.push(Event { raw, lead: self.lead });
            (self.scanned, self.line_from, self.lead) = (0, 0, 0);
        }
        self.is_bounded(self.buffer.len())?;
        Ok(events)
    }

    /// What stands behind the last whole event: a reader that follows the standard drops it, others may not.
    ///
    /// # Errors
    /// [`SseError`], as [`push`](Self::push).
    pub fn finish(self) -> Result<Option<Event>, SseError> {
        self.is_bounded(self.buffer.len())?;
        Ok((!self.buffer.is_empty()).then(|| Event { raw: self.buffer.freeze(), lead: self.lead }))
    }

    fn is_bounded(&self, bytes: usize) -> Result<(), SseError> {
        let max = self.event_bytes_max;
        if bytes > max { Err(SseError::TooLong { max }) } else { Ok(()) }
    }

    /// Behind the first blank line. None: not here yet.
    fn event_end(&mut self) -> Option<usize> {
        if self.at_start && !self.start_is_read() {
            return None;
        }
        loop {
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            if self.after_cr && !rest.is_empty() {
                self.after_cr = false;
                if rest.first() == Some(&b'\n') {
                    let first = self.scanned == 0;
                    self.line_begins_at(self.scanned.saturating_add(1));
                    self.lead = if first { 1 } else { self.lead };
                    continue;
                }
            }
            let Some(run) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                self.scanned = self.buffer.len();
                return None;
            };
            let at = self.scanned.saturating_add(run);
            let blank = at == self.line_from;
            let next = at.saturating_add(1);
            let is_cr = self.buffer.get(at) == Some(&b'\r');
            match self.buffer.get(next) {
                Some(b'\n') if is_cr => self.line_begins_at(next.saturating_add(1)),
                None if is_cr => {
                    self.after_cr = true;
                    self.line_begins_at(next);
                }
                _ => self.line_begins_at(next),
            }
            if blank {
                return Some(self.line_from);
            }
        }
    }

    /// Looks for a byte order mark. False: too few bytes to tell.
    fn start_is_read(&mut self) -> bool {
        if self.buffer.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&self.buffer) {
            return false;
        }
        self.at_start = false;
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.lead = BYTE_ORDER_MARK.len();
            self.line_begins_at(self.lead);
        }
        true
    }

    fn line_begins_at(&mut self, at: usize) {
        self.scanned = at;
        self.line_from = at;
    }
}

impl Event {
    /// The data: the values of its `data` lines, joined by line feeds, as a reader decodes them. None without such
    /// lines; a last line that isn't ended counts.
    pub fn data(&self) -> Option<Cow<'_, str>> {
        let mut values = self.lines().filter_map(data_of);
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(String::from_utf8_lossy(first)) };
        let mut joined = first.to_vec();
        for value in [second].into_iter().chain(values) {
            joined.push(b'\n');
            joined.extend_from_slice(value);
        }
        Some(Cow::Owned(String::from_utf8_lossy(&joined).into_owned()))
    }

    /// The event written anew, for a reader of any leniency: `event`, `id` and `retry` in visible ASCII, the data given (or,
    /// with none, an empty `data` line if there was one), and nothing else. A comment becomes an empty one.
    pub fn plain(&self, data: Option<&[u8]>) -> Bytes {
        let mut out = BytesMut::with_capacity(self.raw.len());
        self.write_fields(&mut out, &[b"event:", b"id:", b"retry:"]);
        match data {
            Some(data) => write_data(&mut out, &String::from_utf8_lossy(data)),
            None if self.lines().any(|line| data_of(line).is_some()) => out.extend_from_slice(b"data:\n"),
            None if out.is_empty() => out.extend_from_slice(b":\n"),
            None => {}
        }
        out.extend_from_slice(b"\n");
        out.freeze()
    }

    /// The event written anew without its data, so that no reader dispatches it: the position in the stream is kept.
    pub fn without_data(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.write_fields(&mut out, &[b"id:", b"retry:"]);
        out.extend_from_slice(if out.is_empty() { b":\n\n" } else { b"\n" });
        out.freeze()
    }

    /// Those lines of these fields that are visible ASCII.
    fn write_fields(&self, out: &mut BytesMut, fields: &[&[u8]]) {
        for line in self.lines() {
            let is_one = fields.iter().any(|name| line.starts_with(name));
            if is_one && line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\n");
            }
        }
    }

    fn lines(&self) -> Lines<'_> {
        Lines(self.raw.get(self.lead..).unwrap_or_default())
    }
}

/// One `data` line for each line of the data.
fn write_data(out: &mut BytesMut, data: &str) {
    let open = data.is_empty() || data.ends_with(['\r', '\n']);
    for line in Lines(data.as_bytes()).chain(open.then_some(&b""[..])) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.extend_from_slice(b"\n");
    }
}

/// The value of a `data` line. None: another field, a comment or blank.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(b""),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// Lines without what ends them.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = match rest {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        };
        Some(text)
    }
}

#[cfg(test)]
mod tests;
