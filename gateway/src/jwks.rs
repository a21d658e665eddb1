//! An issuer's keys: read from a file or fetched, kept, and read again when one is missing.
//! One fetch at a time, and no more than one in `refresh`, so that tokens with made-up key names cost the issuer nothing.

use crate::config::Jwks;
use crate::https::{Https, HttpsError};
use arc_swap::ArcSwapOption;
use certs::SharedSource;
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
    /// They are no keys.
    #[error("the JWK set can't be used")]
    Keys(#[from] KeysError),
    /// The last try failed, and the next isn't due.
    #[error("the JWK set could not be had, and the next try is not due yet")]
    Waiting,
}

/// The longest JWK set that is read.
const JWKS_BYTES_MAX: usize = 256 * 1024;
/// How long fetching one may take.
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
            Jwks::File { path, refresh } => (Origin::File(path.clone()), *refresh),
            Jwks::Url { url, server, refresh } => {
                (Origin::Url(url.clone(), Https::new(server, source, clock)?), *refresh)
            }
        };
        Ok(Self(Arc::new(Inner {
            origin,
            refresh,
            keys: ArcSwapOption::empty(),
            last_try: Mutex::new(None),
        })))
    }

    /// The keys as last read; reads them if there are none or they are old.
    ///
    /// # Errors
    /// [`JwksError`] if there are none to be had.
    pub async fn current(&self) -> Result<Arc<Keys>, JwksError> {
        match self.0.keys.load_full() {
            Some(read) if read.at.elapsed() < KEYS_AGE_MAX => Ok(Arc::clone(&read.keys)),
            // An issuer that is down for a while takes nobody along; one that is down for long does.
            Some(read) if read.at.elapsed() < KEYS_STALE_MAX => {
                Ok(self.refreshed().await.unwrap_or_else(|_| Arc::clone(&read.keys)))
            }
            _ => self.refreshed().await,
        }
    }

    /// The keys, read anew unless that was tried within `refresh`.
    ///
    /// # Errors
    /// [`JwksError`] if there are none to be had.
    pub async fn refreshed(&self) -> Result<Arc<Keys>, JwksError> {
        let inner = Arc::clone(&self.0);
        // A task of its own: a caller that hangs up must not take the fetch of all the others along.
        tokio::spawn(async move { inner.refreshed().await }).await.unwrap_or(Err(JwksError::Waiting))
    }
}

impl Inner {
    async fn refreshed(&self) -> Result<Arc<Keys>, JwksError> {
        let mut last_try = self.last_try.lock().await; // Whoever waits here finds the fresh keys when it is let on.
        if last_try.is_some_and(|at| at.elapsed() < self.refresh) {
            return self.keys.load().as_ref().map(|read| Arc::clone(&read.keys)).ok_or(JwksError::Waiting);
        }
        *last_try = Some(Instant::now());
        let keys = Arc::new(Keys::from_jwks(&self.read().await?)?);
        self.keys.store(Some(Arc::new(Read { keys: Arc::clone(&keys), at: Instant::now() })));
        Ok(keys)
    }

    async fn read(&self) -> Result<Vec<u8>, JwksError> {
        match &self.origin {
            Origin::File(path) => tokio::fs::read(path)
                .await
                .map_err(|source| JwksError::Read { path: path.display().to_string(), source }),
            Origin::Url(url, https) => Ok(https.get(url, FETCH_TIMEOUT, JWKS_BYTES_MAX).await?),
        }
    }
}
