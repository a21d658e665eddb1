//! The digest of arguments: equal arguments, equal digest. The text that is hashed is never held as a whole.

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde_json::Value;
use std::io::Write;

/// Bytes that are gathered before they are hashed; most arguments are shorter, and are hashed in one go.
const HELD: usize = 1024;

struct Hasher {
    held: [u8; HELD],
    length: usize,
    before: Option<Context>,
}

/// `sha256:` and, in hex, the digest of arguments as compact JSON with sorted keys. No number is rounded.
pub(super) fn arguments(arguments: &Value) -> String {
    let mut hasher = Hasher { held: [0; HELD], length: 0, before: None };
    let _ = serde_json::to_writer(&mut hasher, arguments); // A hasher takes everything, and a Value can be written.
    let rest = &hasher.held[..hasher.length];
    let digest = match hasher.before {
        None => digest(&SHA256, rest),
        Some(mut context) => {
            context.update(rest);
            context.finish()
        }
    };
    crate::digest::text(digest.as_ref())
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > HELD - self.length {
            let context = self.before.get_or_insert_with(|| Context::new(&SHA256));
            context.update(&self.held[..self.length]);
            self.length = 0;
            if bytes.len() > HELD {
                context.update(bytes);
                return Ok(bytes.len());
            }
        }
        self.held[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_is_that_of_the_text_whatever_its_length() {
        let long =
            |n: usize| json!({"b": "x".repeat(n), "a": [1, 18_446_744_073_709_551_615_u64, "é\n", null]});
        for value in
            [json!({}), json!(null), long(1), long(980), long(1022), long(1023), long(1024), long(5000)]
        {
            let text = value.to_string();
            let expected = super::super::chain::hex(digest(&SHA256, text.as_bytes()).as_ref());
            assert_eq!(arguments(&value), format!("sha256:{expected}"));
        }
    }
}
