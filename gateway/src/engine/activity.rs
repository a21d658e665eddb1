//! Whether anything goes on on a connection, and since when not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What goes on on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// Requests whose answers are not yet handed over.
    under_way: AtomicUsize,
    /// Whether the peer is waited for to take bytes.
    writing: AtomicBool,
    /// When the last request was over, in milliseconds since it was opened.
    last: AtomicU64,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            under_way: AtomicUsize::new(0),
            writing: AtomicBool::new(false),
            last: AtomicU64::new(0),
        }
    }

    pub(super) fn begin(activity: &Arc<Self>) -> UnderWay {
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(activity))
    }

    pub(super) fn writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::Relaxed);
    }

    /// For how long nothing has gone on.
    pub(super) fn idle_for(&self) -> Duration {
        if self.under_way.load(Ordering::Relaxed) > 0 || self.writing.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(last)
    }

    /// Returns when nothing has gone on for so long, or at `until`.
    pub(super) async fn rests(&self, idle: Duration, until: Option<tokio::time::Instant>) {
        loop {
            let left = idle.saturating_sub(self.idle_for());
            let now = tokio::time::Instant::now();
            if left.is_zero() || until.is_some_and(|until| until <= now) {
                return;
            }
            let look_again = now + left;
            tokio::time::sleep_until(until.map_or(look_again, |until| until.min(look_again))).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
