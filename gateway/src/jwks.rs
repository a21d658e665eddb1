//! An issuer's keys: read from a file or fetched, kept, and read again when one is missing.
//! One fetch at a time, and no more than one in `refresh`, so that tokens with made-up key names cost the issuer nothing.
//! Those that the Workload API streams are never asked for: they are what it said last.

mod bundle;
pub mod discovery;

use crate::config::Jwks;
use crate::https::{Https, HttpsError};
use arc_swap::ArcSwapOption;
use certs::SharedSource;
use discovery::DiscoveryError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokens::{Keys, KeysError};
use tokio::sync::Mutex;
use url::Url;

/// The keys of one issuer.
#[derive(Clone, Debug)]
pub struct KeyStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    refresh: Duration,
    keys: ArcSwapOption<Read>,
    last_try: Mutex<Option<Instant>>,
}

/// Keys, and when they were read.
#[derive(Debug)]
struct Read {
    keys: Arc<Keys>,
    at: Instant,
}

#[derive(Debug)]
enum Origin {
    File(PathBuf),
    Url(Url, Https),
    Issuer(String, Https),
    /// Followed by a task of its own.
    WorkloadApi,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file can't be read.
    #[error("{path} can't be read")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server didn't give them.
    #[error("the JWK set could not be fetched")]
    Fetch(#[from] HttpsError),
    /// The issuer's metadata didn't lead to them.
    #[error("the JWK set could not be found")]
    Discovery(#[from] DiscoveryError),
    /// They are no keys.
    #[error("the JWK set can't be used")]
    Keys(#[from] KeysError),
    /// The Workload API has said none yet, or none any more.
    #[error("the SPIFFE Workload API has no JWT bundle of this trust domain")]
    NoBundle,
    /// The last try failed, and the next isn't due.
    #[error("the JWK set could not be had, and the next try is not due yet")]
    Waiting,
}

/// The longest JWK set that is read.
const JWKS_BYTES_MAX: usize = 256 * 1024;
/// How long fetching one may take, and each document that leads to it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Keys are read again after this long, so that one which the issuer withdrew is forgotten.
const KEYS_AGE_MAX: Duration = Duration::from_secs(600);
/// And are used no longer than this if they can't be.
const KEYS_STALE_MAX: Duration = Duration::from_secs(3600);

impl KeyStore {
    /// A store that has read nothing yet.
    ///
    /// # Errors
    /// [`HttpsError`] if the server's authorities can't be read.
    pub fn new(jwks: &Jwks, source: &SharedSource, clock: &certs::Clock) -> Result<Self, HttpsError> {
        let (origin, refresh) = match jwks {
            Jwks::WorkloadApi { .. } => (Origin::WorkloadApi, Duration::ZERO),
            Jwks::File { path, refresh } => (Origin::File(path.clone()), *refresh),
            Jwks::Url { url, server, refresh } => {
                (Origin::Url(url.clone(), Https::new(server, source, clock)?), *refresh)
            }
            Jwks::Discovered { issuer, server, refresh } => {
                (Origin::Issuer(issuer.clone(), Https::new(server, source, clock)?), *refresh)
            }
        };
        let (keys, last_try) = (ArcSwapOption::empty(), Mutex::new(None));
        let inner = Arc::new(Inner { origin, refresh, keys, last_try });
        if let Jwks::WorkloadApi { endpoint, trust_domain } = jwks {
            let published = certs::jwt::follow_bundle(endpoint, trust_domain);
            tokio::spawn(bundle::follow(Arc::downgrade(&inner), published));
        }
        Ok(Self(inner))
    }

    /// The keys as last read; reads them if there are none or they are old.
    ///
    /// # Errors
    /// [`JwksError`] if there are none to be had.
    pub async fn current(&self) -> Result<Arc<Keys>, JwksError> {
        match self.0.keys.load_full() {
            Some(read) if matches!(self.0.origin, Origin::WorkloadApi) => Ok(Arc::clone(&read.keys)),
            Some(read) if read.at.elapsed() < KEYS_AGE_MAX => Ok(Arc::clone(&read.keys)),
            // An issuer that is down for a while takes nobody along; one that is down for long does.
            Some(read) if read.at.elapsed() < KEYS_STALE_MAX => {
                Ok(self.refreshed().await.unwrap_or_else(|_| Arc::clone(&read.keys)))
            }
            _ => self.refreshed().await,
        }
    }

    /// Whether they were read at least once.
    pub fn has_keys(&self) -> bool {
        self.0.keys.load().is_some()
    }

    /// The keys, read anew unless that was tried within `refresh`.
    ///
    /// # Errors
    /// [`JwksError`] if there are none to be had.
    pub async fn refreshed(&self) -> Result<Arc<Keys>, JwksError> {
        if matches!(self.0.origin, Origin::WorkloadApi) {
            return self.0.last_read().ok_or(JwksError::NoBundle);
        }
        let inner = Arc::clone(&self.0);
        // A task of its own: a caller that hangs up must not take the fetch of all the others along.
        tokio::spawn(async move { inner.refreshed().await }).await.unwrap_or(Err(JwksError::Waiting))
    }
}

impl Inner {
    async fn refreshed(&self) -> Result<Arc<Keys>, JwksError> {
        let mut last_try = self.last_try.lock().await; // Whoever waits here finds the fresh keys when it is let on.
        if last_try.is_some_and(|at| at.elapsed() < self.refresh) {
            return self.last_read().ok_or(JwksError::Waiting);
        }
        *last_try = Some(Instant::now());
        Ok(self.keep(Keys::from_jwks(&self.read().await?)?))
    }

    fn last_read(&self) -> Option<Arc<Keys>> {
        self.keys.load().as_ref().map(|read| Arc::clone(&read.keys))
    }

    fn keep(&self, keys: Keys) -> Arc<Keys> {
        let mut keys = Arc::new(keys);
        if let Some(read) = self.keys.load().as_ref().filter(|read| read.keys == keys) {
            keys = Arc::clone(&read.keys); // The same keys stay the same `Arc`: what was verified with them stays verified.
        }
        self.keys.store(Some(Arc::new(Read { keys: Arc::clone(&keys), at: Instant::now() })));
        keys
    }

    async fn read(&self) -> Result<Vec<u8>, JwksError> {
        match &self.origin {
            Origin::File(path) => tokio::fs::read(path)
                .await
                .map_err(|source| JwksError::Read { path: path.display().to_string(), source }),
            Origin::Url(url, https) => Ok(https.get(url, FETCH_TIMEOUT, JWKS_BYTES_MAX).await?),
            Origin::Issuer(issuer, https) => {
                let url = discovery::jwks_uri(issuer, https, FETCH_TIMEOUT).await?;
                Ok(https.get(&url, FETCH_TIMEOUT, JWKS_BYTES_MAX).await?)
            }
            Origin::WorkloadApi => Err(JwksError::NoBundle),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use certs::Clock;
    use certs::development::Domain;
    use certs::files::FileSource;
    use tokens::SigningKey;

    fn store(dir: &std::path::Path, refresh: Duration) -> KeyStore {
        let clock = Clock::system();
        let domain = Domain::open(dir, &certs::TrustDomain::new("a.test").unwrap(), &clock).unwrap();
        let svid = domain.write_svid(dir, &domain.id("gateway").unwrap(), &[], clock.now()).unwrap();
        let source: SharedSource = FileSource::open(svid).unwrap();
        KeyStore::new(&Jwks::File { path: dir.join("jwks.json"), refresh }, &source, &clock).unwrap()
    }

    fn publish(dir: &std::path::Path) -> String {
        let key = SigningKey::generate().unwrap();
        std::fs::write(dir.join("jwks.json"), SigningKey::jwks([&key]).to_string()).unwrap();
        key.kid().to_owned()
    }

    #[tokio::test]
    async fn a_new_key_in_the_file_is_found_but_not_sooner_than_it_may_be_looked_for() {
        for (refresh, found) in [(Duration::ZERO, true), (Duration::from_secs(3600), false)] {
            let dir = tempfile::tempdir().unwrap();
            let first = publish(dir.path());
            let keys = store(dir.path(), refresh);
            assert!(keys.current().await.unwrap().has(Some(&first)));
            let second = publish(dir.path());
            assert!(keys.current().await.unwrap().has(Some(&first)), "what was read is kept");
            assert_eq!(keys.refreshed().await.unwrap().has(Some(&second)), found);
        }
    }

    #[tokio::test]
    async fn keys_that_cannot_be_read_anew_are_kept_and_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let keys = store(dir.path(), Duration::ZERO);
        assert!(matches!(keys.current().await, Err(JwksError::Read { .. })));
        let first = publish(dir.path());
        assert!(keys.current().await.unwrap().has(Some(&first)));
        std::fs::write(dir.path().join("jwks.json"), "{").unwrap();
        assert!(keys.refreshed().await.is_err());
        assert!(keys.current().await.unwrap().has(Some(&first)));
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_does_not_take_the_keys_along() {
        let dir = tempfile::tempdir().unwrap();
        let first = publish(dir.path());
        let keys = store(dir.path(), Duration::from_secs(3600));
        let mut fetch = Box::pin(keys.refreshed());
        assert!(polled_once(&mut fetch).await.is_none(), "it has begun");
        drop(fetch);
        assert!(keys.current().await.unwrap().has(Some(&first)));
    }

    /// What a future has after a single poll.
    async fn polled_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
