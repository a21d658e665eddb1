//! The sessions that servers have begun for a 2025 session of the gateway's own. They are sessions like any other, sealed
//! at `/mcp/<server>` for the same owner; only which of them belong together is remembered, by this replica. Another one
//! begins its own.

use super::part::Unheard;
use super::to::Begun;
use super::{Front, OneUrlError};
use crate::digest::{self, Digest};
use futures_util::future::join_all;
use parking_lot::Mutex;
use protocol::mcp::Version;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::OnceCell;

/// By the digest of the session's id as its client knows it.
#[derive(Debug, Default)]
pub struct Opened(Mutex<HashMap<Digest, Servers>>);

#[derive(Debug)]
struct Servers {
    ends: SystemTime,
    by_name: BTreeMap<String, Arc<OnceCell<Begun>>>,
}

/// Those that nobody ended are forgotten whenever so many new ones have come.
const SWEEP_EVERY: usize = 256;

impl Opened {
    /// Where a server's session is kept, or will be.
    fn cell(&self, shown: &str, server: &str, ends: SystemTime, now: SystemTime) -> Arc<OnceCell<Begun>> {
        let mut all = self.0.lock();
        let key = digest::of(shown.as_bytes());
        if !all.contains_key(&key) && all.len().is_multiple_of(SWEEP_EVERY) {
            all.retain(|_, servers| servers.ends > now);
        }
        let servers = all.entry(key).or_insert_with(|| Servers { ends, by_name: BTreeMap::new() });
        Arc::clone(servers.by_name.entry(server.to_owned()).or_default())
    }

    /// A server's session, if it has begun.
    pub(super) fn known(&self, shown: &str, server: &str) -> Option<Begun> {
        self.0.lock().get(&digest::of(shown.as_bytes()))?.by_name.get(server)?.get().cloned()
    }

    /// Forgets a server's session; the next call begins another.
    pub(super) fn forget(&self, shown: &str, server: &str) {
        if let Some(servers) = self.0.lock().get_mut(&digest::of(shown.as_bytes())) {
            servers.by_name.remove(server);
        }
    }

    /// Forgets all of them, and gives those that had begun.
    fn take(&self, shown: &str) -> Vec<(String, Begun)> {
        let taken = self.0.lock().remove(&digest::of(shown.as_bytes()));
        let servers = taken.into_iter().flat_map(|servers| servers.by_name);
        servers.filter_map(|(name, cell)| Some((name, cell.get()?.clone()))).collect()
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
        shown: &str,
        server: &str,
        version: Version,
    ) -> Result<Option<Begun>, OneUrlError> {
        match self.begun(shown, server, version).await {
            Ok(begun) => Ok(Some(begun)),
            Err(Unheard::Denied) => Ok(None),
            Err(unheard) => Err(OneUrlError::Unopened(unheard)),
        }
    }

    /// The same for who asks a server for a list.
    pub(super) async fn begun(&self, shown: &str, server: &str, version: Version) -> Result<Begun, Unheard> {
        let ends = self.now + self.gateway.limits.session_ttl_max;
        let cell = self.gateway.opened.cell(shown, server, ends, self.now);
        cell.get_or_try_init(|| Box::pin(self.begin(server, version))).await.cloned()
    }

    /// Ends the servers' sessions with this one.
    pub(super) async fn close(&self, shown: &str) {
        let servers = self.gateway.opened.take(shown);
        let ending = join_all(servers.iter().map(|(server, begun)| Box::pin(self.end(server, begun))));
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

    #[test]
    fn sessions_belong_to_one_and_are_forgotten_with_it() {
        let opened = Opened::default();
        let begun = Begun { session: None, version: HeaderValue::from_static("2025-11-25") };
        opened.cell("a", "s3", at(10), at(0)).set(begun.clone()).unwrap();
        opened.cell("b", "s3", at(10), at(0)).set(begun).unwrap();
        assert!(opened.known("a", "s3").is_some() && opened.known("b", "units").is_none());
        assert!(opened.cell("a", "units", at(10), at(0)).get().is_none());
        opened.forget("a", "s3");
        assert!(opened.cell("a", "s3", at(10), at(0)).get().is_none());
        let names: Vec<String> = opened.take("b").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["s3"]);
        assert!(opened.take("b").is_empty());
    }

    #[test]
    fn what_nobody_ended_is_forgotten_in_time() {
        let opened = Opened::default();
        for n in 0..SWEEP_EVERY {
            opened.cell(&n.to_string(), "s3", at(10), at(0));
        }
        opened.cell("late", "s3", at(30), at(20));
        assert_eq!(opened.0.lock().len(), 1);
    }
}
