//! Events on their way out: what is needed to send them, and what waits, in memory and bounded.

use super::delivery::Delivery;
use super::lines::{Full, Lines};
use super::target::Targets;
use crate::audit::Audit;
use crate::cards::Signer;
use crate::config::agents::{Agent, Push};
use crate::config::push::Relay;
use crate::digest::Digest;
use crate::https::{Https, HttpsError};
use crate::metrics::Metrics;
use crate::state::State;
use arc_swap::ArcSwap;
use certs::{Clock, SharedSource};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The relay: what is needed to send, and what is being sent.
#[derive(Debug)]
pub struct Outbox {
    sending: Arc<Sending>,
    lines: Arc<Lines<Delivery>>,
}

/// What every delivery needs.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) settings: Relay,
    /// Asked anew at each attempt.
    pub(super) targets: ArcSwap<Targets>,
    /// The gateway's: its agents, their cards and what is revoked are asked anew, too.
    pub(super) state: Arc<ArcSwap<State>>,
    pub(super) https: Https,
    pub(super) signer: Signer,
    pub(super) clock: Clock,
    pub(super) audit: Audit,
    pub(super) metrics: Arc<Metrics>,
    /// True ends all of them.
    pub(super) cut: watch::Sender<bool>,
}

/// What the outbox works with.
pub struct With<'a> {
    /// What the gateway runs on.
    pub state: Arc<ArcSwap<State>>,
    /// Signs what goes out.
    pub signer: Signer,
    /// Keeps how each delivery ended.
    pub audit: Audit,
    /// Counts them.
    pub metrics: Arc<Metrics>,
    /// Where our identity comes from.
    pub source: &'a SharedSource,
    /// The time.
    pub clock: &'a Clock,
}

impl Outbox {
    /// With nothing in it.
    ///
    /// # Errors
    /// [`HttpsError`] if the authorities' file can't be used.
    pub fn new(settings: Relay, with: With<'_>) -> Result<Self, HttpsError> {
        let lines = Lines::new(settings.queue_max, with.metrics.push_waiting.clone());
        let sending = Sending {
            targets: ArcSwap::from_pointee(settings.targets.clone()),
            state: with.state,
            https: Https::new(&settings.server, with.source, with.clock)?,
            settings,
            signer: with.signer,
            clock: with.clock.clone(),
            audit: with.audit,
            metrics: with.metrics,
            cut: watch::Sender::new(false),
        };
        Ok(Self { sending: Arc::new(sending), lines: Arc::new(lines) })
    }

    /// Sends nowhere else from now on, also what waits already.
    pub fn allow(&self, targets: Targets) {
        self.sending.targets.store(Arc::new(targets));
    }

    /// Whether callers may ask for the events of an agent's tasks.
    pub fn serves(&self, agent: &Agent) -> bool {
        match agent.push {
            Push::Off => false,
            Push::Direct => true,
            Push::Relay => !self.sending.targets.load().is_empty(),
        }
    }

    pub(super) fn sending(&self) -> &Arc<Sending> {
        &self.sending
    }

    /// Takes up an event that came to a URL, by the URL's digest.
    ///
    /// # Errors
    /// [`Full`]; nothing of it is kept.
    pub(super) fn put(&self, url: Digest, delivery: Delivery) -> Result<(), Full> {
        if *self.sending.cut.borrow() {
            return Err(Full);
        }
        let owner = delivery.seal.owner.clone();
        self.lines.put(url, &owner, delivery)
    }

    /// Waits until all is delivered or has failed, but no longer than this; what is left then has failed.
    pub async fn drain(&self, most: Duration) {
        if tokio::time::timeout(most, self.lines.drained()).await.is_err() {
            tracing::warn!("push notifications were still waiting when the drain timeout ended");
            self.sending.cut.send_replace(true);
            let wait = most.max(Duration::from_secs(1));
            let _ = tokio::time::timeout(wait, self.lines.drained()).await; // For their records.
        }
    }
}
