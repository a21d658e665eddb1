//! The token service's keys, from a file that it or somebody else rewrites.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokens::{Keys, KeysError};

/// A JWK set in a file. The last good set stays where a new one can't be read.
pub(crate) struct KeyFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    keys: Arc<Keys>,
    modified: Option<SystemTime>,
    looked: Instant,
    reread: Option<Instant>,
    good: bool,
}

/// Why the keys can't be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be opened or read.
    #[error("{path} can't be read")]
    Read {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no usable JWK set.
    #[error("{path} holds no usable keys")]
    Keys {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: KeysError,
    },
}

/// The file is looked at this often at most, and read this often at most for tokens with unknown keys.
const INTERVAL: Duration = Duration::from_secs(1);

impl KeyFile {
    /// Reads the file once.
    pub(crate) fn open(path: PathBuf, now: Instant) -> Result<Self, KeyFileError> {
        let modified = modified(&path);
        let keys = read(&path)?;
        Ok(Self { path, state: Mutex::new(State { keys, modified, looked: now, reread: None, good: true }) })
    }

    /// The keys; a changed file is read first.
    pub(crate) fn current(&self, now: Instant) -> Arc<Keys> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.looked) >= INTERVAL {
            state.looked = now;
            let modified = modified(&self.path);
            if modified != state.modified {
                self.refresh(&mut state, modified);
            }
        }
        Arc::clone(&state.keys)
    }

    /// The keys read anew whatever the file's time says, because a token named one that isn't there.
    /// `None` if that was done less than a second ago.
    pub(crate) fn reread(&self, now: Instant) -> Option<Arc<Keys>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.reread.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            return None;
        }
        state.reread = Some(now);
        let modified = modified(&self.path);
        self.refresh(&mut state, modified);
        Some(Arc::clone(&state.keys))
    }

    /// Whether the file could be read when it was last looked at, which this does.
    pub(crate) fn is_good(&self, now: Instant) -> bool {
        drop(self.current(now));
        self.state.lock().unwrap_or_else(PoisonError::into_inner).good
    }

    fn refresh(&self, state: &mut State, modified: Option<SystemTime>) {
        let read = read(&self.path);
        state.good = read.is_ok();
        match read {
            Ok(keys) => {
                if *keys != *state.keys {
                    state.keys = keys; // The same keys, read again, leave what is remembered of tokens.
                }
                state.modified = modified;
            }
            Err(error) => tracing::warn!(error = %error, "the last good keys stay"),
        }
    }
}

fn modified(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok() // Without a time the file is read only for unknown keys.
}

fn read(path: &std::path::Path) -> Result<Arc<Keys>, KeyFileError> {
    let named = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| KeyFileError::Read { path: named(), source })?;
    Keys::from_jwks(&bytes).map(Arc::new).map_err(|source| KeyFileError::Keys { path: named(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use tokens::SigningKey;

    fn publish(path: &std::path::Path, key: &SigningKey) {
        std::fs::write(path, SigningKey::jwks([key]).to_string()).unwrap();
    }

    #[test]
    fn a_new_key_is_found_at_once_but_not_twice_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let start = Instant::now();
        publish(&path, &old);
        let file = KeyFile::open(path.clone(), start).unwrap();
        publish(&path, &new);
        assert!(!file.current(start).has(Some(new.kid())), "the file is not looked at yet");
        assert!(file.reread(start).unwrap().has(Some(new.kid())));
        assert!(file.reread(start + INTERVAL / 2).is_none());
        assert!(file.reread(start + INTERVAL).is_some());
    }

    #[test]
    fn a_broken_file_leaves_the_last_good_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        let key = SigningKey::generate().unwrap();
        let start = Instant::now();
        publish(&path, &key);
        let file = KeyFile::open(path.clone(), start).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(file.is_good(start));
        assert!(file.reread(start + INTERVAL).unwrap().has(Some(key.kid())));
        assert!(!file.is_good(start + INTERVAL));
        assert!(KeyFile::open(path, start).is_err());
    }
}
