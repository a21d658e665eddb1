//! Credentials kept until shortly before they end; one exchange at a time for each of them.

use super::{Credential, ExchangeError};
use crate::digest::{self, Digest};
use arc_swap::ArcSwapOption;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What makes a credential another one: digest (SHA-256) of the subject token, caller, audience, scopes, and the certificate it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Digest);

impl Key {
    /// Digests the parts, each with its length, so that no two lists of parts read the same.
    pub fn new(
        subject: Option<&Digest>,
        caller: &str,
        audience: &str,
        scopes: &BTreeSet<String>,
        binding: &str,
    ) -> Self {
        let subject = subject.map(Digest::as_slice).unwrap_or_default();
        let fixed = [subject, caller.as_bytes(), audience.as_bytes(), binding.as_bytes()];
        Self(digest::of_parts(fixed.into_iter().chain(scopes.iter().map(String::as_bytes))))
    }
}

/// A place for one credential.
#[derive(Debug, Default)]
struct Slot {
    kept: ArcSwapOption<Credential>,
    /// Held while it is fetched, so that others wait for the same answer.
    fetching: tokio::sync::Mutex<()>,
}

impl Slot {
    fn usable(&self, now: SystemTime) -> Option<Arc<Credential>> {
        self.kept.load_full().filter(|credential| now + LAST < credential.expires_at)
    }
}

/// The cache.
#[derive(Debug)]
pub struct Cache {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    max: usize,
}

/// A credential is not used in its last seconds: the upstream's clock may be ahead.
const LAST: Duration = Duration::from_secs(15);

impl Cache {
    /// An empty cache of at most `max` credentials.
    pub fn new(max: usize) -> Self {
        Self { slots: Mutex::default(), max }
    }

    /// The kept credential, or a fresh one. A failure is not kept.
    ///
    /// # Errors
    /// Those of `fresh`.
    pub async fn get(
        &self,
        key: Key,
        now: SystemTime,
        fresh: impl AsyncFnOnce() -> Result<Credential, ExchangeError>,
    ) -> Result<Arc<Credential>, ExchangeError> {
        let slot = self.slot(key, now);
        if let Some(credential) = slot.usable(now) {
            return Ok(credential);
        }
        let _fetching = slot.fetching.lock().await;
        if let Some(credential) = slot.usable(now) {
            return Ok(credential);
        }
        let credential = Arc::new(Box::pin(fresh()).await?); // Boxed: seldom, and large.
        slot.kept.store(Some(Arc::clone(&credential)));
        Ok(credential)
    }

    fn slot(&self, key: Key, now: SystemTime) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= self.max && !slots.contains_key(&key) {
            slots.retain(|_, slot| slot.usable(now).is_some() || slot.fetching.try_lock().is_err());
            if slots.len() >= self.max {
                slots.clear(); // Rather a burst of exchanges than a cache that grows.
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::UNIX_EPOCH;
    use tokens::Secret;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn key(subject: &str) -> Key {
        Key::new(
            Some(&digest::of(subject.as_bytes())),
            "caller",
            "audience",
            &BTreeSet::from(["a".to_owned()]),
            "binding",
        )
    }

    async fn get(
        cache: &Cache,
        subject: &str,
        now: u64,
        fetched: &AtomicUsize,
    ) -> Result<Arc<Credential>, ExchangeError> {
        let fresh = async || {
            tokio::task::yield_now().await;
            fetched.fetch_add(1, Ordering::SeqCst);
            let credential = Credential {
                bearer: Credential::bearer(&Secret::new("t")).unwrap(),
                audience: "audience".into(),
                scopes: BTreeSet::new(),
                expires_at: at(300),
                id: None,
            };
            if subject == "refused" { Err(ExchangeError::Scopes) } else { Ok(credential) }
        };
        cache.get(key(subject), at(now), fresh).await
    }

    #[tokio::test]
    async fn many_who_ask_at_once_make_one_exchange() {
        let (cache, fetched) = (Arc::new(Cache::new(10)), Arc::new(AtomicUsize::new(0)));
        let askers: Vec<_> = (0..100)
            .map(|_| {
                let (cache, fetched) = (Arc::clone(&cache), Arc::clone(&fetched));
                tokio::spawn(async move { get(&cache, "alice", 0, &fetched).await.is_ok() })
            })
            .collect();
        for asker in askers {
            assert!(asker.await.unwrap());
        }
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_credential_is_not_used_in_its_last_seconds() {
        let (cache, fetched) = (Cache::new(10), AtomicUsize::new(0));
        for (now, exchanges) in [(0, 1), (284, 1), (285, 2)] {
            get(&cache, "alice", now, &fetched).await.unwrap();
            assert_eq!(fetched.load(Ordering::SeqCst), exchanges, "at {now}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_not_kept_and_the_cache_does_not_grow() {
        let (cache, fetched) = (Cache::new(2), AtomicUsize::new(0));
        assert!(get(&cache, "refused", 0, &fetched).await.is_err());
        assert!(get(&cache, "refused", 0, &fetched).await.is_err());
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
        for subject in ["alice", "bob", "carol"] {
            get(&cache, subject, 0, &fetched).await.unwrap();
            assert!(cache.slots.lock().unwrap().len() <= 2);
        }
    }

    #[test]
    fn parts_are_not_run_together() {
        let scopes = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
        let none = scopes(&[]);
        assert_ne!(Key::new(None, "ab", "c", &none, ""), Key::new(None, "a", "bc", &none, ""));
        assert_ne!(Key::new(None, "c", "d", &none, ""), Key::new(Some(&[0; 32]), "c", "d", &none, ""));
        assert_ne!(
            Key::new(None, "c", "d", &scopes(&["a b"]), ""),
            Key::new(None, "c", "d", &scopes(&["a", "b"]), "")
        );
    }
}
