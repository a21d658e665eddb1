//! An SVID, its key and the trust bundle in PEM files, watched: whoever renews them, the new ones are used within a second.

use crate::identity::{Generations, Identity, IdentityError, IdentitySource, TrustBundles, X509Svid};
use spiffe::TrustDomain;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Where the three files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's PKCS #8 key.
    pub private_key: PathBuf,
    /// The authorities of our own trust domain.
    pub trust_bundle: PathBuf,
}

/// An [`IdentitySource`] over files.
#[derive(Debug)]
pub struct FileSource {
    paths: Paths,
    generations: Generations,
}

/// What the files held: a change is a change of content, so that a touched file swaps nothing.
#[derive(PartialEq)]
struct Contents {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    trust_bundle: Vec<u8>,
}

impl FileSource {
    /// Reads the files once.
    ///
    /// # Errors
    /// [`IdentityError`] names the file or the rule.
    pub fn open(paths: Paths) -> Result<Arc<Self>, IdentityError> {
        let identity = Contents::read(&paths)?.identity(0)?;
        Ok(Arc::new(Self { paths, generations: Generations::new(identity) }))
    }

    /// Looks at the files every `interval` and swaps what changed, until the source is dropped. Files that can't be used
    /// (half-written, a key without its certificate) leave the last good generation in place and are looked at again.
    pub fn spawn_watch(self: &Arc<Self>, interval: Duration) {
        let source = Arc::downgrade(self);
        let mut seen = Contents::read(&self.paths).ok();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(source) = source.upgrade() else { return };
                source.refresh(&mut seen);
            }
        });
    }

    fn refresh(&self, seen: &mut Option<Contents>) {
        let found = match Contents::read(&self.paths) {
            Ok(found) if seen.as_ref() == Some(&found) => return,
            Ok(found) => found,
            Err(error) => {
                return tracing::warn!(error = %error, "identity files can't be read, the last good ones stay");
            }
        };
        let generation = self.generations.current().generation + 1;
        match found.identity(generation) {
            Ok(identity) => {
                tracing::info!(spiffe_id = %identity.svid.peer().id, generation, "identity swapped");
                self.generations.swap(identity);
                *seen = Some(found);
            }
            Err(error) => {
                tracing::warn!(error = %error, "identity files can't be used yet, the last good ones stay")
            }
        }
    }
}

impl IdentitySource for FileSource {
    fn current(&self) -> Arc<Identity> {
        self.generations.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.generations.changes()
    }
}

impl Contents {
    fn read(paths: &Paths) -> Result<Self, IdentityError> {
        Ok(Self {
            certificate: read(&paths.certificate)?,
            private_key: read(&paths.private_key)?,
            trust_bundle: read(&paths.trust_bundle)?,
        })
    }

    fn identity(&self, generation: u64) -> Result<Identity, IdentityError> {
        let svid = X509Svid::from_pem(&self.certificate, &self.private_key)?;
        let domain =
            TrustDomain::new(svid.peer().id.trust_domain_name()).map_err(crate::SvidError::SpiffeId)?;
        Ok(Identity { svid, bundles: TrustBundles::from_pem(&domain, &self.trust_bundle)?, generation })
    }
}

/// Reads a file; the error names it.
///
/// # Errors
/// [`IdentityError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path).map_err(|source| IdentityError::Read { path: path.display().to_string(), source })
}

/// Replaces a file in one step, so that a reader sees the old or the new and nothing between.
/// `mode` is the new file's from its first byte: 0o600 for secrets.
///
/// # Errors
/// [`IdentityError::Write`].
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    let wrong = |source| IdentityError::Write { path: path.display().to_string(), source };
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let _ = std::fs::remove_file(&temporary); // A leftover would keep its old mode.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(wrong)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(wrong)?;
    std::fs::rename(&temporary, path).map_err(wrong)
}
