//! A trust domain's keys, as the Workload API streams them: used as long as it says so, and not a moment longer.

use super::Inner;
use certs::jwt::JwkSet;
use std::sync::Weak;
use tokens::Keys;
use tokio::sync::watch;

/// Takes over what is published, until the store is gone. A set that can't be read leaves the last good one in place.
pub(super) async fn follow(store: Weak<Inner>, mut published: watch::Receiver<JwkSet>) {
    published.mark_changed(); // It may have come before anybody looked.
    while published.changed().await.is_ok() {
        let Some(store) = store.upgrade() else { return };
        let set = published.borrow_and_update().clone();
        match set.as_deref().map(Keys::from_jwks) {
            None => store.keys.store(None),
            Some(Ok(keys)) => drop(store.keep(keys)),
            Some(Err(error)) => {
                tracing::error!(%error, "a JWT bundle can't be used, the last good one stays")
            }
        }
    }
}
