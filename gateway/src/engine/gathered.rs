//! Chunks that become one piece. Most bodies come in one, which is then never copied.

use bytes::{Bytes, BytesMut};

#[derive(Debug, Default)]
pub(super) struct Gathered {
    first: Bytes,
    /// All of it, if there is more than the first.
    more: BytesMut,
}

impl Gathered {
    pub(super) fn len(&self) -> usize {
        if self.more.is_empty() { self.first.len() } else { self.more.len() }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.more.is_empty() {
            self.more.extend_from_slice(&self.first);
        }
        self.more.extend_from_slice(&chunk);
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.more.is_empty() { self.first } else { self.more.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_stand_one_behind_the_other() {
        for chunks in [&[][..], &["a"], &["", "a"], &["ab", "", "c", "de"]] {
            let mut gathered = Gathered::default();
            chunks.iter().for_each(|chunk| gathered.push(Bytes::from_static(chunk.as_bytes())));
            assert_eq!(gathered.len(), chunks.concat().len());
            assert_eq!(gathered.into_bytes(), chunks.concat());
        }
    }
}
