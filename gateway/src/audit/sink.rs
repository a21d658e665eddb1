//! Between the requests and the file: a bounded queue, and the thread that empties it.
//!
//! A record gets its number when it is handed over, so that whoever handed it over knows it. The thread takes all that
//! waits at once, chains it, and stores it as one batch: in mode `required` one sync serves all permits of the batch. What
//! can't be stored is kept and tried again, so the chain stays whole; meanwhile the queue fills, and what finds no place in
//! it is counted, and named by a record of kind `lost` as soon as there can be one.

use super::chain::{Hash, Line};
use super::facts::Facts;
use super::trail::{Medium, Tip, Trail};
use certs::Clock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use tokio::sync::oneshot;

/// Hands records to the thread that writes them.
#[derive(Debug)]
pub(super) struct Sink {
    shared: Arc<Shared>,
    thread: Thread,
    writer: Option<JoinHandle<()>>,
}

/// Why a permit can't be made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The queue has no place left.
    #[error("too many audit records wait to be written")]
    Full,
    /// Records can't be written at the moment; the log says why.
    #[error("audit records can't be written")]
    Failing,
    /// It was not written in time, and may be yet.
    #[error("the permit's audit record was not written in time")]
    Timeout,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    most: Room,
    working: AtomicBool,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    records: Vec<Waiting>,
    /// Who waits until all records below a number are stored.
    flushes: Vec<(u64, SyncSender<()>)>,
    /// What was handed over and is not stored: the records above, and those of the batch.
    held: Room,
    /// The number of the next record.
    next: u64,
    /// Records that found no place since the last one that says so.
    lost: u64,
    closed: bool,
}

/// How many records, and their bytes: few of them may be long.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    line: Line,
    seq: u64,
    durable: Option<oneshot::Sender<bool>>,
}

/// How long the thread rests between two batches where nobody waits for it: records that come meanwhile wake nobody and
/// share one write.
const REST: Duration = Duration::from_millis(2);
/// How long it waits before it tries again what could not be stored.
const RETRY: Duration = Duration::from_millis(100);
/// Bytes that are kept for the next batch; what a flood needed is given back.
const BATCH_KEPT: usize = 1 << 20;

impl Sink {
    /// Starts the thread. `rests`: nobody waits for a single record.
    pub(super) fn start<M: Medium>(
        trail: Trail<M>,
        tip: Tip,
        most: Room,
        rests: bool,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { next: tip.next, ..Queue::default() }),
            most,
            working: AtomicBool::new(true),
            lost: AtomicU64::new(0),
        });
        let writer = Writer {
            trail,
            tip: tip.hash,
            shared: Arc::clone(&shared),
            rests,
            clock,
            batch: Batch::default(),
        };
        let writer = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: writer.thread().clone(), writer: Some(writer) })
    }

    /// Hands a record over; never waits. One that was `promised` has a place even where there is none for others.
    pub(super) fn append(&self, line: Line, promised: bool) {
        let mut queue = self.shared.queue();
        if queue.held.fills(self.shared.most) && !promised {
            queue.lost += 1;
            let first = queue.lost == 1;
            drop(queue);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            if first {
                tracing::error!("audit records are lost: too many wait to be written");
            }
            return;
        }
        self.push(queue, line, None);
    }

    /// Hands a permit's record over. Gives its number, and what hears whether it was stored.
    ///
    /// # Errors
    /// [`AuditError::Full`] and [`AuditError::Failing`]; then it was not taken.
    pub(super) fn permit(&self, line: Line) -> Result<(u64, oneshot::Receiver<bool>), AuditError> {
        if !self.working() {
            return Err(AuditError::Failing);
        }
        let (stored, hears) = oneshot::channel();
        let queue = self.shared.queue();
        if queue.held.fills(self.shared.most) {
            return Err(AuditError::Full);
        }
        Ok((self.push(queue, line, Some(stored)), hears))
    }

    fn push(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        line: Line,
        durable: Option<oneshot::Sender<bool>>,
    ) -> u64 {
        let seq = queue.next;
        let first = queue.records.is_empty();
        queue.held.records += 1;
        queue.held.bytes += line.len();
        queue.records.push(Waiting { line, seq, durable });
        queue.next += 1;
        drop(queue);
        if first {
            self.thread.unpark(); // A thread that rests or writes looks here again by itself, and isn't woken by this.
        }
        seq
    }

    /// Waits until what was handed over before is stored, or has failed to be.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let mut queue = self.shared.queue();
        let end = queue.next;
        queue.flushes.push((end, done));
        drop(queue);
        self.thread.unpark();
        let _ = wait.recv(); // An error says that the thread is gone, and has said why.
    }

    /// Whether the last attempt to store something succeeded.
    pub(super) fn working(&self) -> bool {
        self.shared.working.load(Ordering::Acquire)
    }

    /// Records that are not stored yet.
    pub(super) fn waiting(&self) -> usize {
        self.shared.queue().held.records
    }

    /// Whether there is no place for another one.
    pub(super) fn full(&self) -> bool {
        self.shared.queue().held.fills(self.shared.most)
    }

    /// Records that found no place, since the start.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.thread.unpark();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Room {
    fn fills(self, most: Self) -> bool {
        self.records >= most.records || self.bytes >= most.bytes
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread.
struct Writer<M> {
    trail: Trail<M>,
    tip: Hash,
    shared: Arc<Shared>,
    rests: bool,
    clock: Clock,
    batch: Batch,
}

/// Records that have their place in the chain and are not stored yet.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// The room in the queue that it takes.
    room: Room,
    durable: Vec<oneshot::Sender<bool>>,
    flushes: Vec<(u64, SyncSender<()>)>,
    /// The number behind its last record.
    end: u64,
}

impl<M: Medium> Writer<M> {
    fn run(mut self) {
        loop {
            let closed = self.take();
            if self.batch.bytes.is_empty() {
                self.batch.answer(true);
                if closed {
                    return;
                }
                std::thread::park(); // Whoever hands over the first record, or closes, wakes it.
                continue;
            }
            match self.trail.store(&self.batch.bytes) {
                Ok(()) => self.stored(),
                Err(error) => {
                    self.failed(&error);
                    if closed {
                        let _ = self.trail.tidy();
                        tracing::error!(
                            records = self.shared.queue().held.records,
                            "audit records are lost: the gateway ends"
                        );
                        return;
                    }
                    std::thread::sleep(RETRY);
                }
            }
            if self.rests && !closed {
                std::thread::sleep(REST);
            }
        }
    }

    /// Chains what waits, unless a batch is left from a failed attempt. Says whether the queue is closed.
    fn take(&mut self) -> bool {
        let mut queue = self.shared.queue();
        self.batch.flushes.append(&mut queue.flushes);
        let closed = queue.closed;
        if self.batch.bytes.is_empty() {
            let records = std::mem::take(&mut queue.records);
            let lost = std::mem::take(&mut queue.lost);
            let says_so = queue.next;
            queue.next += u64::from(lost > 0);
            self.batch.end = queue.next;
            drop(queue);
            let bytes = records.iter().map(|waiting| waiting.line.len()).sum();
            self.batch.room = Room { records: records.len(), bytes };
            for Waiting { line, seq, durable } in records {
                line.seal(seq, &mut self.tip, &mut self.batch.bytes);
                self.batch.durable.extend(durable);
            }
            if lost > 0 {
                let line = Facts { count: Some(lost), ..Facts::default() }.line("lost", self.clock.now());
                line.seal(says_so, &mut self.tip, &mut self.batch.bytes);
            }
        }
        closed
    }

    fn stored(&mut self) {
        let mut queue = self.shared.queue();
        queue.held.records -= self.batch.room.records;
        queue.held.bytes -= self.batch.room.bytes;
        drop(queue);
        if !self.shared.working.swap(true, Ordering::AcqRel) {
            tracing::warn!("audit records are written again");
        }
        self.batch.bytes.clear();
        self.batch.bytes.shrink_to(BATCH_KEPT);
        self.batch.answer(true);
    }

    fn failed(&mut self, error: &std::io::Error) {
        if self.shared.working.swap(false, Ordering::AcqRel) {
            tracing::error!(%error, "audit records can't be written; they are kept and tried again");
        }
        self.batch.answer(false);
    }
}

impl Batch {
    fn answer(&mut self, stored: bool) {
        for waiting in self.durable.drain(..) {
            let _ = waiting.send(stored); // Whoever asked may have gone.
        }
        for (_, waiting) in self.flushes.extract_if(.., |(end, _)| !stored || *end <= self.end) {
            let _ = waiting.send(());
        }
    }
}

#[cfg(test)]
mod tests;
