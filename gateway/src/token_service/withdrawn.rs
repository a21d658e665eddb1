//! Access tokens that have ended before their time: none is exchanged here any more, and the gateway hears of them through
//! its list of revocations, which it follows within a second, on open streams too.

use super::grants::Ended;
use crate::revocation::{Name, Revocations};
use certs::files;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The ended tokens, by `jti`, until they would have ended anyway.
#[derive(Debug)]
pub(super) struct Withdrawn {
    list: Option<PathBuf>,
    ended: Mutex<HashMap<String, SystemTime>>,
}

/// Entries that are read of the list: those of any gateway.
const ENTRIES_MAX: usize = 10_000_000;

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

/// Adds them to the list, in one step, while nobody else changes it: `sallyport revoke` takes the same lock.
fn write(path: &Path, tokens: &Ended, now: SystemTime) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock = File::open(folder)?;
    lock.lock()?;
    let mut list = Revocations::read(path, ENTRIES_MAX).map_err(io::Error::other)?;
    for (jti, until) in tokens {
        list.insert(Name::jti(jti).map_err(io::Error::other)?, Some(*until));
    }
    list.forget_ended(now);
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    files::write(path, list.text().as_bytes(), mode).map_err(io::Error::other)
}
