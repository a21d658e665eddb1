//! Our own identity together with the trust bundles of the domains that we federate with. A domain is served only where the
//! configuration lists it, whatever bundles the Workload API hands over.

use crate::identity::{Generations, Identity, IdentitySource, SharedSource, SourceStatus, TrustBundles};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// An [`IdentitySource`] over another one and bundles from elsewhere.
#[derive(Debug)]
pub struct Federation {
    own: SharedSource,
    listed: BTreeSet<String>,
    generations: Generations,
}

impl Federation {
    /// Puts them together. Of `own`'s bundles those of its own domain are used, and those of the domains `listed`;
    /// `foreign` has the bundles that come from files and bundle endpoints. Follows both until it is dropped.
    pub fn spawn(
        own: SharedSource,
        listed: BTreeSet<String>,
        mut foreign: watch::Receiver<TrustBundles>,
    ) -> Arc<Self> {
        let first = merged(&own.current(), &listed, &foreign.borrow_and_update(), 0);
        let mut changes = own.changes();
        let source = Arc::new(Self { own, listed, generations: Generations::new(first) });
        let weak = Arc::downgrade(&source);
        changes.mark_changed(); // It may have changed since it was looked at.
        tokio::spawn(async move {
            let mut more = true; // Whether anybody may still bring a bundle.
            loop {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    changed = foreign.changed(), if more => more = changed.is_ok(),
                }
                let Some(source) = weak.upgrade() else { return };
                source.merge(&foreign.borrow_and_update());
            }
        });
        source
    }

    fn merge(&self, foreign: &TrustBundles) {
        let now = self.generations.current();
        let new = merged(&self.own.current(), &self.listed, foreign, now.generation + 1);
        if !new.same_material(&now) {
            self.generations.swap(new);
        }
    }
}

fn merged(own: &Identity, listed: &BTreeSet<String>, foreign: &TrustBundles, generation: u64) -> Identity {
    if own.is_withdrawn() {
        return own.withdrawn(generation);
    }
    let home = own.svid.peer().id.trust_domain_name();
    let mut ours = own.bundles.clone();
    ours.retain(|domain| domain == home || listed.contains(domain));
    let mut bundles = foreign.clone();
    bundles.add(&ours); // Nobody but our own source says who belongs to our own domain.
    Identity { svid: own.svid.clone(), bundles, generation }
}

impl IdentitySource for Federation {
    fn current(&self) -> Arc<Identity> {
        self.generations.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.generations.changes()
    }

    fn status(&self) -> SourceStatus {
        self.own.status()
    }
}
