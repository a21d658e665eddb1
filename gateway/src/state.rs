//! What a running gateway holds: a snapshot that is swapped as a whole, and the few things that outlive every snapshot.

use crate::audit::Audit;
use crate::authorize::Lane;
use crate::cards::{Cards, Clients, Signer};
use crate::config::Limits;
use crate::exchange;
use crate::metrics::Metrics;
use crate::one_url::Opened;
use crate::push::Outbox;
use crate::registry::health::Health;
use crate::revocation::{Live, Revocations};
use crate::route::{Agents, Servers};
use crate::session::{Counts, KeyRing};
use crate::tasks::Store;
use crate::token::Issuers;
use crate::traces::Traces;
use crate::upstream::Pool;
use arc_swap::ArcSwap;
use certs::{Clock, Identity, SharedSource};
use policy::PolicySet;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// A gateway. Everything that a reload may change is in [`State`].
#[derive(Debug)]
pub struct Gateway {
    pub(crate) state: Arc<ArcSwap<State>>,
    pub(crate) clock: Clock,
    pub(crate) url: String,
    pub(crate) origins: BTreeSet<String>,
    pub(crate) limits: Limits,
    pub(crate) lane: Arc<Lane>,
    pub(crate) audit: Audit,
    pub(crate) exchange: exchange::Client,
    pub(crate) pool: Pool,
    pub(crate) sessions: Counts,
    /// Which servers' sessions belong to one of the URL of all servers.
    pub(crate) opened: Opened,
    /// Places for lists of all servers that are put together.
    pub(crate) lists: Semaphore,
    pub(crate) tasks: Store,
    /// Which agents answer.
    pub(crate) health: Health,
    /// Signs the cards that are served, and what else is said in the gateway's name.
    pub(crate) cards: Signer,
    /// Takes agents' events to where their callers want them.
    pub(crate) push: Outbox,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) reloads: watch::Sender<u64>,
    /// Where the identity comes from.
    pub(crate) source: SharedSource,
    /// True cuts connections, whatever is under way on them.
    pub(crate) cut: watch::Sender<bool>,
    /// What is revoked, for those who wait for its change: open streams.
    pub(crate) revocations: Arc<Live>,
}

/// One snapshot: what a request uses from its first stage to its last.
#[derive(Clone, Debug)]
pub struct State {
    /// Our SVID and the trust bundles.
    pub identity: Arc<Identity>,
    /// Issuers of subject tokens.
    pub issuers: Arc<Issuers>,
    /// The policy set.
    pub policy: Arc<PolicySet>,
    /// The keys of session ids.
    pub sessions: Arc<KeyRing>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// The servers.
    pub servers: Arc<Servers>,
    /// The agents.
    pub agents: Arc<Agents>,
    /// How their cards are read.
    pub card_clients: Arc<Clients>,
    /// What is known of their cards.
    pub cards: Arc<Cards>,
}

impl Gateway {
    /// The current snapshot.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Holds to another set of revocations from now on: in the next snapshot, and in every open stream.
    pub(crate) fn revoke(&self, revocations: Revocations) {
        let next = Arc::new(revocations.after(&self.state().revocations));
        self.revocations.swap(Arc::clone(&next)); // First: what is judged by an older snapshot is judged again.
        self.swap(|state| state.revocations = Arc::clone(&next));
    }

    /// Swaps the snapshot for one that differs in a part.
    pub(crate) fn swap(&self, change: impl Fn(&mut State)) {
        self.state.rcu(|state| {
            let mut next = State::clone(state);
            change(&mut next);
            next
        });
        self.reloads.send_modify(|n| *n += 1);
    }
}
