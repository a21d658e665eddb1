//! Server-sent events of an answer that comes in pieces, cut out of chunks of any size, within a bound.

/// What has come and is not a whole line yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: Vec<u8>,
    data: String,
}

/// Bytes of one event; more is no answer of a model.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// An event that is longer than allowed, or no UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadEvent;

impl Events {
    /// Takes a chunk and gives the data of the events that are whole with it.
    pub(crate) fn take(&mut self, chunk: &[u8]) -> Result<Vec<String>, BadEvent> {
        let mut whole = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(end);
            self.kept.extend_from_slice(line);
            rest = behind.get(1..).unwrap_or_default();
            let line = std::mem::take(&mut self.kept);
            let line = std::str::from_utf8(&line).map_err(|_| BadEvent)?.trim_end_matches('\r');
            if line.is_empty() {
                if !self.data.is_empty() {
                    whole.push(std::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
            self.bounded()?;
        }
        self.kept.extend_from_slice(rest);
        self.bounded()?;
        Ok(whole)
    }

    fn bounded(&self) -> Result<(), BadEvent> {
        if self.kept.len() + self.data.len() > EVENT_BYTES_MAX { Err(BadEvent) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn events_are_the_same_however_their_bytes_come() {
        let text = ": ping\r\n\r\nevent: x\ndata: {\"a\":\"ü\"}\n\ndata:1\ndata: 2\n\nid: 3\n\ndata: [DONE]\r\n\r\ndata: half";
        for size in 1..text.len() {
            let mut events = Events::default();
            let found: Vec<_> =
                text.as_bytes().chunks(size).flat_map(|chunk| events.take(chunk).unwrap()).collect();
            assert_eq!(found, ["{\"a\":\"ü\"}", "1\n2", "[DONE]"], "{size}");
        }
    }

    #[test]
    fn an_event_has_a_bound() {
        assert_eq!(Events::default().take(&vec![b'a'; EVENT_BYTES_MAX + 1]), Err(BadEvent));
        let line = [b"data: ".as_slice(), &[b'a'; 1000], b"\n"].concat();
        let mut events = Events::default();
        assert!((0..2_000).any(|_| events.take(&line).is_err()));
        assert_eq!(Events::default().take(b"data: \xff\n\n"), Err(BadEvent));
    }
}
