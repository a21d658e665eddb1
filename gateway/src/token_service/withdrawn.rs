//! Access tokens that have ended before their time: none is exchanged here any more, and the gateway hears of them through
//! its list of revocations, which it follows within a second, on open streams too.

use super::grants::Ended;
use crate::revocation::Name;
use crate::revocation::file::change;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The ended tokens, by `jti`, until they would have ended anyway.
#[derive(Debug)]
pub(super) struct Withdrawn {
    list: Option<PathBuf>,
    ended: Mutex<HashMap<String, SystemTime>>,
}

impl Withdrawn {
    pub(super) fn new(list: Option<PathBuf>) -> Self {
        Self { list, ended: Mutex::new(HashMap::new()) }
    }

    pub(super) fn has(&self, jti: &str) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains_key(jti)
    }

    /// Adds tokens.
    ///
    /// # Errors
    /// [`io::Error`] if the list can't be written; they are noted here all the same.
    pub(super) fn add(&self, tokens: &Ended, now: SystemTime) -> io::Result<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, until| now < *until);
        ended.extend(tokens.iter().cloned());
        match &self.list {
            Some(path) => write(path, tokens, now), // Under the lock: one after the other.
            None => Ok(()),
        }
    }
}

/// Adds them to the list, which has to be there: one that was made anew would forget all others.
fn write(path: &Path, tokens: &Ended, now: SystemTime) -> io::Result<()> {
    let added = change(path, false, |list| {
        for (jti, until) in tokens {
            list.insert(Name::jti(jti)?, Some(*until));
        }
        list.forget_ended(now);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    });
    added.map(drop).map_err(io::Error::other)
}
