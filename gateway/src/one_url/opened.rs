//! The sessions that servers have begun for a 2025 session of the gateway's own. They are sessions like any other, sealed
//! at `/mcp/<server>` for the same owner; only which of them belong together is remembered, by this replica. Another one
//! begins its own.

use super::part::Unheard;
use super::to::Begun;
use super::{Entered, Front, OneUrlError};
use crate::digest::{self, Digest};
use crate::session::Owner;
use crate::state::Gateway;
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::OnceCell;

/// By the digest of the session's id as its client knows it.
#[derive(Debug, Default)]
pub struct Opened(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    open: HashMap<Digest, Servers>,
    /// Those that their clients have ended, though their seals would hold on.
    ended: HashSet<Digest>,
    /// The same, the oldest first.
    ended_in_order: VecDeque<Digest>,
}

#[derive(Debug)]
struct Servers {
    ends: SystemTime,
    by_name: BTreeMap<String, Arc<OnceCell<Begun>>>,
    /// Those that have begun while nobody waited any more; they end with this one.
    lost: Vec<(String, Begun)>,
}

/// Those that nobody ended are forgotten whenever so many new ones have come.
const SWEEP_EVERY: usize = 256;
/// How many ended ones are remembered.
const ENDED_MAX: usize = 65_536;
/// How many of one are kept for its end that nobody has.
const LOST_MAX: usize = 64;

impl Opened {
    /// Where a server's session is kept, or will be; nowhere once the client's has ended.
    fn cell(
        &self,
        shown: &str,
        server: &str,
        ends: SystemTime,
        now: SystemTime,
    ) -> Option<Arc<OnceCell<Begun>>> {
        let (mut all, key) = (self.0.lock(), key(shown));
        if all.ended.contains(&key) {
            return None;
        }
        let open = &mut all.open;
        if !open.contains_key(&key) && open.len().is_multiple_of(SWEEP_EVERY) {
            open.retain(|_, servers| servers.ends > now);
        }
        let none = || Servers { ends, by_name: BTreeMap::new(), lost: Vec::new() };
        let servers = open.entry(key).or_insert_with(none);
        Some(Arc::clone(servers.by_name.entry(server.to_owned()).or_default()))
    }

    /// A server's session, if it has begun.
    pub(super) fn known(&self, shown: &str, server: &str) -> Option<Begun> {
        self.0.lock().open.get(&key(shown))?.by_name.get(server)?.get().cloned()
    }

    /// Whether its client has ended it, lately and at this replica.
    pub(super) fn is_ended(&self, shown: &str) -> bool {
        self.0.lock().ended.contains(&key(shown))
    }

    /// Forgets a server's session, if it is this one; the next call begins another.
    fn forget(&self, shown: &str, server: &str, begun: &Begun) {
        if let Some(servers) = self.0.lock().open.get_mut(&key(shown)) {
            let is_this =
                |cell: &Arc<OnceCell<Begun>>| cell.get().is_some_and(|b| b.session == begun.session);
            if servers.by_name.get(server).is_some_and(is_this) {
                servers.by_name.remove(server);
            }
        }
    }

    /// Keeps a server's session that nobody has, for the end of the client's.
    fn lost(&self, shown: &str, server: &str, begun: Begun) {
        if let Some(servers) = self.0.lock().open.get_mut(&key(shown))
            && servers.lost.len() < LOST_MAX
        {
            servers.lost.push((server.to_owned(), begun));
        }
    }

    /// Ends it, and gives those behind it that had begun.
    fn end(&self, shown: &str) -> Vec<(String, Begun)> {
        let (mut all, key) = (self.0.lock(), key(shown));
        if all.ended.insert(key) {
            all.ended_in_order.push_back(key);
        }
        if all.ended.len() > ENDED_MAX
            && let Some(oldest) = all.ended_in_order.pop_front()
        {
            all.ended.remove(&oldest);
        }
        let Some(servers) = all.open.remove(&key) else { return Vec::new() };
        let begun = servers.by_name.into_iter().filter_map(|(name, cell)| Some((name, cell.get()?.clone())));
        begun.chain(servers.lost).collect()
    }
}

fn key(shown: &str) -> Digest {
    digest::of(shown.as_bytes())
}

/// A session that a server has accepted, until it can be used. Dropped before that, it counts no more, and ends at the
/// latest with the client's.
pub(super) struct Beginning<'f> {
    gateway: &'f Gateway,
    owner: Owner,
    shown: &'f str,
    server: &'f str,
    pub(super) begun: Begun,
    over: Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Not,
    Kept,
    Ended,
}

impl Beginning<'_> {
    /// It can be used.
    pub(super) fn kept(mut self) -> Begun {
        self.over = Over::Kept;
        self.begun.clone()
    }

    /// Its server has been told that it is over.
    pub(super) fn ended(mut self) {
        self.over = Over::Ended;
    }
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        let Some(id) = self.begun.session.as_ref().filter(|_| self.over != Over::Kept) else { return };
        self.gateway.sessions.remove(self.owner, id.as_bytes());
        if self.over == Over::Not {
            self.gateway.opened.lost(self.shown, self.server, self.begun.clone());
        }
    }
}

impl Front<'_> {
    /// The session that a server has begun for this one, or begins now. None: policy lets this caller begin none there, and
    /// what is called without one is the server's to say.
    ///
    /// # Errors
    /// [`OneUrlError::Unopened`].
    pub(super) async fn opened(
        &self,
        entered: &Entered<'_>,
        shown: &str,
        server: &str,
    ) -> Result<Option<Begun>, OneUrlError> {
        let limit = self.gateway.limits.merged_list_timeout;
        match tokio::time::timeout(limit, self.begun(entered, shown, server)).await {
            Ok(Ok(begun)) => Ok(Some(begun)),
            Ok(Err(Unheard::Denied)) => Ok(None),
            Ok(Err(unheard)) => Err(OneUrlError::Unopened(unheard)),
            Err(_) => Err(OneUrlError::Unopened(Unheard::Timeout)),
        }
    }

    /// The same for who asks a server for a list, and has a time limit of its own.
    pub(super) async fn begun(
        &self,
        entered: &Entered<'_>,
        shown: &str,
        server: &str,
    ) -> Result<Begun, Unheard> {
        let ends = self.now + self.gateway.limits.session_ttl_max;
        let cell = self.gateway.opened.cell(shown, server, ends, self.now).ok_or(Unheard::Gone)?;
        let begun = cell.get_or_try_init(|| Box::pin(self.begin(entered, shown, server))).await?.clone();
        if self.gateway.opened.is_ended(shown) {
            self.forget(entered, shown, server, &begun); // The client's has ended meanwhile, and this one was not there yet.
            self.end(shown, server, &begun).await;
            return Err(Unheard::Gone);
        }
        Ok(begun)
    }

    /// What a server has just accepted, unless it has no sessions.
    pub(super) fn beginning<'f>(
        &'f self,
        entered: &Entered<'_>,
        (shown, server): (&'f str, &'f str),
        begun: Begun,
    ) -> Beginning<'f> {
        let owner = self.owner(entered);
        Beginning { gateway: self.gateway, owner, shown, server, begun, over: Over::Not }
    }

    /// Forgets a server's session that is gone: the next call begins another.
    pub(super) fn forget(&self, entered: &Entered<'_>, shown: &str, server: &str, begun: &Begun) {
        self.gateway.opened.forget(shown, server, begun);
        if let Some(id) = &begun.session {
            self.gateway.sessions.remove(self.owner(entered), id.as_bytes());
        }
    }

    /// Ends this session and the servers' behind it, whatever they say to that.
    pub(super) async fn close(&self, entered: &Entered<'_>, shown: &str) {
        let servers = self.gateway.opened.end(shown);
        for (server, begun) in &servers {
            self.forget(entered, shown, server, begun);
        }
        let ending = join_all(servers.iter().map(|(server, begun)| Box::pin(self.end(shown, server, begun))));
        let _ = tokio::time::timeout(self.gateway.limits.merged_list_timeout, ending).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;
    use http::HeaderValue;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn begun(id: &'static str) -> Begun {
        let version = HeaderValue::from_static("2025-11-25");
        Begun { session: Some(HeaderValue::from_static(id)), version }
    }

    #[test]
    fn sessions_belong_to_one_and_are_forgotten_with_it() {
        let opened = Opened::default();
        let (begun, other) = (begun("s3-1"), begun("s3-2"));
        let cell = |shown: &str, server: &str| opened.cell(shown, server, at(10), at(0)).unwrap();
        cell("a", "s3").set(begun.clone()).unwrap();
        cell("b", "s3").set(begun.clone()).unwrap();
        assert!(opened.known("a", "s3").is_some() && opened.known("b", "units").is_none());
        assert!(cell("a", "units").get().is_none());
        opened.forget("a", "s3", &other);
        assert!(opened.known("a", "s3").is_some(), "that was another one");
        opened.forget("a", "s3", &begun);
        assert!(cell("a", "s3").get().is_none());
        opened.lost("b", "units", begun);
        let names = |taken: Vec<(String, Begun)>| taken.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert!(!opened.is_ended("b"));
        assert_eq!(names(opened.end("b")), ["s3", "units"]);
        assert!(opened.end("b").is_empty() && opened.is_ended("b") && !opened.is_ended("a"));
        assert!(opened.cell("b", "s3", at(10), at(0)).is_none(), "nothing begins for it any more");
    }

    #[test]
    fn so_many_ended_ones_are_remembered() {
        let opened = Opened::default();
        for n in 0..=ENDED_MAX {
            opened.end(&n.to_string());
        }
        assert!(!opened.is_ended("0") && opened.is_ended("1") && opened.is_ended(&ENDED_MAX.to_string()));
        let all = opened.0.lock();
        assert_eq!((all.ended.len(), all.ended_in_order.len()), (ENDED_MAX, ENDED_MAX));
    }

    #[test]
    fn what_nobody_ended_is_forgotten_in_time() {
        let opened = Opened::default();
        for n in 0..SWEEP_EVERY {
            opened.cell(&n.to_string(), "s3", at(10), at(0));
        }
        opened.cell("late", "s3", at(30), at(20));
        assert_eq!(opened.0.lock().open.len(), 1);
    }
}
