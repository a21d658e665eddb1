//! Credentials from files, read again when they change. Nothing else is looked for: no environment, no metadata service.

use crate::flags::FlagsError;
use async_trait::async_trait;
use object_store::CredentialProvider;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The files are looked at this often at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// One credential out of some files. The last good one stays where a new one can't be read.
pub(crate) struct Files<T> {
    paths: Vec<PathBuf>,
    made: fn(&[String]) -> Option<T>,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    texts: Vec<String>,
    credential: Arc<T>,
    looked: Instant,
}

impl<T> Files<T> {
    /// Reads the files, and makes a credential of their texts. `made` gives none where they are not what they should be.
    ///
    /// # Errors
    /// [`FlagsError::Secret`] names the flag.
    pub(crate) fn open(
        files: &[(&'static str, &Path)],
        made: fn(&[String]) -> Option<T>,
    ) -> Result<Self, FlagsError> {
        let mut texts = Vec::new();
        for (flag, path) in files {
            let wrong = |source| FlagsError::Secret { flag, path: path.display().to_string(), source };
            texts.push(text(path).map_err(wrong)?);
        }
        let unfit = || FlagsError::Unfit { flag: files.first().map_or("", |(flag, _)| flag) };
        let credential = Arc::new(made(&texts).ok_or_else(unfit)?);
        let kept = Mutex::new(Kept { texts, credential, looked: Instant::now() });
        Ok(Self { paths: files.iter().map(|(_, path)| path.to_path_buf()).collect(), made, kept })
    }

    fn current(&self) -> Arc<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.looked.elapsed() < INTERVAL {
            return Arc::clone(&kept.credential);
        }
        kept.looked = Instant::now();
        match self.paths.iter().map(|path| text(path)).collect::<std::io::Result<Vec<_>>>() {
            Ok(texts) if texts == kept.texts => {}
            Ok(texts) => match (self.made)(&texts) {
                Some(credential) => {
                    kept.credential = Arc::new(credential);
                    kept.texts = texts;
                    tracing::info!("the store's credential is read again");
                }
                None => tracing::warn!("the store's new credential is none; the last one stays"),
            },
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "the store's credential can't be read; the last one stays")
            }
        }
        Arc::clone(&kept.credential)
    }
}

/// Small files, so that reading them holds nobody up.
fn text(path: &Path) -> std::io::Result<String> {
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}

impl<T> std::fmt::Debug for Files<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

#[async_trait]
impl<T: Send + Sync> CredentialProvider for Files<T> {
    type Credential = T;

    async fn get_credential(&self) -> object_store::Result<Arc<T>> {
        Ok(self.current())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_new_credential_is_taken_and_the_last_good_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "one\n").unwrap();
        let made = |texts: &[String]| texts.first().filter(|text| !text.is_empty()).cloned();
        let files = Files::open(&[("secret-file", &path)], made).unwrap();
        let now = |text: &str| {
            std::fs::write(&path, text).unwrap();
            files.kept.lock().unwrap().looked = Instant::now() - INTERVAL;
            files.current().to_string()
        };
        assert_eq!((now("two"), now(""), now("three")), ("two".into(), "two".into(), "three".into()));
        std::fs::remove_file(&path).unwrap();
        files.kept.lock().unwrap().looked = Instant::now() - INTERVAL;
        assert_eq!(*files.current(), "three");
        assert!(!format!("{files:?}").contains("three"));
        assert!(Files::open(&[("secret-file", &path)], made).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(Files::open(&[("secret-file", &path)], made).is_err());
    }
}
