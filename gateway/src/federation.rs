//! Where the gateway's identity comes from: its own SVID, and the trust bundles of its own domain and of those that it
//! federates with (SPIFFE Federation standard).
//!
//! A bundle that can't be read or fetched leaves the last good one in place; one that was never there leaves its domain
//! out, so its callers are refused in the handshake.

use crate::config::{BundleFrom, HttpsServer, IdentityFrom};
use crate::https::{Https, HttpsError};
use crate::watched::Watched;
use certs::bundle::{self, Published};
use certs::federation::Federation;
use certs::files::FileSource;
use certs::workload_api::WorkloadApiSource;
use certs::{Clock, IdentityError, SharedSource, SpiffeId, TrustBundles, TrustDomain};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use url::Url;

/// How often files are looked at.
const FILE_INTERVAL: Duration = Duration::from_millis(500);
/// How often a bundle endpoint is asked whose bundle has no hint (SPIFFE Federation §4.1), and the bounds of one that has.
const REFRESH: Duration = Duration::from_secs(300);
const REFRESH_MIN: Duration = Duration::from_secs(1);
const REFRESH_MAX: Duration = Duration::from_secs(86_400);
/// How long it is until an endpoint that didn't answer is asked again, unless its hint is shorter.
const RETRY: Duration = Duration::from_secs(10);
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
const BUNDLE_BYTES_MAX: usize = 1 << 20;

/// Another domain's bundle, followed.
struct Foreign {
    domain: TrustDomain,
    bundles: watch::Sender<TrustBundles>,
    sequence: Option<u64>,
}

/// Why a bundle could not be had.
#[derive(Debug, thiserror::Error)]
enum BundleError {
    #[error(transparent)]
    Fetch(#[from] HttpsError),
    #[error(transparent)]
    Unusable(#[from] IdentityError),
    #[error("its sequence number {got} is older than {known}")]
    Older { got: u64, known: u64 },
}

/// The gateway's identity, followed until it is dropped.
///
/// # Errors
/// [`IdentityError`] if there is no SVID of its own. Another domain's bundle may come later.
pub async fn identity(
    from: &IdentityFrom,
    trust_domains: &BTreeMap<TrustDomain, BundleFrom>,
    clock: &Clock,
) -> Result<SharedSource, IdentityError> {
    let own: SharedSource = match from {
        IdentityFrom::Files(paths) => {
            let files = FileSource::open(paths.clone())?;
            files.spawn_watch(FILE_INTERVAL);
            files
        }
        IdentityFrom::WorkloadApi { endpoint, wait } => WorkloadApiSource::spawn(endpoint, *wait).await?,
    };
    let (bundles, changes) = watch::channel(TrustBundles::default());
    let foreign =
        |domain: &TrustDomain| Foreign { domain: domain.clone(), bundles: bundles.clone(), sequence: None };
    let mut followed = Vec::new();
    for (domain, from) in trust_domains {
        let mut foreign = foreign(domain);
        match from {
            BundleFrom::File(path) => {
                let mut watched = Watched::new(path.clone(), FILE_INTERVAL);
                watched.changed().await; // Looked at before it is read: it may change meanwhile.
                foreign.read(path).await;
                tokio::spawn(foreign.follow_file(path.clone(), watched));
            }
            BundleFrom::Endpoint { url, spiffe_id, begin } => {
                if let Some(path) = begin {
                    foreign.read(path).await;
                }
                followed.push((foreign, url, spiffe_id));
            }
            BundleFrom::WorkloadApi => {}
        }
    }
    let listed = trust_domains.keys().map(|domain| domain.as_str().to_owned()).collect();
    let merged: SharedSource = Federation::spawn(own, listed, changes);
    for (foreign, url, server) in followed {
        match Https::new(&HttpsServer::SpiffeId(server.clone()), &merged, clock) {
            Ok(https) => drop(tokio::spawn(foreign.follow_endpoint(https, url.clone(), server.clone()))),
            Err(error) => {
                tracing::error!(domain = %foreign.domain, %error, "its bundle endpoint can't be asked")
            }
        }
    }
    Ok(merged)
}

impl Foreign {
    async fn read(&mut self, path: &Path) {
        let read = tokio::fs::read(path).await;
        let taken = match read {
            Ok(text) => bundle::read(&text).map_err(BundleError::from).and_then(|found| self.take(found)),
            Err(source) => Err(IdentityError::Read { path: path.display().to_string(), source }.into()),
        };
        if let Err(error) = taken {
            let error = crate::config::problems::chain(&error);
            tracing::warn!(domain = %self.domain, path = %path.display(), %error, "a trust bundle can't be used");
        }
    }

    async fn follow_file(mut self, path: PathBuf, mut watched: Watched) {
        loop {
            tokio::select! {
                () = watched.changed() => {}
                () = self.bundles.closed() => return,
            }
            self.sequence = None; // Whoever writes the file may go back.
            self.read(&path).await;
        }
    }

    async fn follow_endpoint(mut self, https: Https, url: Url, server: SpiffeId) {
        while !self.bundles.is_closed() {
            let fetched = https.get(&url, FETCH_TIMEOUT, BUNDLE_BYTES_MAX).await.map_err(BundleError::from);
            let taken = fetched.and_then(|text| {
                let found = bundle::read(&text)?;
                let hint = found.refresh_hint.unwrap_or(REFRESH).clamp(REFRESH_MIN, REFRESH_MAX);
                self.take(found).map(|()| hint)
            });
            let pause = match taken {
                Ok(hint) => hint,
                Err(error) => {
                    let error = crate::config::problems::chain(&error);
                    tracing::warn!(domain = %self.domain, %url, %server, %error, "its bundle could not be fetched; the last good one stays");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn take(&mut self, found: Published) -> Result<(), BundleError> {
        if let (Some(got), Some(known)) = (found.sequence, self.sequence)
            && got < known
        {
            return Err(BundleError::Older { got, known });
        }
        let mut one = TrustBundles::default();
        one.insert(&self.domain, found.authorities)?;
        self.sequence = found.sequence;
        self.bundles.send_if_modified(|all| {
            let before = all.clone();
            all.add(&one);
            *all != before
        });
        Ok(())
    }
}
