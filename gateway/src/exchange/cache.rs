//! Credentials kept until shortly before they end, and refusals for a moment; one exchange at a time for each of them.

use super::{Credential, ExchangeError, Scopes};
use crate::digest::Digest;
use arc_swap::ArcSwapOption;
use hashbrown::{Equivalent, HashMap};
use parking_lot::Mutex;
use std::hash::{Hash, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// What becomes of an exchange, for all who wait for it.
pub type Outcome = Result<Arc<Credential>, Arc<ExchangeError>>;

/// What makes a credential another one: digest (SHA-256) of the subject token, caller, audience, scopes, and the certificate
/// that it is bound to. All of it is compared, and nothing copied to find one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    subject: Option<&'a Digest>,
    caller: &'a str,
    audience: &'a str,
    scopes: Words<'a>,
    binding: &'a Digest,
}

/// The scopes as they are asked for. Written in two ways, the same scopes are two keys: an exchange more, never one less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Words<'a> {
    Listed(&'a [String]),
    Default(&'a str, &'a str),
}

/// The same, kept.
#[derive(Debug)]
struct Known {
    subject: Option<Digest>,
    caller: Box<str>,
    audience: Box<str>,
    scopes: KnownWords,
    binding: Digest,
}

#[derive(Debug)]
enum KnownWords {
    Listed(Box<[String]>),
    Default(Box<str>, Box<str>),
}

impl<'a> Key<'a> {
    /// The parts, borrowed from whoever asks.
    pub fn new(
        subject: Option<&'a Digest>,
        caller: &'a str,
        audience: &'a str,
        scopes: &Scopes<'a>,
        binding: &'a Digest,
    ) -> Self {
        let scopes = match *scopes {
            Scopes::Listed(scopes) => Words::Listed(scopes),
            Scopes::Default { server, operation } => Words::Default(server, operation),
        };
        Self { subject, caller, audience, scopes, binding }
    }

    fn known(&self) -> Known {
        Known {
            subject: self.subject.copied(),
            caller: self.caller.into(),
            audience: self.audience.into(),
            scopes: match self.scopes {
                Words::Listed(scopes) => KnownWords::Listed(scopes.into()),
                Words::Default(server, operation) => KnownWords::Default(server.into(), operation.into()),
            },
            binding: *self.binding,
        }
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Known {}

impl Equivalent<Known> for Key<'_> {
    fn equivalent(&self, known: &Known) -> bool {
        *self == known.key()
    }
}

impl Known {
    fn key(&self) -> Key<'_> {
        let scopes = match &self.scopes {
            KnownWords::Listed(scopes) => Words::Listed(scopes),
            KnownWords::Default(server, operation) => Words::Default(server, operation),
        };
        Key {
            subject: self.subject.as_ref(),
            caller: &self.caller,
            audience: &self.audience,
            scopes,
            binding: &self.binding,
        }
    }
}

/// A place for one credential.
#[derive(Debug, Default)]
pub struct Slot {
    kept: ArcSwapOption<Kept>,
    /// The exchange under way. It is a task of its own: a caller that hangs up doesn't take it along.
    flight: Mutex<Option<watch::Receiver<Option<Outcome>>>>,
}

/// What an exchange has left.
#[derive(Debug)]
enum Kept {
    Credential { credential: Arc<Credential>, renew_at: SystemTime },
    Refusal { error: Arc<ExchangeError>, at: SystemTime },
}

/// What there is for a key.
#[derive(Debug)]
pub enum Found {
    /// A credential.
    Kept(Arc<Credential>),
    /// A credential that should be renewed.
    Aging(Arc<Credential>, Arc<Slot>),
    /// A refusal that is still fresh.
    Refused(Arc<ExchangeError>),
    /// Neither.
    Nothing(Arc<Slot>),
}

/// The cache.
#[derive(Debug)]
pub struct Cache {
    slots: Mutex<HashMap<Known, Arc<Slot>, RandomState>>,
    max: usize,
    refusals_kept: Duration,
}

/// A credential is not used in its last seconds: the upstream's clock may be ahead.
const LAST: Duration = Duration::from_secs(15);
/// How long after renewing has failed it is tried again.
const RENEW_PAUSE: Duration = Duration::from_secs(5);

impl Cache {
    /// An empty cache of at most `max` credentials, and of refusals for so long.
    pub fn new(max: usize, refusals_kept: Duration) -> Self {
        Self { slots: Mutex::default(), max, refusals_kept }
    }

    /// What there is for a key.
    pub fn find(&self, key: Key<'_>, now: SystemTime) -> Found {
        let slot = self.slot(&key, now);
        match slot.kept.load().as_deref() {
            Some(Kept::Credential { credential, renew_at }) if now + LAST < credential.expires_at => {
                if now < *renew_at {
                    return Found::Kept(Arc::clone(credential));
                }
                let credential = Arc::clone(credential);
                return Found::Aging(credential, Arc::clone(&slot));
            }
            Some(Kept::Refusal { error, at }) if now < *at + self.refusals_kept => {
                return Found::Refused(Arc::clone(error));
            }
            _ => {}
        }
        Found::Nothing(slot)
    }

    fn slot(&self, key: &Key<'_>, now: SystemTime) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.max {
            slots.retain(|_, slot| slot.is_of_use(now, self.refusals_kept));
            self.make_room(&mut slots);
        }
        Arc::clone(slots.entry(key.known()).or_default())
    }

    /// Forgets some of a cache that is full of what is of use, an eighth at a time: which ones, chance says. What is being
    /// asked for goes last.
    fn make_room(&self, slots: &mut HashMap<Known, Arc<Slot>, RandomState>) {
        if slots.len() < self.max {
            return;
        }
        let mut excess = (slots.len() + 1 - self.max).max(self.max / 8);
        for under_way in [false, true] {
            slots.retain(|_, slot| {
                let goes = excess > 0 && (under_way || slot.flight.lock().is_none());
                excess -= usize::from(goes);
                !goes
            });
        }
    }
}

impl Slot {
    fn is_of_use(&self, now: SystemTime, refusals_kept: Duration) -> bool {
        match self.kept.load().as_deref() {
            Some(Kept::Credential { credential, .. }) if now + LAST < credential.expires_at => true,
            Some(Kept::Refusal { at, .. }) if now < *at + refusals_kept => true,
            _ => self.flight.lock().is_some(),
        }
    }

    /// Begins an exchange, unless one is under way; gives that which is. `fresh` is called in the first case alone.
    pub fn begin<F>(
        self: &Arc<Self>,
        now: SystemTime,
        fresh: impl FnOnce() -> F,
    ) -> watch::Receiver<Option<Outcome>>
    where
        F: Future<Output = Result<Credential, ExchangeError>> + Send + 'static,
    {
        let mut flight = self.flight.lock();
        // One whose sender is gone without a word was dropped with its runtime.
        if let Some(under_way) = flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return under_way.clone();
        }
        let (tell, told) = watch::channel(None);
        *flight = Some(told.clone());
        let (slot, fresh) = (Arc::clone(self), fresh());
        tokio::spawn(async move {
            let outcome = fresh.await.map(Arc::new).map_err(Arc::new);
            slot.keep(&outcome, now);
            *slot.flight.lock() = None; // After what it left can be found: whoever comes now needs no exchange.
            tell.send_replace(Some(outcome));
        });
        told
    }

    /// What becomes of the exchange under way, or of a new one.
    ///
    /// # Errors
    /// Those of `fresh`.
    pub async fn awaited<F>(self: Arc<Self>, now: SystemTime, fresh: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Result<Credential, ExchangeError>> + Send + 'static,
    {
        let mut told = self.begin(now, fresh);
        let outcome = told.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        outcome.unwrap_or_else(|| Err(Arc::new(ExchangeError::Lost)))
    }

    fn keep(&self, outcome: &Outcome, now: SystemTime) {
        let old = self.kept.load_full();
        let kept = match (outcome, old.as_deref()) {
            (Ok(credential), _) => {
                let credential = Arc::clone(credential);
                Kept::Credential { renew_at: renew_at(&credential, now), credential }
            }
            // What was issued holds until it ends, whatever became of renewing it.
            (Err(_), Some(Kept::Credential { credential, .. })) if now + LAST < credential.expires_at => {
                Kept::Credential { credential: Arc::clone(credential), renew_at: now + RENEW_PAUSE }
            }
            (Err(error), _) if matches!(**error, ExchangeError::Refused { .. }) => {
                Kept::Refusal { error: Arc::clone(error), at: now }
            }
            (Err(_), _) => return,
        };
        self.kept.store(Some(Arc::new(kept)));
    }
}

/// When to renew: in the last fifth of the time that it is used, and not all at the same moment.
fn renew_at(credential: &Credential, now: SystemTime) -> SystemTime {
    let used = credential.expires_at.duration_since(now).unwrap_or_default().saturating_sub(LAST);
    let mut random = [0_u8];
    let _ = aws_lc_rs::rand::fill(&mut random); // Without randomness they are merely renewed together.
    now + used * 4 / 5 + used / 10 * u32::from(random[0]) / 255
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::super::{Party, Refused};
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::UNIX_EPOCH;
    use tokens::Secret;

    /// A cache, and a token service that counts and says what it is told to.
    struct Asking {
        cache: Cache,
        exchanges: AtomicUsize,
    }

    const REFUSALS_KEPT: u64 = 5;

    fn asking(max: usize) -> Arc<Asking> {
        let cache = Cache::new(max, Duration::from_secs(REFUSALS_KEPT));
        Arc::new(Asking { cache, exchanges: AtomicUsize::new(0) })
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn key(subject: &str) -> Key<'_> {
        Key::new(None, subject, "audience", &Scopes::Listed(&[]), &[0; 32])
    }

    fn refusal() -> ExchangeError {
        ExchangeError::Refused { by: Party::TokenService, why: Refused::Grant, code: "invalid_grant".into() }
    }

    /// A credential that lives for 300 seconds, or what a subject's name says.
    fn answer(subject: &str, now: u64) -> Result<Credential, ExchangeError> {
        match subject {
            "refused" => Err(refusal()),
            "unreachable" => Err(ExchangeError::Service(crate::https::HttpsError::Timeout)),
            _ => Ok(Credential {
                bearer: Credential::bearer(&Secret::new("t")).unwrap(),
                audience: "audience".into(),
                scopes: BTreeSet::new(),
                expires_at: at(now + 300),
                id: None,
                actor_recorded: false,
            }),
        }
    }

    impl Asking {
        async fn get(self: &Arc<Self>, subject: &'static str, now: u64) -> Outcome {
            self.told(subject, now, move || answer(subject, now)).await
        }

        /// Asks for a subject's credential; where that takes an exchange, it ends so.
        async fn told(
            self: &Arc<Self>,
            subject: &str,
            now: u64,
            answer: impl FnOnce() -> Result<Credential, ExchangeError> + Send + 'static,
        ) -> Outcome {
            let counts = Arc::clone(self);
            let fresh = || async move {
                tokio::task::yield_now().await;
                counts.exchanges.fetch_add(1, Ordering::SeqCst);
                answer()
            };
            match self.cache.find(key(subject), at(now)) {
                Found::Kept(credential) => Ok(credential),
                Found::Aging(credential, slot) => {
                    let mut told = slot.begin(at(now), fresh);
                    told.wait_for(Option::is_some).await.unwrap();
                    Ok(credential)
                }
                Found::Refused(error) => Err(error),
                Found::Nothing(slot) => slot.awaited(at(now), fresh).await,
            }
        }

        fn exchanges(&self) -> usize {
            self.exchanges.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_make_one_exchange_however_it_ends() {
        for (subject, succeeds) in [("alice", true), ("refused", false), ("unreachable", false)] {
            let asking = asking(10);
            let askers: Vec<_> = (0..1000)
                .map(|_| {
                    let asking = Arc::clone(&asking);
                    tokio::spawn(async move { asking.get(subject, 0).await.is_ok() })
                })
                .collect();
            for asker in askers {
                assert_eq!(asker.await.unwrap(), succeeds);
            }
            assert_eq!(asking.exchanges(), 1, "{subject}");
        }
    }

    #[tokio::test]
    async fn a_credential_is_not_used_in_its_last_seconds() {
        for (now, used) in [(284, true), (285, false)] {
            let asking = asking(10);
            let first = asking.get("alice", 0).await.unwrap();
            let then = asking.get("alice", now).await.unwrap();
            assert_eq!(Arc::ptr_eq(&first, &then), used, "at {now}");
        }
    }

    #[tokio::test]
    async fn a_credential_is_renewed_ahead_of_its_end_while_it_is_still_served() {
        let asking = asking(10);
        let first = asking.get("alice", 0).await.unwrap();
        asking.get("alice", 227).await.unwrap();
        assert_eq!(asking.exchanges(), 1, "not before four fifths of 285 s");
        let served = asking.get("alice", 257).await.unwrap();
        assert!(Arc::ptr_eq(&first, &served));
        assert_eq!(asking.exchanges(), 2, "at nine tenths at the latest");
        let renewed = asking.get("alice", 290).await.unwrap();
        assert_eq!(renewed.expires_at, at(557));
        assert_eq!(asking.exchanges(), 2);
    }

    #[tokio::test]
    async fn a_credential_that_cannot_be_renewed_is_served_until_its_end_and_no_longer() {
        let asking = asking(10);
        let first = asking.get("alice", 0).await.unwrap();
        for (now, exchanges) in [(257, 2), (258, 2), (262, 3), (284, 4)] {
            let served = asking.told("alice", now, || Err(refusal())).await.unwrap();
            assert!(Arc::ptr_eq(&first, &served), "at {now}");
            assert_eq!(asking.exchanges(), exchanges, "at {now}");
        }
        assert!(asking.told("alice", 285, || Err(refusal())).await.is_err());
    }

    #[tokio::test]
    async fn a_refusal_is_kept_for_a_moment_and_a_failure_is_not() {
        let asking = asking(10);
        for (now, exchanges) in [(0, 1), (REFUSALS_KEPT - 1, 1), (REFUSALS_KEPT, 2)] {
            assert!(asking.get("refused", now).await.is_err());
            assert_eq!(asking.exchanges(), exchanges, "at {now}");
        }
        for exchanges in [3, 4] {
            assert!(asking.get("unreachable", 0).await.is_err());
            assert_eq!(asking.exchanges(), exchanges);
        }
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_does_not_take_the_exchange_along() {
        let asking = asking(10);
        let counts = Arc::clone(&asking);
        let Found::Nothing(slot) = asking.cache.find(key("alice"), at(0)) else { panic!("an empty cache") };
        drop(slot.begin(at(0), || async move {
            counts.exchanges.fetch_add(1, Ordering::SeqCst);
            answer("alice", 0)
        }));
        asking.get("alice", 0).await.unwrap();
        assert_eq!(asking.exchanges(), 1);
    }

    #[tokio::test]
    async fn the_cache_does_not_grow() {
        let asking = asking(2);
        for subject in ["alice", "bob", "carol", "refused", "unreachable"] {
            let _ = asking.get(subject, 0).await;
            assert!(asking.cache.slots.lock().len() <= 2);
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_not_all_forgotten_for_one_more() {
        let asking = asking(16);
        let subjects = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
        for subject in subjects {
            asking.get(subject, 0).await.unwrap();
        }
        asking.get("one more", 0).await.unwrap();
        let kept = subjects.iter().filter(|subject| asking.cache.slots.lock().contains_key(&key(subject)));
        assert_eq!(kept.count(), 14);
    }

    #[test]
    fn parts_are_not_run_together() {
        fn key<'a>(
            subject: Option<&'a Digest>,
            caller: &'a str,
            audience: &'a str,
            scopes: Scopes<'a>,
        ) -> Key<'a> {
            Key::new(subject, caller, audience, &scopes, &[0; 32])
        }
        let (one, two) = (["a b".to_owned()], ["a".to_owned(), "b".to_owned()]);
        let none = Scopes::Listed(&[]);
        assert_ne!(key(None, "ab", "c", none), key(None, "a", "bc", none));
        assert_ne!(key(None, "c", "d", none), key(Some(&[0; 32]), "c", "d", none));
        assert_ne!(key(None, "c", "d", Scopes::Listed(&one)), key(None, "c", "d", Scopes::Listed(&two)));
        let named = |server, operation| key(None, "c", "d", Scopes::Default { server, operation });
        assert_ne!(named("ab", "c"), named("a", "bc"));
    }
}
