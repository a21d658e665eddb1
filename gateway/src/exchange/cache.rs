//! Credentials kept until shortly before they end; one exchange at a time for each of them.

use super::{Credential, ExchangeError};
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What makes a credential another one: digest of subject token, caller, audience, scopes, and the certificate it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// Digests the parts, each with its length, so that no two lists of parts read the same.
    pub fn new(
        subject: Option<&str>,
        caller: &str,
        audience: &str,
        scopes: &BTreeSet<String>,
        binding: &str,
    ) -> Self {
        let mut context = Context::new(&SHA256);
        let mut part = |text: &str| {
            context.update(&text.len().to_le_bytes());
            context.update(text.as_bytes());
        };
        part(if subject.is_some() { "subject" } else { "self" });
        part(subject.unwrap_or_default());
        part(caller);
        part(audience);
        part(binding);
        scopes.iter().for_each(|scope| part(scope));
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

/// A place for one credential; its lock is held while it is fetched, so that others wait for the same answer.
type Slot = Arc<tokio::sync::Mutex<Option<Credential>>>;

/// The cache.
#[derive(Debug)]
pub struct Cache {
    slots: Mutex<HashMap<Key, Slot>>,
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
    ) -> Result<Credential, ExchangeError> {
        let slot = self.slot(key, now);
        let mut kept = slot.lock().await;
        if let Some(credential) = kept.as_ref().filter(|c| usable(c, now)) {
            return Ok(credential.clone());
        }
        let credential = fresh().await?;
        *kept = Some(credential.clone());
        Ok(credential)
    }

    fn slot(&self, key: Key, now: SystemTime) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= self.max && !slots.contains_key(&key) {
            slots.retain(|_, slot| {
                slot.try_lock().map_or(true, |kept| kept.as_ref().is_some_and(|c| usable(c, now)))
            });
            if slots.len() >= self.max {
                slots.clear(); // Rather a burst of exchanges than a cache that grows.
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

fn usable(credential: &Credential, now: SystemTime) -> bool {
    now + LAST < credential.expires_at
}
