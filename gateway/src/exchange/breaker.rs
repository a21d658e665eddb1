//! Leaves a token service alone for a while after it has failed several times in a row, so that callers hear so at once
//! and it can come back.

use crate::config;
use parking_lot::Mutex;
use std::time::Instant;

/// Counts one token service's failures in a row.
#[derive(Debug)]
pub struct Breaker {
    settings: config::Breaker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: usize,
    /// Where it is open: until when nobody tries.
    until: Option<Instant>,
}

impl Breaker {
    /// A breaker that is closed.
    pub fn new(settings: config::Breaker) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// Whether it is no use to ask now. Unlike [`Self::admits`] this lets nobody through.
    pub fn is_open(&self, now: Instant) -> bool {
        self.state.lock().until.is_some_and(|until| now < until)
    }

    /// Whether the service may be asked now. When its time is over, one is let through to try; the others wait for another
    /// such time, which the one's success ends.
    pub fn admits(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(now + self.settings.open);
                true
            }
        }
    }

    /// It answered; a refusal is an answer.
    pub fn answered(&self) {
        *self.state.lock() = State::default();
    }

    /// It failed. Gives whether that opened the breaker.
    pub fn failed(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures < self.settings.failures_max {
            return false;
        }
        let opened = state.until.is_none();
        state.until = Some(now + self.settings.open);
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn breaker() -> (Breaker, Instant) {
        let settings = config::Breaker { failures_max: 2, open: Duration::from_secs(10) };
        (Breaker::new(settings), Instant::now())
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_not_one_sooner() {
        let (breaker, now) = breaker();
        assert!(!breaker.failed(now));
        assert!(breaker.admits(now));
        assert!(breaker.failed(now));
        assert!(!breaker.admits(now));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let (breaker, now) = breaker();
        breaker.failed(now);
        breaker.answered();
        breaker.failed(now);
        assert!(breaker.admits(now));
    }

    #[test]
    fn after_its_time_one_tries_and_decides_for_all() {
        for (answers, admitted) in [(true, true), (false, false)] {
            let (breaker, now) = breaker();
            breaker.failed(now);
            breaker.failed(now);
            let later = now + Duration::from_secs(10);
            assert!(!breaker.admits(later - Duration::from_millis(1)));
            assert!(breaker.is_open(later - Duration::from_millis(1)) && !breaker.is_open(later));
            assert!(breaker.admits(later), "one tries");
            assert!(!breaker.admits(later), "and one alone");
            if answers {
                breaker.answered();
            } else {
                breaker.failed(later);
            }
            assert_eq!(breaker.admits(later), admitted);
        }
    }
}
