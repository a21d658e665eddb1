//! The time, as something that is passed in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day. All but this file take it from here, so that a test can move it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_seconds: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The system's clock, moved by [`Clock::advance`].
    pub fn adjustable() -> Self {
        Self { ahead_seconds: Some(Arc::default()) }
    }

    /// Moves an adjustable clock, and all its clones; the system's clock stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Some(ahead) = &self.ahead_seconds {
            ahead.fetch_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        match &self.ahead_seconds {
            None => now,
            Some(ahead) => {
                now + Duration::from_secs(u64::try_from(ahead.load(Ordering::SeqCst)).unwrap_or(0))
            }
        }
    }
}

impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        self.now().duration_since(UNIX_EPOCH).ok().map(rustls::pki_types::UnixTime::since_unix_epoch)
    }
}
