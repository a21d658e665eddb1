//! The chain: each line is hashed together with the hash of the line before it.
//!
//! `hash` is SHA-256 over the previous line's hash (32 bytes; zeros before the first) and the line's RFC 8785 canonical form
//! without `hash`, in hex. `prev` repeats the previous hash, `seq` counts from 0. Here lines get their place in the chain,
//! and lines that somebody shows are held against it.

use super::canonical::{integer, name};
use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

/// SHA-256 of a record and all before it.
pub type Hash = [u8; 32];

/// A record's members in canonical form, waiting for their place in the chain.
#[derive(Debug)]
pub struct Line {
    members: Vec<u8>,
    hash_at: usize,
    prev_at: usize,
    seq_at: usize,
}

/// What a line says of its own place. `rest_at` is where the line goes on behind its member `hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq: u64,
    /// The hash of the record before it, as it says.
    pub prev: Hash,
    /// Its own hash, as it says.
    pub hash: Hash,
    /// Whether that is the hash of what it holds.
    pub whole: bool,
    /// Whether its kind is `stopped`.
    pub stopped: bool,
}

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It isn't a JSON object with the members `hash`, `kind`, `prev` and `seq`, each once and of the right type.
    #[error("not a record")]
    NotARecord,
    /// `hash` or `prev` isn't 64 lower-case hex digits.
    #[error("no hash of 64 lower-case hex digits")]
    NoHash,
}

impl Line {
    /// Members, each with a comma behind it, and where among them `hash`, `prev` and `seq` belong.
    pub(super) fn new(members: Vec<u8>, hash_at: usize, prev_at: usize, seq_at: usize) -> Self {
        Self { members, hash_at, prev_at, seq_at }
    }

    /// Bytes that it takes, its place in the chain aside.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Appends the line with its place in the chain, and a line end; `tip` becomes its hash.
    pub(super) fn seal(&self, seq: u64, tip: &mut Hash, out: &mut Vec<u8>) {
        let (before, rest) = self.members.split_at(self.hash_at);
        let (middle, rest) = rest.split_at(self.prev_at - self.hash_at);
        let (after_prev, after_seq) = rest.split_at(self.seq_at - self.prev_at);
        let mut hashed = Vec::with_capacity(self.members.len() + 256);
        hashed.extend_from_slice(tip);
        hashed.push(b'{');
        hashed.extend_from_slice(before);
        let cut = hashed.len();
        hashed.extend_from_slice(middle);
        member(&mut hashed, "prev", tip);
        hashed.extend_from_slice(after_prev);
        name(&mut hashed, "seq");
        integer(&mut hashed, seq);
        hashed.push(b',');
        hashed.extend_from_slice(after_seq);
        hashed.pop();
        hashed.push(b'}');
        tip.copy_from_slice(digest(&SHA256, &hashed).as_ref());
        out.extend_from_slice(&hashed[tip.len()..cut]);
        member(out, "hash", tip);
        out.extend_from_slice(&hashed[cut..]);
        out.push(b'\n');
    }
}

fn member(out: &mut Vec<u8>, key: &str, hash: &Hash) {
    name(out, key);
    out.push(b'"');
    super::canonical::hex(out, hash);
    out.extend_from_slice(b"\",");
}

/// Reads what a line, without its line end, says of its place, and whether its hash is that of what it holds.
/// Every byte of the line counts: one that is changed makes it unreadable, or not whole.
///
/// # Errors
/// [`Unreadable`].
pub fn place(line: &[u8]) -> Result<Place, Unreadable> {
    #[derive(Deserialize)]
    struct Members<'a> {
        hash: &'a str,
        kind: &'a str,
        prev: &'a str,
        seq: u64,
    }
    let members: Members<'_> = serde_json::from_slice(line).map_err(|_| Unreadable::NotARecord)?;
    let (hash, prev) = unhex(members.hash).zip(unhex(members.prev)).ok_or(Unreadable::NoHash)?;
    // The string is borrowed from the line: where it stands there is where the member is cut out.
    let at = members.hash.as_ptr().addr().saturating_sub(line.as_ptr().addr());
    let before = line.get(..at).and_then(|l| l.strip_suffix(b"\"hash\":\"")).ok_or(Unreadable::NotARecord)?;
    let after = line.get(at..).and_then(|l| l.get(64..)).and_then(|l| l.strip_prefix(b"\","));
    let hashed = [&prev, before, after.ok_or(Unreadable::NotARecord)?].concat();
    let whole = digest(&SHA256, &hashed).as_ref() == hash;
    Ok(Place { seq: members.seq, prev, hash, whole, stopped: members.kind == "stopped" })
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len() * 2);
    super::canonical::hex(&mut text, bytes);
    String::from_utf8(text).unwrap_or_default() // Hex is ASCII.
}

/// 64 lower-case hex digits.
pub fn unhex(text: &str) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut hash = Hash::default();
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}
