//! Keys in a folder: each a PKCS #8 file that its owner alone may read, named after the second at which it was made.

use super::{KeyError, PublicKey, Signer};
use certs::files;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::SigningKey;

/// The keys of one folder.
#[derive(Debug)]
pub struct FileKeys {
    folder: PathBuf,
    keys: RwLock<Vec<FileKey>>,
}

#[derive(Clone, Debug)]
struct FileKey {
    path: PathBuf,
    made: SystemTime,
    key: SigningKey,
}

impl FileKeys {
    /// Reads a folder, and makes it if it isn't there. What is no `.key` file is passed over.
    ///
    /// # Errors
    /// [`KeyError`] names the file.
    pub fn open(folder: &Path) -> Result<Self, KeyError> {
        let wrong = |source| KeyError::File { path: folder.to_path_buf(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|extension| extension == "key") {
                keys.push(FileKey::read(path)?);
            }
        }
        Ok(Self { folder: folder.to_path_buf(), keys: RwLock::new(keys) })
    }
}

impl FileKey {
    fn read(path: PathBuf) -> Result<Self, KeyError> {
        let wrong = |source| KeyError::File { path: path.clone(), source };
        let mode = std::fs::metadata(&path).map_err(wrong)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::OthersMayRead(path));
        }
        let seconds = path.file_stem().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let Some(seconds) = seconds else { return Err(KeyError::Name(path)) };
        let key = SigningKey::from_pkcs8(&std::fs::read(&path).map_err(wrong)?)?;
        Ok(Self { path, made: UNIX_EPOCH + Duration::from_secs(seconds.into()), key })
    }
}

impl Signer for FileKeys {
    fn public_keys(&self) -> Result<Vec<PublicKey>, KeyError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let public = |file: &FileKey| PublicKey {
            kid: file.key.kid().to_owned(),
            jwk: file.key.public(),
            made: file.made,
        };
        Ok(keys.iter().map(public).collect())
    }

    fn sign(&self, kid: &str, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let file = keys.iter().find(|file| file.key.kid() == kid);
        Ok(file.ok_or_else(|| KeyError::Unknown(kid.to_owned()))?.key.sign_bytes(message)?)
    }

    fn make(&self, at: SystemTime) -> Result<(), KeyError> {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let path = self.folder.join(format!("{seconds}.key"));
        let key = SigningKey::generate()?;
        files::write(&path, key.to_pkcs8(), 0o600)
            .map_err(|error| KeyError::File { path: path.clone(), source: std::io::Error::other(error) })?;
        let made = UNIX_EPOCH + Duration::from_secs(seconds);
        self.keys.write().unwrap_or_else(PoisonError::into_inner).push(FileKey { path, made, key });
        Ok(())
    }

    fn discard(&self, kid: &str) -> Result<(), KeyError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = keys.iter().position(|file| file.key.kid() == kid) else { return Ok(()) };
        let path = keys.remove(at).path;
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(KeyError::File { path, source })
            }
            _ => Ok(()),
        }
    }
}
