//! The state folder of `sallyport up`: what is in it, and who may read it.

use super::UpError;
use crate::session::KeyRing;
use crate::token_service::users_issuer;
use certs::development::{Domain, paths_in};
use certs::files::{self, Paths};
use certs::{IdentityError, X509Svid};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokens::SigningKey;

/// The folder, locked against a second `up`.
#[derive(Clone, Debug)]
pub struct Dir {
    root: PathBuf,
    _lock: Arc<File>,
}

/// The workloads of the development trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their SPIFFE paths, below, say who they are")]
pub enum Workload {
    Gateway,
    TokenService,
    Mcp(String),
    DemoAgent,
    Echo,
}

/// Where a running `up` is reached: what the other commands need to know of it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Addresses {
    /// The gateway's URL.
    pub url: String,
    /// The token service's, for workloads.
    pub origin: String,
    /// The same for people; folders of before there were any don't have it.
    pub sign_in: Option<String>,
}

impl Addresses {
    /// Who issues subject tokens.
    pub fn users_issuer(&self) -> String {
        users_issuer(self.sign_in.as_ref().unwrap_or(&self.origin))
    }
}

impl Workload {
    /// Those that there always are; each MCP server is one more.
    pub const USUAL: [Self; 4] = [Self::Gateway, Self::TokenService, Self::DemoAgent, Self::Echo];

    /// The path of its SPIFFE ID.
    pub fn path(&self) -> String {
        match self {
            Self::Gateway => "gateway".to_owned(),
            Self::TokenService => "token-service".to_owned(),
            Self::Mcp(name) => format!("mcp/{name}"),
            Self::DemoAgent => "agent/demo".to_owned(),
            Self::Echo => "agent/echo".to_owned(),
        }
    }

    /// The folder of its SVID, below `svids`.
    pub fn folder(&self) -> String {
        self.path().replace('/', "-")
    }
}

impl Dir {
    /// Makes the folder, closed to others, if it isn't there, and locks it.
    ///
    /// # Errors
    /// [`UpError::InUse`] while another `up` holds it.
    pub fn open(root: PathBuf) -> Result<Self, UpError> {
        let wrong = |path: &Path| {
            let path = path.to_path_buf();
            move |source| UpError::File { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(wrong(&root))?; // One that is there keeps its mode.
        let root = root.canonicalize().map_err(wrong(&root))?;
        let path = root.join("lock");
        let lock = File::options().create(true).append(true).open(&path).map_err(wrong(&path))?;
        lock.try_lock().map_err(|_| UpError::InUse(root.clone()))?;
        Ok(Self { root, _lock: Arc::new(lock) })
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file in one step.
    ///
    /// # Errors
    /// [`UpError::Identity`], which names the file.
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), UpError> {
        Ok(files::write(&self.path(name), bytes, mode)?)
    }

    /// Writes a file unless it is there: what a user may have edited stays.
    ///
    /// # Errors
    /// [`UpError`], which names the file.
    pub fn write_once(&self, name: &str, bytes: &[u8]) -> Result<(), UpError> {
        let path = self.path(name);
        if path.exists() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(&self.root).to_path_buf();
        std::fs::create_dir_all(&parent).map_err(|source| UpError::File { path: parent, source })?;
        self.write(name, bytes, 0o644)
    }

    /// The same for a file that only its owner may read.
    ///
    /// # Errors
    /// [`UpError::Identity`], which names the file.
    pub fn write_secret_once(&self, name: &str, text: &str) -> Result<(), UpError> {
        if self.path(name).exists() { Ok(()) } else { self.write(name, text.as_bytes(), 0o600) }
    }

    /// A signing key, made if it isn't there; only its owner may read it.
    ///
    /// # Errors
    /// [`UpError`] if it can't be read or made.
    pub fn key(&self, name: &str) -> Result<SigningKey, UpError> {
        let path = self.path(&format!("{name}.key"));
        if path.exists() {
            return Ok(SigningKey::from_pkcs8(&files::read(&path)?)?);
        }
        let key = SigningKey::generate()?;
        files::write(&path, key.to_pkcs8(), 0o600)?;
        Ok(key)
    }

    /// A ring of session keys, made if it isn't there; only its owner may read it.
    ///
    /// # Errors
    /// [`UpError`] if it can't be made.
    pub fn key_ring(&self, name: &str) -> Result<(), UpError> {
        if self.path(name).exists() {
            return Ok(());
        }
        let key = KeyRing::generate().map_err(|_| UpError::Random)?;
        self.write(name, format!("{key}\n").as_bytes(), 0o600)
    }

    /// Where a workload's SVID is.
    pub fn svid(&self, workload: &Workload) -> Paths {
        paths_in(&self.svid_dir(workload))
    }

    fn svid_dir(&self, workload: &Workload) -> PathBuf {
        self.root.join("svids").join(workload.folder())
    }

    /// Issues a workload's SVID into its files.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn renew(&self, domain: &Domain, workload: &Workload, now: SystemTime) -> Result<(), IdentityError> {
        let id = domain.id(&workload.path())?;
        domain.write_svid(&self.svid_dir(workload), &id, &["localhost", "127.0.0.1"], now)?;
        Ok(())
    }

    /// The same, if half its life is over, or if it can't be read.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn renew_if_due(
        &self,
        domain: &Domain,
        workload: &Workload,
        now: SystemTime,
    ) -> Result<(), IdentityError> {
        let paths = self.svid(workload);
        let svid = X509Svid::from_pem(&files::read(&paths.certificate)?, &files::read(&paths.private_key)?);
        let half = certs::development::SVID_TTL / 2;
        match svid {
            Ok(svid) if now + half < svid.peer().not_after => Ok(()),
            _ => self.renew(domain, workload, now),
        }
    }

    /// Where everything listened the last time, if there was one.
    pub fn addresses(&self) -> Option<Addresses> {
        serde_json::from_slice(&files::read(&self.path("addresses.json")).ok()?).ok() // Written anew in any case.
    }

    /// Writes down where everything listens.
    ///
    /// # Errors
    /// [`UpError::Identity`], which names the file.
    pub fn write_state(&self, addresses: &Addresses) -> Result<(), UpError> {
        self.write("addresses.json", serde_json::json!(addresses).to_string().as_bytes(), 0o644)
    }
}
