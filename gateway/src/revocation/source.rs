//! What becomes of a list that a source gives: it is what the gateway holds to from then on, or it replaces nothing, loudly.

use super::Revocations;
use super::file::{self, RevocationsError};
use super::redis::{Client, Follower};
use crate::config::RevocationsFrom;
use crate::config::problems::chain;
use crate::https::HttpsError;
use crate::state::Gateway;
use certs::{Clock, SharedSource};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the list comes from.
pub enum Source {
    /// There is none.
    Nowhere,
    /// A file.
    File(PathBuf),
    /// A Redis.
    Redis(Box<Follower>),
}

impl Source {
    /// A source, and the set to begin with. `identity` is what is shown to a server that asks who we are.
    ///
    /// # Errors
    /// [`HttpsError`] if a server's authorities can't be used.
    pub fn new(
        from: Option<RevocationsFrom>,
        identity: &SharedSource,
        clock: &Clock,
        entries_max: usize,
    ) -> Result<(Self, Revocations), HttpsError> {
        Ok(match from {
            None => (Self::Nowhere, Revocations::default()),
            Some(RevocationsFrom::File(path, list)) => (Self::File(path), list),
            Some(RevocationsFrom::Redis(list)) => {
                let client = Client::new(list, identity, clock, entries_max)?;
                (Self::Redis(Box::new(Follower::new(client))), Revocations::unknown())
            }
        })
    }

    /// Looks once, so that a gateway that is asked for the first time knows what is revoked, if that can be known.
    pub async fn looks(&mut self, gateway: &Gateway) {
        if let Self::Redis(follower) = self {
            follower.looks(gateway).await;
        }
    }

    /// Looks again and again.
    pub async fn follow(self, gateway: Arc<Gateway>) {
        match self {
            Self::Nowhere => {}
            Self::File(path) => file::follow(gateway, path).await,
            Self::Redis(follower) => follower.follow(gateway).await,
        }
    }
}

/// Holds to a list, if it is another one.
pub(super) fn swap(gateway: &Gateway, list: Revocations) {
    if list.same(&gateway.state().revocations) {
        return;
    }
    tracing::info!(count = list.len(), known = list.is_known(), "revocations swapped");
    if list.is_known() {
        gateway.audit.revocations_swapped(list.len(), gateway.clock.now());
        gateway.metrics.reload("revocations", "swapped");
    }
    gateway.revoke(list);
}

/// Leaves the last good list in place; `place` is where the one is that can't be used.
pub(super) fn refuse(gateway: &Gateway, place: &str, error: &RevocationsError) {
    let cause = chain(error);
    tracing::error!(place, %cause, "revocations not swapped, the last good ones stay");
    gateway.audit.event("revocations_refused", &cause, gateway.clock.now());
    gateway.metrics.reload("revocations", "refused");
    gateway.reloads.send_modify(|n| *n += 1);
}

/// Notes whether the source answers, once for each time that it changes: `cause` says why it does not.
pub(super) fn answers(gateway: &Gateway, before: bool, cause: Option<&str>) {
    let up = cause.is_none();
    gateway.metrics.revocations_source_up.set(i64::from(up));
    if up == before {
        return;
    }
    match cause {
        None => {
            tracing::info!("the source of revocations answers again");
            gateway.audit.event("revocations_back", "", gateway.clock.now());
        }
        Some(cause) => {
            tracing::error!(cause, "the source of revocations is away; what is known of them stays");
            gateway.audit.event("revocations_away", cause, gateway.clock.now());
        }
    }
}
