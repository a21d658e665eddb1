//! Lines of what waits, one for each URL: done one after the other, in the order in which it came. No line waits for
//! another, and what panics ends alone. All of it takes places, which are counted in one number for all and one for each
//! owner; a place is given back when what has it is let go of, however that comes about.

use crate::digest::Digest;
use crate::tasks::Owner;
use futures_util::FutureExt;
use prometheus::IntGauge;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What waits in a line.
pub(super) trait Errand: Send + 'static {
    /// How it ended.
    type End: Send;

    /// Does it.
    fn done(&mut self) -> impl Future<Output = Self::End> + Send;

    /// Notes how it ended. None: it panicked.
    fn ended(&self, end: Option<Self::End>);
}

/// There is no place for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The lines.
#[derive(Debug)]
pub(super) struct Lines<T> {
    /// By the URL that it came to. A URL is there while something of it is under way.
    waiting: Mutex<HashMap<Digest, VecDeque<(T, Place)>>>,
    places: Arc<Places>,
}

/// The share of all places that may wait at one URL.
const URL_SHARE: usize = 8;
/// The share that one owner may have: whose targets don't answer must not keep others' events out.
const OWNER_SHARE: usize = 4;

#[derive(Debug)]
struct Places {
    most: usize,
    taken: watch::Sender<Taken>,
    /// Shows how many are.
    gauge: IntGauge,
}

/// The places of what waits or is under way.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<Owner, usize>,
}

/// One place of an owner's.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    owner: Owner,
}

impl<T: Errand> Lines<T> {
    /// With nothing in them.
    pub(super) fn new(most: usize, gauge: IntGauge) -> Self {
        let places = Places { most, taken: watch::Sender::default(), gauge };
        Self { waiting: Mutex::default(), places: Arc::new(places) }
    }

    /// Takes something of an owner's up that came to a URL, by the URL's digest.
    ///
    /// # Errors
    /// [`Full`]; nothing of it is kept.
    pub(super) fn put(self: &Arc<Self>, url: Digest, owner: &Owner, errand: T) -> Result<(), Full> {
        let mut waiting = self.waiting();
        let waits = waiting.get(&url).map(VecDeque::len);
        if waits.is_some_and(|waits| waits >= share(self.places.most, URL_SHARE)) {
            return Err(Full);
        }
        let place = Place::take(&self.places, owner).ok_or(Full)?;
        waiting.entry(url).or_default().push_back((errand, place));
        if waits.is_none() {
            tokio::spawn(Arc::clone(self).work(url));
        }
        Ok(())
    }

    /// Waits until nothing waits or is under way.
    pub(super) async fn drained(&self) {
        let mut taken = self.places.taken.subscribe();
        let _ = taken.wait_for(|taken| taken.all == 0).await; // Its sender is ours.
    }

    /// Does what came to one URL, until nothing waits there.
    async fn work(self: Arc<Self>, url: Digest) {
        while let Some((mut errand, place)) = self.next(url) {
            let end = AssertUnwindSafe(errand.done()).catch_unwind().await;
            let _ = catch_unwind(AssertUnwindSafe(|| errand.ended(end.ok()))); // The panic's hook has told of it.
            drop(place); // Last: who waits for none may go on to stop.
        }
    }

    /// The next that came to a URL. None: the URL is let go of, under the same lock.
    fn next(&self, url: Digest) -> Option<(T, Place)> {
        let mut waiting = self.waiting();
        let next = waiting.get_mut(&url).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(&url);
        }
        next
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Digest, VecDeque<(T, Place)>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of all places, but one at the least.
fn share(most: usize, of: usize) -> usize {
    (most / of).max(1)
}

impl Place {
    fn take(places: &Arc<Places>, owner: &Owner) -> Option<Self> {
        let is_free = places.taken.send_if_modified(|taken| {
            let own = taken.of.get(owner).copied().unwrap_or_default();
            if taken.all >= places.most || own >= share(places.most, OWNER_SHARE) {
                return false;
            }
            taken.of.insert(owner.clone(), own + 1);
            taken.all += 1;
            places.gauge.inc();
            true
        });
        is_free.then(|| Self { places: Arc::clone(places), owner: owner.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.send_modify(|taken| {
            taken.all -= 1;
            if let Some(own) = taken.of.get_mut(&self.owner) {
                *own -= 1;
                if *own == 0 {
                    taken.of.remove(&self.owner);
                }
            }
            self.places.gauge.dec();
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use crate::digest;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::sync::oneshot;

    /// Says how it ended, once somebody has said how to end.
    struct Probe {
        name: &'static str,
        how: Option<oneshot::Receiver<&'static str>>,
        heard: UnboundedSender<(&'static str, Option<&'static str>)>,
    }

    impl Errand for Probe {
        type End = &'static str;

        async fn done(&mut self) -> &'static str {
            let how = self.how.take().unwrap().await.unwrap();
            assert_ne!(how, "panics", "as the test wants it");
            how
        }

        fn ended(&self, end: Option<&'static str>) {
            self.heard.send((self.name, end)).unwrap();
        }
    }

    struct Story {
        lines: Arc<Lines<Probe>>,
        heard: UnboundedReceiver<(&'static str, Option<&'static str>)>,
        hears: UnboundedSender<(&'static str, Option<&'static str>)>,
        gauge: IntGauge,
    }

    impl Story {
        fn of(most: usize) -> Self {
            let gauge = IntGauge::new("places", "of a test").unwrap();
            let (hears, heard) = unbounded_channel();
            Self { lines: Arc::new(Lines::new(most, gauge.clone())), heard, hears, gauge }
        }

        fn put(
            &self,
            url: &str,
            who: &str,
            name: &'static str,
        ) -> Result<oneshot::Sender<&'static str>, Full> {
            let (says, how) = oneshot::channel();
            let probe = Probe { name, how: Some(how), heard: self.hears.clone() };
            let owner = Owner { iss: None, sub: None, spiffe_id: who.to_owned() };
            self.lines.put(digest::of(url.as_bytes()), &owner, probe).map(|()| says)
        }
    }

    #[tokio::test]
    async fn what_panics_ends_alone_and_what_waits_behind_it_is_done() {
        let mut story = Story::of(64);
        let first = story.put("a", "clerk", "first").unwrap();
        let second = story.put("a", "clerk", "second").unwrap();
        let other = story.put("b", "auditor", "other").unwrap();
        assert_eq!(story.gauge.get(), 3);
        first.send("panics").unwrap();
        assert_eq!(story.heard.recv().await, Some(("first", None)));
        second.send("well").unwrap();
        assert_eq!(story.heard.recv().await, Some(("second", Some("well"))));
        other.send("panics").unwrap();
        assert_eq!(story.heard.recv().await, Some(("other", None)));
        story.lines.drained().await;
        assert_eq!(story.gauge.get(), 0, "no place is lost");
        assert!(story.lines.places.taken.borrow().of.is_empty());
        let later = story.put("a", "clerk", "later").unwrap();
        later.send("well").unwrap();
        assert_eq!(story.heard.recv().await, Some(("later", Some("well"))), "the line goes on");
    }

    #[tokio::test]
    async fn a_url_an_owner_and_all_have_their_places_and_get_them_back() {
        let mut story = Story::of(16);
        let first = story.put("a", "clerk", "under way").unwrap();
        tokio::task::yield_now().await; // It is taken out of its line.
        let _waits = [story.put("a", "clerk", "1").unwrap(), story.put("a", "clerk", "2").unwrap()];
        assert_eq!(story.put("a", "auditor", "3").unwrap_err(), Full, "an eighth is all for one URL");
        let _other = story.put("b", "clerk", "4").unwrap();
        assert_eq!(story.put("c", "clerk", "5").unwrap_err(), Full, "a quarter is all for one owner");
        let _twin = story.put("c", "auditor", "5").unwrap();
        assert_eq!(story.gauge.get(), 5, "what was refused has no place");
        first.send("panics").unwrap();
        assert_eq!(story.heard.recv().await, Some(("under way", None)));
        while story.gauge.get() == 5 {
            tokio::task::yield_now().await;
        }
        let _again = story.put("d", "clerk", "6").unwrap();

        let story = Story::of(1);
        let _only = story.put("a", "clerk", "1").unwrap();
        assert_eq!(story.put("b", "auditor", "2").unwrap_err(), Full, "there is one place for all");
    }
}
