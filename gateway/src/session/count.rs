//! How many sessions each owner has open through this replica: those that were opened, less those that ended.

use super::Owner;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The ends of open sessions, by owner and a hash of the sealed id.
#[derive(Debug, Default)]
pub struct Counts(Mutex<HashMap<Owner, HashMap<u64, SystemTime>>>);

/// Owners who never came back are forgotten whenever so many new ones have come.
const SWEEP_EVERY: usize = 256;

impl Counts {
    /// Sessions of an owner whose time is not over.
    pub fn of(&self, owner: Owner, now: SystemTime) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = all.get_mut(&owner) else { return 0 };
        open.retain(|_, ends| *ends > now);
        let count = open.len();
        if count == 0 {
            all.remove(&owner);
        }
        count
    }

    /// Counts one more.
    pub fn add(&self, owner: Owner, sealed: &str, ends: SystemTime, now: SystemTime) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&owner) && all.len().is_multiple_of(SWEEP_EVERY) {
            all.retain(|_, open| open.values().any(|ends| *ends > now));
        }
        all.entry(owner).or_default().insert(hash(sealed.as_bytes()), ends);
    }

    /// Counts one less.
    pub fn remove(&self, owner: Owner, sealed: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&owner) {
            open.remove(&hash(sealed));
            if open.is_empty() {
                all.remove(&owner);
            }
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_session_counts_until_it_ends_and_for_its_owner_alone() {
        let (counts, alice, bob) = (Counts::default(), Owner([1; 32]), Owner([2; 32]));
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        counts.add(alice, "a", at(10), at(0));
        counts.add(alice, "b", at(20), at(0));
        assert_eq!((counts.of(alice, at(0)), counts.of(bob, at(0))), (2, 0));
        counts.remove(bob, b"a");
        counts.remove(alice, b"a");
        counts.remove(alice, b"never");
        assert_eq!(counts.of(alice, at(0)), 1);
        assert_eq!(counts.of(alice, at(20)), 0, "its time is over");
    }
}
