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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::super::{JwksError, KeyStore, Origin};
    use super::*;
    use arc_swap::ArcSwapOption;
    use std::sync::Arc;
    use std::time::Duration;
    use tokens::SigningKey;
    use tokio::sync::Mutex;

    fn set(key: &SigningKey) -> JwkSet {
        Some(SigningKey::jwks([key]).to_string().into_bytes().into())
    }

    #[tokio::test]
    async fn what_is_published_last_counts_and_nothing_else() {
        let store = KeyStore(Arc::new(Inner {
            origin: Origin::WorkloadApi,
            refresh: Duration::ZERO,
            keys: ArcSwapOption::empty(),
            last_try: Mutex::default(),
        }));
        let (tell, told) = watch::channel(None);
        let following = tokio::spawn(follow(Arc::downgrade(&store.0), told));
        let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let has = async |key: &SigningKey| store.current().await.is_ok_and(|keys| keys.has(Some(key.kid())));
        assert!(matches!(store.current().await, Err(JwksError::NoBundle)));
        for key in [&first, &second] {
            tell.send_replace(set(key));
            while !has(key).await {
                tokio::task::yield_now().await;
            }
        }
        assert!(!has(&first).await, "it was withdrawn");
        assert!(store.refreshed().await.unwrap().has(Some(second.kid())));

        tell.send_replace(Some(b"{"[..].into()));
        tokio::task::yield_now().await; // The one other task runs.
        assert!(has(&second).await, "what can't be read replaces nothing");
        tell.send_replace(None);
        while has(&second).await {
            tokio::task::yield_now().await;
        }
        assert!(matches!(store.refreshed().await, Err(JwksError::NoBundle)));
        drop(tell);
        following.await.unwrap();
    }
}
