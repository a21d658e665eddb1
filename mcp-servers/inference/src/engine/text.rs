//! From the bytes of tokens to text: whole characters, up to the first text that ends it.

/// What has come and is not told yet.
pub(super) struct Text {
    bytes: Vec<u8>,
    held: String,
    stop: Vec<String>,
}

impl Text {
    pub(super) fn new(stop: Vec<String>) -> Self {
        Self { bytes: Vec::new(), held: String::new(), stop }
    }

    /// Takes a token's bytes: what can be told now, and whether the text ends with it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (String, bool) {
        self.bytes.extend_from_slice(bytes);
        loop {
            let (good, bad) = match std::str::from_utf8(&self.bytes) {
                Ok(_) => (self.bytes.len(), 0),
                Err(error) => (error.valid_up_to(), error.error_len().unwrap_or(0)),
            };
            let rest = self.bytes.split_off(good);
            self.held.push_str(&String::from_utf8_lossy(&self.bytes));
            self.bytes = rest;
            if bad == 0 {
                break; // All of it, or the beginning of a character.
            }
            self.bytes.drain(..bad);
            self.held.push(char::REPLACEMENT_CHARACTER);
        }
        let first = self.stop.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(end) = first {
            self.held.truncate(end);
            return (std::mem::take(&mut self.held), true);
        }
        let kept = self.stop.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What is left at the end.
    pub(super) fn rest(self) -> String {
        self.held + &String::from_utf8_lossy(&self.bytes)
    }
}

/// Bytes at the end of a text that `stop` begins with.
fn overlap(text: &str, stop: &str) -> usize {
    let starts = stop.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
    starts.filter(|at| stop.get(..*at).is_some_and(|start| text.ends_with(start))).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(parts: &[&[u8]], stop: &[&str]) -> (String, bool) {
        let mut text = Text::new(stop.iter().map(|stop| (*stop).to_owned()).collect());
        let mut told = String::new();
        for part in parts {
            let (more, ended) = text.take(part);
            told.push_str(&more);
            if ended {
                return (told, true);
            }
        }
        (told + &text.rest(), false)
    }

    #[test]
    fn characters_are_whole_and_a_stop_is_found_across_tokens() {
        assert_eq!(all(&[b"a\xc3", b"\xbcb"], &[]), ("aüb".into(), false));
        assert_eq!(all(&[b"a\xff", b"b\xe2\x98"], &[]), ("a\u{fffd}b\u{fffd}".into(), false));
        assert_eq!(all(&[b"one EN", b"D two"], &["END"]), ("one ".into(), true));
        assert_eq!(all(&[b"one EN", b"T two"], &["END"]), ("one ENT two".into(), false));
        assert_eq!(all(&[b"xaab"], &["b", "aab"]), ("x".into(), true));
        assert_eq!(all(&[b"a", b"a", b"\xc3", b"\xbc!"], &["aü"]), ("a".into(), true));
        assert_eq!(all(&[b"EN"], &["END"]), ("EN".into(), false));
    }
}
