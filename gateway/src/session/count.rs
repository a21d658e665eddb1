//! How many sessions each owner has open through this replica: those that were opened, less those that ended.

use super::Owner;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The ends of open sessions, by owner and a hash of the sealed id; and the places of those that are being opened.
#[derive(Debug, Default)]
pub struct Counts {
    open: Mutex<HashMap<Owner, HashMap<u64, SystemTime>>>,
    reserved: AtomicU64,
}

/// A place for a session that is being opened, until it is dropped: many that begin at once don't pass the limit.
#[derive(Debug)]
pub struct Reserved<'c> {
    counts: &'c Counts,
    owner: Owner,
    key: u64,
}

/// Owners who never came back are forgotten whenever so many new ones have come.
const SWEEP_EVERY: usize = 256;

impl Counts {
    /// A place for one more, held at the latest until `ends`; none if the owner has as many as one may.
    pub fn reserve(
        &self,
        owner: Owner,
        max: usize,
        ends: SystemTime,
        now: SystemTime,
    ) -> Option<Reserved<'_>> {
        let mut all = self.open();
        if !all.contains_key(&owner) && all.len().is_multiple_of(SWEEP_EVERY) {
            all.retain(|_, open| open.values().any(|ends| *ends > now));
        }
        let open = all.entry(owner).or_default();
        open.retain(|_, ends| *ends > now);
        if open.len() >= max {
            return None;
        }
        let key = self.reserved.fetch_add(1, Ordering::Relaxed);
        open.insert(key, ends);
        Some(Reserved { counts: self, owner, key })
    }

    /// Counts one that is open, once; false if the owner has as many others as one may.
    pub fn count(
        &self,
        owner: Owner,
        sealed: &[u8],
        max: usize,
        (ends, now): (SystemTime, SystemTime),
    ) -> bool {
        let (mut all, key) = (self.open(), hash(sealed));
        let open = all.entry(owner).or_default();
        open.retain(|_, ends| *ends > now);
        if open.len() >= max && !open.contains_key(&key) {
            return false;
        }
        open.entry(key).or_insert(ends);
        true
    }

    /// Counts one less.
    pub fn remove(&self, owner: Owner, sealed: &[u8]) {
        self.forget(owner, hash(sealed));
    }

    fn forget(&self, owner: Owner, key: u64) {
        let mut all = self.open();
        if let Some(open) = all.get_mut(&owner) {
            open.remove(&key);
            if open.is_empty() {
                all.remove(&owner);
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Owner, HashMap<u64, SystemTime>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved<'_> {
    /// The session is open: its place is its own.
    pub fn opened(&self, sealed: &str, ends: SystemTime) {
        self.counts.open().entry(self.owner).or_default().insert(hash(sealed.as_bytes()), ends);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.counts.forget(self.owner, self.key);
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_counts_until_it_ends_and_for_its_owner_alone() {
        let (counts, alice, bob) = (Counts::default(), Owner([1; 32]), Owner([2; 32]));
        let place = |owner, seconds| counts.reserve(owner, 2, at(100), at(seconds));
        for (sealed, ends) in [("a", 10), ("b", 20)] {
            place(alice, 0).unwrap().opened(sealed, at(ends));
        }
        assert!(place(alice, 0).is_none());
        assert!(place(bob, 0).is_some());
        counts.remove(bob, b"a");
        counts.remove(alice, b"never");
        assert!(place(alice, 0).is_none());
        counts.remove(alice, b"a");
        assert!(place(alice, 0).is_some());
        place(alice, 0).unwrap().opened("c", at(30));
        assert!(place(alice, 19).is_none());
        assert!(place(alice, 20).is_some(), "the time of one is over");
    }

    #[test]
    fn one_that_was_opened_elsewhere_counts_once() {
        let (counts, alice) = (Counts::default(), Owner([1; 32]));
        let counted =
            |sealed: &[u8], seconds| counts.count(alice, sealed, 2, (at(seconds + 10), at(seconds)));
        assert!(counted(b"a", 0) && counted(b"a", 0) && counted(b"b", 5));
        assert!(!counted(b"c", 5) && counted(b"a", 5), "those that count go on");
        counts.remove(alice, b"a");
        assert!(counted(b"c", 5) && !counted(b"a", 5) && counted(b"a", 15));
    }

    #[test]
    fn those_that_begin_at_once_do_not_pass_the_limit() {
        let (counts, alice) = (Counts::default(), Owner([1; 32]));
        let place = || counts.reserve(alice, 2, at(100), at(0));
        let (one, other) = (place(), place());
        assert!(one.is_some() && other.is_some() && place().is_none());
        drop(one); // The server opened none.
        assert!(place().is_some());
    }
}
