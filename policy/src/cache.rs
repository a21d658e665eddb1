//! Answers that were given before, by the digest of all that they rest on. Bounded; an answer ends with the token and the
//! SVID that it was given under, and with the policy set, which the cache is a part of.
//!
//! There are two generations in each shard: when the young one is full it becomes the old one, and what nobody has asked
//! for since then goes. So no list of uses has to be kept, and a hit costs one look-up under a lock that few others want.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::fingerprint::Fingerprint;

/// Locks, so that threads seldom wait for one another.
const SHARDS: usize = 32;

/// Answers of one kind.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    shards: Vec<Mutex<Shard<T>>>,
    /// Answers in one generation of one shard.
    most: usize,
}

#[derive(Debug)]
struct Shard<T> {
    young: HashMap<Fingerprint, Kept<T>>,
    old: HashMap<Fingerprint, Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    answer: T,
    ends: SystemTime,
}

impl<T: Clone> Cache<T> {
    /// For so many answers at most. Fewer than two for each shard are none at all.
    pub(crate) fn new(answers_max: usize) -> Self {
        let shard = || Mutex::new(Shard { young: HashMap::new(), old: HashMap::new() });
        let most = answers_max.checked_div(SHARDS.saturating_mul(2)).unwrap_or_default();
        let shards = if most == 0 { 0 } else { SHARDS };
        Self { shards: (0..shards).map(|_| shard()).collect(), most }
    }

    /// Whether anything is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        !self.shards.is_empty()
    }

    /// The answer that was given, if it still holds.
    pub(crate) fn get(&self, key: &Fingerprint, now: SystemTime) -> Option<T> {
        let mut shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match shard.young.get(key) {
            Some(kept) => (now < kept.ends).then(|| kept.answer.clone()),
            None => {
                let kept = shard.old.remove(key).filter(|kept| now < kept.ends)?;
                let answer = kept.answer.clone();
                shard.insert(*key, kept, self.most);
                Some(answer)
            }
        };
        if kept.is_none() {
            shard.young.remove(key);
        }
        kept
    }

    /// Keeps an answer until a time.
    pub(crate) fn put(&self, key: Fingerprint, answer: T, ends: SystemTime) {
        if let Some(shard) = self.shard(&key) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.insert(key, Kept { answer, ends }, self.most);
        }
    }

    /// A digest's bits are as good as random.
    fn shard(&self, key: &Fingerprint) -> Option<&Mutex<Shard<T>>> {
        let number = usize::from(*key.first()?).checked_rem(self.shards.len())?;
        self.shards.get(number)
    }
}

impl<T> Shard<T> {
    fn insert(&mut self, key: Fingerprint, kept: Kept<T>, most: usize) {
        if self.young.len() >= most && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Cache, SHARDS};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn later(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_holds_until_it_ends() {
        let cache = Cache::new(1_000);
        cache.put([1; 32], "yes", later(10));
        assert_eq!(cache.get(&[1; 32], later(9)), Some("yes"));
        assert_eq!(cache.get(&[2; 32], later(9)), None);
        assert_eq!(cache.get(&[1; 32], later(10)), None);
        assert_eq!(cache.get(&[1; 32], later(9)), None, "what has ended is gone");
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_goes() {
        let cache = Cache::new(SHARDS * 2 * 10);
        let key = |number: u8| {
            let mut key = [0; 32];
            key[31] = number;
            key
        };
        (0..100).for_each(|number| {
            cache.put(key(number), number, later(1));
            assert_eq!(cache.get(&key(0), NOW), Some(0));
        });
        let kept = (0..100).filter(|number| cache.get(&key(*number), NOW).is_some()).count();
        assert!((2..=20).contains(&kept), "{kept}");
        assert_eq!(cache.get(&key(1), NOW), None);
    }

    #[test]
    fn none_is_kept_where_none_may_be() {
        let cache = Cache::new(0);
        cache.put([1; 32], 1, later(1));
        assert!(!cache.is_on() && cache.get(&[1; 32], NOW).is_none());
    }
}
