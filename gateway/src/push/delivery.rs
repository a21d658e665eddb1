//! One event on its way to its target: attempt after attempt, until it is there or can't be.

use super::attempt::{AttemptError, attempt};
use super::lines::Errand;
use super::outbox::Sending;
use super::seal::Seal;
use crate::audit::Pushed;
use crate::config::problems::chain;
use bytes::Bytes;
use protocol::a2a::Version;
use std::sync::Arc;
use std::time::Duration;

/// An event, and where it goes. The secrets are in the seal, which hides them.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) sending: Arc<Sending>,
    pub(super) seal: Seal,
    /// The SPIFFE ID of the agent that posted it.
    pub(super) from: String,
    pub(super) task: String,
    pub(super) version: Version,
    /// As the agent sent it.
    pub(super) body: Bytes,
    /// The target's host, for the records.
    pub(super) host: String,
    /// How often it was tried.
    pub(super) attempts: u64,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    delivered: bool,
    /// What the target answered last.
    status: Option<u16>,
    /// Why it was not delivered: nothing of the target's, no path, no secret.
    cause: Option<String>,
    refused: bool,
}

impl Errand for Delivery {
    type End = End;

    async fn done(&mut self) -> End {
        let mut cut = self.sending.cut.subscribe();
        tokio::select! {
            biased;
            _ = cut.wait_for(|cut| *cut) => End::failed("the gateway was told to stop"),
            end = self.deliver() => end,
        }
    }

    fn ended(&self, end: Option<End>) {
        let end = end.unwrap_or_else(|| {
            tracing::error!(host = self.host, "the delivery of a push panicked");
            End::failed("the gateway made a mistake: its log has more")
        });
        let pushed = Pushed {
            delivered: end.delivered,
            agent: &self.seal.agent,
            owner: &self.seal.owner,
            task: &self.task,
            host: &self.host,
            attempts: self.attempts,
            status: end.status,
            cause: end.cause.as_deref(),
        };
        self.sending.audit.pushed(pushed, self.sending.clock.now());
        self.sending.metrics.push_delivery(end.outcome());
    }
}

impl End {
    fn failed(cause: &str) -> Self {
        Self { delivered: false, status: None, cause: Some(cause.to_owned()), refused: false }
    }

    /// In one word, for metrics.
    fn outcome(&self) -> &'static str {
        match (self.delivered, self.refused) {
            (true, _) => "delivered",
            (false, true) => "refused",
            (false, false) => "failed",
        }
    }
}

impl Delivery {
    /// Tries until it is there, or can't be.
    async fn deliver(&mut self) -> End {
        let sending = Arc::clone(&self.sending);
        let most = u64::try_from(sending.settings.attempts).unwrap_or(u64::MAX);
        loop {
            self.attempts += 1;
            let timeout = sending.settings.timeout;
            let tried = match tokio::time::timeout(timeout, Box::pin(attempt(self))).await {
                Ok(tried) => tried,
                Err(_) => Err(AttemptError::Timeout),
            };
            let error = match tried {
                Ok(status) => {
                    return End { delivered: true, status: Some(status), cause: None, refused: false };
                }
                Err(error) => error,
            };
            if !error.may_pass() || self.attempts >= most {
                let (status, refused) = (error.status(), error.is_ours());
                return End { delivered: false, status, cause: Some(chain(&error)), refused };
            }
            tracing::debug!(
                host = self.host,
                attempts = self.attempts,
                cause = chain(&error),
                "a push is tried again"
            );
            let mut chance = [0; 1];
            let _ = aws_lc_rs::rand::fill(&mut chance); // Without randomness it is no less than the half.
            let times = (sending.settings.back_off, sending.settings.back_off_max);
            tokio::time::sleep(wait(times, self.attempts, chance[0], error.wait())).await;
        }
    }
}

/// Twice as long each time, less up to a half by chance (0 to 255); longer if the target says so, but never longer than the
/// most.
fn wait((first, most): (Duration, Duration), attempts: u64, chance: u8, asked: Option<Duration>) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
    let whole = first.saturating_mul(1 << doublings).min(most);
    let wait = whole / 2 + whole.mul_f64(f64::from(chance) / 512.0);
    wait.max(asked.unwrap_or_default()).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_has_some_chance_in_it_and_is_never_longer_than_the_most() {
        let seconds = Duration::from_secs;
        let wait = |attempts, chance, asked| wait((seconds(1), seconds(60)), attempts, chance, asked);
        for (attempts, whole) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u64::MAX, 60)] {
            let (least, most) = (wait(attempts, 0, None), wait(attempts, 255, None));
            assert_eq!(least, seconds(whole) / 2, "{attempts}");
            assert!(most > least && most <= seconds(whole), "{attempts} {most:?}");
        }
        assert_eq!(wait(1, 0, Some(seconds(7))), seconds(7));
        assert_eq!(wait(1, 0, Some(seconds(3600))), seconds(60), "however long the target wants");
    }
}
