//! Work on a large stack: a deep expression needs much of it, and a panic of the parser ends nothing else. What has no room to
//! be deep is done where it is asked for: another thread costs more than the parsing of it.
//!
//! The threads live as long as the process. One for each query can crash it: glibc's `pthread_detach` may still read of
//! a thread that ends at that moment, and a stack as large as this one is unmapped by then. Starting it cost more than a
//! query's parsing, too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::oneshot;

/// The parser, its printer and the walk recurse once a byte at most: `((((…` and `- - - …` fit in here.
const STACK_BYTES: usize = 64 << 20;
/// What a deep expression has used of a stack stays in memory, so they are few.
const THREADS: usize = 2;

type Work = Box<dyn FnOnce() + Send>;

static WORKERS: OnceLock<Sender<Work>> = OnceLock::new();

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoOutcome {
    /// The system gave no thread, which the log says.
    NoThread,
    /// The work panicked.
    Panic,
}

/// The outcome of work that needs no large stack.
pub(crate) fn here<T>(work: impl FnOnce() -> T) -> Result<T, NoOutcome> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| NoOutcome::Panic)
}

/// The outcome of the work.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoOutcome> {
    let (tell, told) = oneshot::channel();
    let work: Work = Box::new(move || drop(tell.send(work())));
    WORKERS.get_or_init(workers).send(work).map_err(|_| NoOutcome::NoThread)?;
    told.await.map_err(|_| NoOutcome::Panic)
}

fn workers() -> Sender<Work> {
    let (sender, receiver) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..THREADS {
        let receiver = Arc::clone(&receiver);
        let thread = std::thread::Builder::new().name("promql".into()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(move || serve(&receiver)) {
            tracing::error!(%error, "no thread for the parser");
        }
    }
    sender
}

fn serve(receiver: &Mutex<Receiver<Work>>) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        drop(catch_unwind(AssertUnwindSafe(work))); // It owns all that it touches, and who waits for it hears of it.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_own_work_alone() {
        for _ in 0..2 * THREADS {
            assert_eq!(apart(|| panic!("as a parser may")).await, Err::<(), _>(NoOutcome::Panic));
            assert_eq!(here(|| panic!("as a parser may")), Err::<(), _>(NoOutcome::Panic));
        }
        assert_eq!(apart(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn there_is_room_for_deep_recursion() {
        fn deep(levels: usize, room: [u8; 4096]) -> usize {
            if levels == 0 { room.len() } else { deep(levels - 1, std::hint::black_box(room)) + 1 }
        }
        assert_eq!(apart(|| deep(4096, [0; 4096])).await, Ok(4096 + 4096));
    }
}
