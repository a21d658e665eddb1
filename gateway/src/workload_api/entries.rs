//! The list of workloads: which user, running which program, is who.

use certs::SpiffeId;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// One line of the list. All of its selectors must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whom it makes.
    pub id: SpiffeId,
    /// Of the user with this number.
    pub uid: Option<u32>,
    /// Running the program at this path.
    pub path: Option<PathBuf>,
    /// Host names and addresses that stand in its SVID, for clients that look at those.
    pub hosts: Vec<String>,
}

/// Who is at the other end of the socket, by the kernel's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    uid: u32,
    path: Option<PathBuf>,
}

/// Why a list can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EntriesError {
    /// It can't be read.
    #[error("{path} can't be read")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It isn't a list of entries.
    #[error("{path} is not a list of entries: {why}")]
    Form {
        /// Which file.
        path: PathBuf,
        /// Where, and what is wrong.
        why: String,
    },
    /// An entry's SPIFFE ID isn't one.
    #[error("{path}: {id:?} is not a workload's SPIFFE ID")]
    Id {
        /// Which file.
        path: PathBuf,
        /// As it is written.
        id: String,
    },
    /// An entry would match everybody.
    #[error("{path}: the entry for {id} names neither `uid` nor `path`, so that everybody would be it")]
    Anybody {
        /// Which file.
        path: PathBuf,
        /// Whose.
        id: SpiffeId,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    spiffe_id: String,
    uid: Option<u32>,
    path: Option<PathBuf>,
    #[serde(default)]
    hosts: Vec<String>,
}

/// Reads a list in YAML; `path` is for the errors.
///
/// # Errors
/// The first [`EntriesError`].
pub fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, EntriesError> {
    let form = |why: yaml_serde::Error| EntriesError::Form { path: path.into(), why: why.to_string() };
    let written: Vec<Written> = yaml_serde::from_str(text).map_err(form)?;
    let entry = |Written { spiffe_id, uid, path: program, hosts }| {
        let id = SpiffeId::new(&spiffe_id).ok().filter(|id| !id.path().is_empty());
        let id = id.ok_or(EntriesError::Id { path: path.into(), id: spiffe_id })?;
        if uid.is_none() && program.is_none() {
            return Err(EntriesError::Anybody { path: path.into(), id });
        }
        Ok(Entry { id, uid, path: program, hosts })
    };
    written.into_iter().map(entry).collect()
}

pub(super) fn read(path: &Path) -> Result<Vec<Entry>, EntriesError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| EntriesError::Read { path: path.into(), source })?;
    parse(&text, path)
}

/// Looks at the file again and again. A list that can't be used leaves the last good one in place.
pub(super) async fn follow(path: &Path, entries: &watch::Sender<Vec<Entry>>, interval: Duration) {
    let mut refused = None;
    loop {
        tokio::time::sleep(interval).await;
        match read(path) {
            Ok(found) => {
                refused = None;
                entries.send_if_modified(|now| {
                    let changed = *now != found;
                    *now = found;
                    changed
                });
            }
            Err(error) => {
                let error = error.to_string();
                if refused.as_ref() != Some(&error) {
                    tracing::error!(%error, "the list of workloads can't be used, the last good one stays");
                }
                refused = Some(error);
            }
        }
    }
}

impl Peer {
    /// The user, and the program that the process runs now. Where that can't be seen, no entry with a path matches.
    pub fn new(uid: u32, pid: Option<i32>) -> Self {
        let path = pid.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
        Self { uid, path }
    }

    /// The entries that match it, in the list's order.
    pub(super) fn matching<'e>(&self, entries: &'e [Entry]) -> impl Iterator<Item = &'e Entry> {
        let matches = |entry: &&Entry| {
            entry.uid.is_none_or(|uid| uid == self.uid) && (entry.path.is_none() || entry.path == self.path)
        };
        entries.iter().filter(matches)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    const LIST: &str = "
- {spiffe_id: spiffe://dev.test/agent/one, uid: 1000}
- {spiffe_id: spiffe://dev.test/agent/two, uid: 1000, path: /usr/bin/two}
- {spiffe_id: spiffe://dev.test/agent/three, path: /usr/bin/three}
";

    #[test]
    fn all_selectors_of_an_entry_must_match() {
        let entries = parse(LIST, Path::new("list")).unwrap();
        let of = |uid, path: Option<&str>| {
            let peer = Peer { uid, path: path.map(PathBuf::from) };
            peer.matching(&entries).map(|entry| entry.id.path().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(1000, Some("/usr/bin/two")), ["/agent/one", "/agent/two"]);
        assert_eq!(of(1000, Some("/usr/bin/twoo")), ["/agent/one"]);
        assert_eq!(of(1001, Some("/usr/bin/two")), [""; 0]);
        assert_eq!(of(1001, Some("/usr/bin/three")), ["/agent/three"]);
        assert_eq!(of(1000, None), ["/agent/one"]);
    }

    #[test]
    fn a_list_with_a_mistake_is_refused() {
        for (text, says) in [
            ("- {spiffe_id: spiffe://dev.test/a}", "everybody"),
            ("- {spiffe_id: spiffe://dev.test, uid: 1}", "not a workload"),
            ("- {spiffe_id: nobody, uid: 1}", "not a workload"),
            ("- {spiffe_id: spiffe://dev.test/a, user: 1}", "unknown field"),
            ("spiffe_id: spiffe://dev.test/a", "not a list"),
        ] {
            let error = parse(text, Path::new("list")).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
