//! Events on their way out. Those of one URL go one after the other, in the order in which they came; no URL waits for
//! another. What waits is in memory, and bounded.

use super::delivery::{Delivery, End};
use super::target::Targets;
use crate::audit::{Audit, Pushed};
use crate::cards::Signer;
use crate::config::agents::{Agent, Push};
use crate::config::push::Relay;
use crate::digest::Digest;
use crate::https::{Https, HttpsError};
use crate::metrics::Metrics;
use crate::revocation::Live;
use crate::tasks::Owner;
use arc_swap::ArcSwap;
use certs::{Clock, SharedSource};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The relay: what is needed to send, and what is being sent.
#[derive(Debug)]
pub struct Outbox(Arc<Sending>);

/// What every delivery needs.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) settings: Relay,
    /// Asked anew at each attempt.
    pub(super) targets: ArcSwap<Targets>,
    pub(super) https: Https,
    pub(super) signer: Signer,
    pub(super) revocations: Arc<Live>,
    pub(super) clock: Clock,
    audit: Audit,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    /// How many wait or are under way; zero lets a gateway stop.
    count: watch::Sender<usize>,
    /// True ends all of them.
    cut: watch::Sender<bool>,
}

/// What waits or is under way.
#[derive(Debug, Default)]
struct Waiting {
    /// By the URL that it came to. A URL is there while something of it is under way.
    lines: HashMap<Digest, VecDeque<Delivery>>,
    /// How many places each owner has.
    held: HashMap<Owner, usize>,
}

/// What the outbox works with.
pub struct With<'a> {
    /// Signs what goes out.
    pub signer: Signer,
    /// What is revoked.
    pub revocations: Arc<Live>,
    /// Keeps how each delivery ended.
    pub audit: Audit,
    /// Counts them.
    pub metrics: Arc<Metrics>,
    /// Where our identity comes from.
    pub source: &'a SharedSource,
    /// The time.
    pub clock: &'a Clock,
}

/// There is no place for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The share of all places that may wait at one URL.
const URL_SHARE: usize = 8;
/// The share that one owner may have: whose targets don't answer must not keep others' events out.
const OWNER_SHARE: usize = 4;

impl Outbox {
    /// With nothing in it.
    ///
    /// # Errors
    /// [`HttpsError`] if the authorities' file can't be used.
    pub fn new(settings: Relay, with: With<'_>) -> Result<Self, HttpsError> {
        Ok(Self(Arc::new(Sending {
            targets: ArcSwap::from_pointee(settings.targets.clone()),
            https: Https::new(&settings.server, with.source, with.clock)?,
            settings,
            signer: with.signer,
            revocations: with.revocations,
            clock: with.clock.clone(),
            audit: with.audit,
            metrics: with.metrics,
            waiting: Mutex::default(),
            count: watch::Sender::new(0),
            cut: watch::Sender::new(false),
        })))
    }

    /// Sends nowhere else from now on, also what waits already.
    pub fn allow(&self, targets: Targets) {
        self.0.targets.store(Arc::new(targets));
    }

    /// Whether callers may ask for the events of an agent's tasks.
    pub fn serves(&self, agent: &Agent) -> bool {
        match agent.push {
            Push::Off => false,
            Push::Direct => true,
            Push::Relay => !self.0.targets.load().is_empty(),
        }
    }

    pub(super) fn sending(&self) -> &Sending {
        &self.0
    }

    /// Takes up an event that came to a URL, by the URL's digest.
    ///
    /// # Errors
    /// [`Full`]; nothing of it is kept.
    pub(super) fn put(&self, url: Digest, delivery: Delivery) -> Result<(), Full> {
        let most = self.0.settings.queue_max;
        let mut waiting = self.0.waiting();
        let Waiting { lines, held } = &mut *waiting;
        let own = held.get(&delivery.seal.owner).copied().unwrap_or_default();
        if *self.0.count.borrow() >= most || own >= (most / OWNER_SHARE).max(1) || *self.0.cut.borrow() {
            return Err(Full);
        }
        let owner = delivery.seal.owner.clone();
        match lines.get_mut(&url) {
            Some(line) if line.len() >= (most / URL_SHARE).max(1) => return Err(Full),
            Some(line) => line.push_back(delivery),
            None => {
                lines.insert(url, VecDeque::from([delivery]));
                tokio::spawn(work(Arc::clone(&self.0), url));
            }
        }
        held.insert(owner, own + 1);
        self.0.count.send_modify(|count| *count += 1);
        self.0.metrics.push_waiting.inc();
        Ok(())
    }

    /// Waits until all is delivered or has failed, but no longer than this; what is left then has failed.
    pub async fn drain(&self, most: Duration) {
        let none = |wait: Duration| {
            let mut count = self.0.count.subscribe();
            async move {
                tokio::time::timeout(wait, async move { drop(count.wait_for(|count| *count == 0).await) })
                    .await
            }
        };
        if none(most).await.is_err() {
            tracing::warn!("push notifications were still waiting when the drain timeout ended");
            self.0.cut.send_replace(true);
            let _ = none(most.max(Duration::from_secs(1))).await; // For their records.
        }
    }
}

/// Delivers what came to one URL, until nothing waits there.
async fn work(sending: Arc<Sending>, url: Digest) {
    let mut cut = sending.cut.subscribe();
    while let Some(mut delivery) = sending.next(url) {
        let end = tokio::select! {
            biased;
            _ = cut.wait_for(|cut| *cut) => End::stopped(),
            end = delivery.deliver(&sending) => end,
        };
        sending.ended(&delivery, &end);
    }
}

impl Sending {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next that came to a URL. None: the URL is let go of, under the same lock.
    fn next(&self, url: Digest) -> Option<Delivery> {
        let mut waiting = self.waiting();
        let next = waiting.lines.get_mut(&url).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.lines.remove(&url);
        }
        next
    }

    /// Gives an owner's place back.
    fn gives_back(&self, owner: &Owner) {
        let mut waiting = self.waiting();
        if let Some(held) = waiting.held.get_mut(owner) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                waiting.held.remove(owner);
            }
        }
    }

    fn ended(&self, delivery: &Delivery, end: &End) {
        self.audit.pushed(
            Pushed {
                delivered: end.delivered,
                agent: &delivery.seal.agent,
                owner: &delivery.seal.owner,
                task: &delivery.task,
                host: &delivery.host,
                attempts: delivery.attempts,
                status: end.status,
                cause: end.cause.as_deref(),
            },
            self.clock.now(),
        );
        self.gives_back(&delivery.seal.owner);
        self.metrics.push_delivery(end.outcome());
        self.metrics.push_waiting.dec();
        self.count.send_modify(|count| *count -= 1); // Last: who waits for none may go on to stop.
    }
}
