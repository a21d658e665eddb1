//! The file of records: one JSON line each, every line hashed with the one before it.
//!
//! `hash` is SHA-256 over the previous line's hash (32 bytes; zeros before the first) and the line's RFC 8785 canonical form
//! without `hash`, in hex. `prev` repeats the previous hash, `seq` counts from 0. A line that is changed, removed or
//! swapped breaks the chain from there on.

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// Hands records to the thread that writes them.
#[derive(Debug)]
pub struct Sink {
    queue: Mutex<Option<SyncSender<Message>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Record(Map<String, Value>),
    Flush(SyncSender<()>),
}

/// The end of a chain: what the next record continues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// The next record's number.
    pub seq: u64,
    /// The last record's hash.
    pub hash: [u8; 32],
}

impl Sink {
    /// Opens (or makes, with mode 0600) the file and continues its chain.
    ///
    /// # Errors
    /// [`std::io::Error`] if it can't be read and appended to, or another process appends to it: a chain has one writer.
    pub fn open(path: &Path, queue_max: usize) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        file.try_lock().map_err(|_| std::io::Error::other("another gateway writes to it"))?;
        let tip = end_of(&mut file)?;
        let (queue, records) = sync_channel(queue_max);
        let writer =
            std::thread::Builder::new().name("audit".into()).spawn(move || write(file, tip, &records))?;
        Ok(Self { queue: Mutex::new(Some(queue)), writer: Mutex::new(Some(writer)) })
    }

    /// Appends a record. Waits while the queue is full: a record is never dropped.
    pub(super) fn append(&self, record: Map<String, Value>) {
        self.send(Message::Record(record));
    }

    /// Waits until all records handed over before are in the file.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.send(Message::Flush(done));
        let _ = wait.recv(); // An error says that the writer is gone, and has said why.
    }

    fn send(&self, message: Message) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if queue.is_none_or(|queue| queue.send(message).is_err()) {
            tracing::error!("an audit record could not be written: the writer has ended");
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take(); // Closes the queue; the writer drains it.
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}

fn write(mut file: File, mut tip: Tip, records: &Receiver<Message>) {
    let mut batch = Vec::new();
    while let Ok(first) = records.recv() {
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Record(record) => match line(record, &mut tip) {
                    Ok(line) => batch.extend_from_slice(&line),
                    Err(error) => {
                        tracing::error!(%error, "an audit record could not be written, and is lost")
                    }
                },
                Message::Flush(done) => waiting.push(done),
            }
            next = records.try_recv().ok();
        }
        if let Err(error) = file.write_all(&batch) {
            tracing::error!(%error, "audit records could not be written, and are lost");
            tip = end_of(&mut file).unwrap_or(tip); // The chain goes on from the last record that is in the file.
        }
        batch.clear();
        for done in waiting {
            let _ = done.send(()); // Whoever asked may have stopped waiting.
        }
    }
}

/// Completes a record with its place in the chain, and moves the tip. Each member is written once: the line is what was
/// hashed, with `hash` put where it belongs among the sorted keys.
fn line(mut record: Map<String, Value>, tip: &mut Tip) -> serde_json::Result<Vec<u8>> {
    record.insert("seq".into(), tip.seq.into());
    record.insert("prev".into(), hex(&tip.hash).into());
    let (before, after): (Map<_, _>, Map<_, _>) =
        record.into_iter().partition(|(key, _)| key.as_str() < "hash");
    let (before, after) = (members(&before)?, members(&after)?);
    tip.hash = digest(&tip.hash, &object(&[&before, &after]));
    tip.seq = tip.seq.saturating_add(1);
    let hash = format!("\"hash\":\"{}\"", hex(&tip.hash));
    let mut line = object(&[&before, hash.as_bytes(), &after]);
    line.push(b'\n');
    Ok(line)
}

/// An object's members in canonical form, without the braces.
fn members(object: &Map<String, Value>) -> serde_json::Result<Vec<u8>> {
    let mut canonical = serde_json_canonicalizer::to_vec(object)?;
    canonical.pop();
    canonical.remove(0);
    Ok(canonical)
}

/// An object of members; those that are empty are passed over.
fn object(members: &[&[u8]]) -> Vec<u8> {
    let members: Vec<&[u8]> = members.iter().copied().filter(|m| !m.is_empty()).collect();
    [b"{", members.join(&b","[..]).as_slice(), b"}"].concat()
}

/// The hash of a record (without `hash`) that follows `prev`.
pub fn hash(prev: &[u8; 32], record: &Map<String, Value>) -> [u8; 32] {
    digest(prev, &serde_json_canonicalizer::to_vec(record).unwrap_or_default())
}

fn digest(prev: &[u8; 32], canonical: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(prev);
    context.update(canonical);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Finds where a file's chain ends. A half line at the end (a machine that lost power) is closed with a line end and
/// stays for the verifier to see; the chain goes on from the last whole record.
fn end_of(file: &mut File) -> std::io::Result<Tip> {
    let mut tip = Tip::default();
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    let mut lines = BufReader::new(Read::by_ref(file));
    loop {
        last.clear();
        if lines.read_until(b'\n', &mut last)? == 0 {
            return Ok(tip);
        }
        if let Some(found) = tip_of(&last) {
            tip = found;
        }
        if last.last() != Some(&b'\n') {
            drop(lines);
            file.write_all(b"\n")?;
            return Ok(tip);
        }
    }
}

fn tip_of(line: &[u8]) -> Option<Tip> {
    let record: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let seq = record.get("seq")?.as_u64()?.checked_add(1)?;
    Some(Tip { seq, hash: unhex(record.get("hash")?.as_str()?)? })
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // A String takes everything.
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    fn record(text: &str) -> Map<String, Value> {
        json!({ "kind": text }).as_object().unwrap().clone()
    }

    fn lines(path: &Path) -> Vec<Map<String, Value>> {
        std::fs::read_to_string(path).unwrap().lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    #[test]
    fn the_chain_goes_on_where_the_file_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        for text in ["a", "b"] {
            let sink = Sink::open(&path, 4).unwrap();
            sink.append(record(text));
            sink.append(record(text));
            drop(sink);
        }
        let mut prev = [0; 32];
        for (seq, mut found) in lines(&path).into_iter().enumerate() {
            let named = found.remove("hash").unwrap();
            assert_eq!(found["seq"], json!(seq));
            assert_eq!(found["prev"], json!(hex(&prev)));
            prev = hash(&prev, &found);
            assert_eq!(named, json!(hex(&prev)));
        }
    }

    #[test]
    fn a_line_is_canonical_and_its_hash_is_that_of_the_record() {
        let fields =
            json!({"zeta": 1, "alpha": {"b": "é\n", "a": [1, 2]}, "kind": "x", "host": "h", "has": true});
        for record in [fields.as_object().unwrap().clone(), record("y"), Map::new()] {
            let mut tip = Tip { seq: 7, hash: [3; 32] };
            let line = line(record, &mut tip).unwrap();
            let mut read: Map<String, Value> = serde_json::from_slice(&line).unwrap();
            assert_eq!(line, [serde_json_canonicalizer::to_vec(&read).unwrap(), b"\n".to_vec()].concat());
            let named = read.remove("hash").unwrap();
            assert_eq!((named, tip.seq), (json!(hex(&hash(&[3; 32], &read))), 8));
        }
    }

    #[test]
    fn a_half_line_is_left_standing_and_the_chain_goes_on_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        Sink::open(&path, 4).unwrap().append(record("a"));
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"kind\":\"ha")).unwrap();
        Sink::open(&path, 4).unwrap().append(record("b"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("{\"kind\":\"ha\n"));
        let found = lines(&path);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1]["prev"], found[0]["hash"]);
    }
}
