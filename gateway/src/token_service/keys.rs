//! The keys of one kind of token: one signs, those before it stay published until nothing is left that they signed, and
//! the next one is published before it signs, so that nobody meets a key that was never seen.

pub mod files;

use serde_json::{Map, Value, json};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokens::{Keys, KeysError, Secret, SigningError, SigningKey};

/// Whoever holds the private keys of one kind of token: files ([`files::FileKeys`]), or a key management service behind
/// its own client. Calls may block; no private key leaves it.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public halves of all its keys, in any order.
    ///
    /// # Errors
    /// [`KeyError`].
    fn public_keys(&self) -> Result<Vec<PublicKey>, KeyError>;

    /// ES256 over bytes (RFC 7518 §3.4: `R || S`, 64 bytes) by the key of this name.
    ///
    /// # Errors
    /// [`KeyError`].
    fn sign(&self, kid: &str, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Makes one more key, which counts as made at `at`.
    ///
    /// # Errors
    /// [`KeyError`].
    fn make(&self, at: SystemTime) -> Result<(), KeyError>;

    /// Destroys a key.
    ///
    /// # Errors
    /// [`KeyError`].
    fn discard(&self, kid: &str) -> Result<(), KeyError>;
}

/// The public half of a key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// Its published name.
    pub kid: String,
    /// What is published (RFC 7517).
    pub jwk: Value,
    /// Since when it is there.
    pub made: SystemTime,
}

/// How keys follow each other.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// How old a key gets before the next one is made.
    pub every: Duration,
    /// How long a key is published before it signs.
    pub ahead: Duration,
    /// How long a key is still published once the next one signs.
    pub overlap: Duration,
}

/// Why a key can't be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or folder of keys.
    #[error("{path} can't be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key that is not its owner's alone.
    #[error("{0} can be read by others; chmod 600")]
    OthersMayRead(PathBuf),
    /// A file among the keys whose name doesn't say when it was made.
    #[error("{0} is not named after the second at which it was made, as 1764000000.key")]
    Name(PathBuf),
    /// The key itself.
    #[error("a signing key can't be used")]
    Key(#[from] SigningError),
    /// It can't be published.
    #[error("a signing key can't be published")]
    Publish(#[from] KeysError),
    /// No key of this name.
    #[error("there is no key {0}")]
    Unknown(String),
    /// No key at all.
    #[error("there is no key")]
    None,
}

/// The keys of one kind of token.
#[derive(Debug)]
pub struct Ring {
    signer: Arc<dyn Signer>,
    rotation: Option<Rotation>,
    published: RwLock<Arc<Published>>,
}

/// What stands in the JWKS, and what it verifies with.
#[derive(Debug)]
struct Published {
    /// Oldest first, never empty.
    keys: Vec<PublicKey>,
    verifying: Arc<Keys>,
}

impl Ring {
    /// The keys that a signer has, rotated if that is due; the first one is made here.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(signer: Arc<dyn Signer>, rotation: Rotation, now: SystemTime) -> Result<Self, KeyError> {
        if signer.public_keys()?.is_empty() {
            signer.make(now)?;
        }
        let ring = Self::as_it_is(signer, rotation)?;
        ring.rotate(now)?;
        Ok(ring)
    }

    /// The keys that a signer has; whoever else uses it makes and destroys them.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn as_it_is(signer: Arc<dyn Signer>, rotation: Rotation) -> Result<Self, KeyError> {
        let published = RwLock::new(Arc::new(Published::of(signer.as_ref())?));
        Ok(Self { signer, rotation: Some(rotation), published })
    }

    /// One key for ever.
    ///
    /// # Errors
    /// [`KeyError::Publish`].
    pub fn of(key: SigningKey) -> Result<Self, KeyError> {
        let signer: Arc<dyn Signer> = Arc::new(OneKey(key));
        let published = RwLock::new(Arc::new(Published::of(signer.as_ref())?));
        Ok(Self { signer, rotation: None, published })
    }

    /// Makes the next key and destroys old ones, where that is due. Says whether what is published has changed.
    ///
    /// # Errors
    /// [`KeyError`]; the keys are as they were.
    pub fn rotate(&self, now: SystemTime) -> Result<bool, KeyError> {
        let Some(rotation) = self.rotation else { return Ok(false) };
        let before = self.published();
        let newest = before.keys.last().ok_or(KeyError::None)?;
        let due = newest.made + rotation.every <= now;
        let over: Vec<&str> = before
            .keys
            .windows(2)
            .filter_map(|pair| if let [old, next] = pair { Some((old, next)) } else { None })
            .filter(|(_, next)| next.made + rotation.ahead + rotation.overlap <= now)
            .map(|(old, _)| old.kid.as_str())
            .collect();
        if !due && over.is_empty() {
            return Ok(false);
        }
        if due {
            self.signer.make(now)?;
        }
        over.into_iter().try_for_each(|kid| self.signer.discard(kid))?;
        let after = Arc::new(Published::of(self.signer.as_ref())?);
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = after;
        Ok(true)
    }

    /// Signs claims as a token of the given type.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>, now: SystemTime) -> Result<Secret, KeyError> {
        let published = self.published();
        let ahead = self.rotation.map_or(Duration::ZERO, |rotation| rotation.ahead);
        let known = published.keys.iter().rev().find(|key| key.made + ahead <= now);
        let kid = &known.or(published.keys.first()).ok_or(KeyError::None)?.kid;
        tokens::sign::signed_by(typ, kid, claims, |message| self.signer.sign(kid, message))
    }

    /// The JWK set that publishes them (RFC 7517 §5).
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published().keys.iter().map(|key| key.jwk.clone()).collect();
        json!({ "keys": keys })
    }

    /// The same, to verify with.
    pub fn verifying(&self) -> Arc<Keys> {
        Arc::clone(&self.published().verifying)
    }

    fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Published {
    fn of(signer: &dyn Signer) -> Result<Self, KeyError> {
        let mut keys = signer.public_keys()?;
        keys.sort_by(|one, other| (one.made, &one.kid).cmp(&(other.made, &other.kid)));
        let jwks = json!({ "keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>() });
        Ok(Self { verifying: Arc::new(Keys::from_jwks(jwks.to_string().as_bytes())?), keys })
    }
}

/// A key that nobody rotates.
#[derive(Debug)]
struct OneKey(SigningKey);

impl Signer for OneKey {
    fn public_keys(&self) -> Result<Vec<PublicKey>, KeyError> {
        let made = SystemTime::UNIX_EPOCH;
        Ok(vec![PublicKey { kid: self.0.kid().to_owned(), jwk: self.0.public(), made }])
    }

    fn sign(&self, _: &str, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.0.sign_bytes(message)?)
    }

    fn make(&self, _: SystemTime) -> Result<(), KeyError> {
        Ok(())
    }

    fn discard(&self, _: &str) -> Result<(), KeyError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
