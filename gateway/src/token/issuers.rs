//! The issuers of subject tokens, and the tokens of theirs whose signature has held.
//!
//! A signature costs more than all else in a request, and a caller sends the same token many times. What is remembered is
//! only that the signature held under the keys of that moment: once an issuer's keys are others, it is checked again.

use super::TokenError;
use crate::config::{Issuer, Presenter};
use crate::digest::{self, Digest};
use crate::jwks::{JwksError, KeyStore};
use certs::SpiffeId;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{Authentic, Keys, Secret};

/// The issuers of a snapshot.
#[derive(Debug, Default)]
pub struct Issuers {
    issuers: Vec<(Arc<Issuer>, KeyStore)>,
    verified: RwLock<HashMap<Digest, Verified>>,
    verified_max: usize,
}

/// A token whose signature held.
#[derive(Clone, Debug)]
struct Verified {
    token: Arc<Authentic>,
    /// Whose it is, by position.
    issuer: usize,
    /// With which keys.
    keys: Arc<Keys>,
}

/// A token, its issuer and its digest (SHA-256).
#[derive(Debug)]
pub(super) struct Found {
    pub(super) token: Arc<Authentic>,
    pub(super) issuer: Arc<Issuer>,
    pub(super) digest: Digest,
}

/// How long it is until keys that could not be had are asked for again.
const PRELOAD_INTERVAL: Duration = Duration::from_secs(2);

impl Issuers {
    /// Issuers with the stores of their keys; at most so many verified tokens are remembered.
    pub fn new(issuers: Vec<(Issuer, KeyStore)>, verified_max: usize) -> Self {
        let issuers = issuers.into_iter().map(|(issuer, keys)| (Arc::new(issuer), keys)).collect();
        Self { issuers, verified: RwLock::default(), verified_max }
    }

    /// The token with the issuer whose signature it carries.
    ///
    /// # Errors
    /// [`TokenError`] if it is nobody's, its signature doesn't hold, or keys can't be had.
    pub(super) async fn authentic(&self, token: &Secret, now: SystemTime) -> Result<Found, TokenError> {
        let key = digest::of(token.expose().as_bytes());
        let known = self.verified.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known
            && let Some((issuer, keys)) = self.issuers.get(known.issuer)
            && Arc::ptr_eq(&keys.current().await?, &known.keys)
        {
            return Ok(Found { token: known.token, issuer: Arc::clone(issuer), digest: key });
        }
        let (position, issuer, store) = self.of(token).ok_or(TokenError::UnknownIssuer)?;
        let (authentic, keys) = Box::pin(verify(token, issuer, store)).await?; // Boxed: seldom, and large.
        let authentic = Arc::new(authentic);
        self.remember(key, Verified { token: Arc::clone(&authentic), issuer: position, keys }, now);
        Ok(Found { token: authentic, issuer: Arc::clone(issuer), digest: key })
    }

    fn of(&self, token: &Secret) -> Option<(usize, &Arc<Issuer>, &KeyStore)> {
        let claimed = tokens::claimed(token.expose())?;
        let named = claimed.iss.and_then(|iss| {
            self.issuers.iter().position(|(issuer, _)| issuer.jwt_svids_of.is_none() && issuer.issuer == iss)
        });
        let position = named.or_else(|| self.of_workload(&claimed.sub?))?;
        self.issuers.get(position).map(|(issuer, keys)| (position, issuer, keys))
    }

    /// Whose JWT-SVIDs are about this workload: those of its own trust domain and no other's (JWT-SVID §3.1).
    fn of_workload(&self, sub: &str) -> Option<usize> {
        let id = SpiffeId::new(sub).ok().filter(|id| !id.path().is_empty())?;
        self.issuers.iter().position(|(issuer, _)| {
            issuer.jwt_svids_of.as_ref().is_some_and(|domain| domain.as_str() == id.trust_domain_name())
        })
    }

    fn remember(&self, key: Digest, verified: Verified, now: SystemTime) {
        let mut all = self.verified.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= self.verified_max && !all.contains_key(&key) {
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            all.retain(|_, old| old.token.claims().exp > now);
            if all.len() >= self.verified_max {
                all.clear(); // Rather some signatures checked twice than a map that grows.
            }
        }
        if self.verified_max > 0 {
            all.insert(key, verified);
        }
    }

    /// Reads everybody's keys ahead of the first token, and again until it has them: a gateway that waits for them is sent
    /// no token that could fetch them.
    pub async fn preload(&self) {
        loop {
            for (issuer, keys) in self.issuers.iter().filter(|(_, keys)| !keys.has_keys()) {
                match keys.refreshed().await {
                    Ok(_) | Err(JwksError::Waiting) => {} // Of the try before this has been told.
                    Err(error) => {
                        tracing::warn!(issuer = issuer.issuer, %error, "an issuer's keys could not be had yet");
                    }
                }
            }
            if self.without_keys().next().is_none() {
                return;
            }
            tokio::time::sleep(PRELOAD_INTERVAL).await;
        }
    }

    /// Those whose keys could not be had so far.
    pub fn without_keys(&self) -> impl Iterator<Item = &str> {
        let without = self.issuers.iter().filter(|(_, keys)| !keys.has_keys());
        without.map(|(issuer, _)| issuer.issuer.as_str())
    }

    /// The names of those that a client may get a token from, for the protected resource's metadata. A credential for an agent
    /// is given to it, not asked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let asked = |(issuer, _): &&(Arc<Issuer>, KeyStore)| {
            let is_authorization_server = issuer.jwt_svids_of.is_none(); // A trust domain is none.
            is_authorization_server && !matches!(issuer.presenter, Presenter::Audience)
        };
        self.issuers.iter().filter(asked).map(|(issuer, _)| issuer.issuer.as_str())
    }
}

/// A key that isn't known may be a new one: the keys are fetched once more before the token is refused.
async fn verify(
    token: &Secret,
    issuer: &Issuer,
    store: &KeyStore,
) -> Result<(Authentic, Arc<Keys>), TokenError> {
    let read = |keys: &Keys| match issuer.jwt_svids_of {
        None => tokens::authentic(token.expose(), keys),
        Some(_) => tokens::authentic_svid(token.expose(), keys, &issuer.issuer),
    };
    let mut keys = store.current().await?;
    let mut verdict = read(&keys);
    if matches!(verdict, Err(tokens::TokenError::UnknownKey { .. })) {
        keys = store.refreshed().await?;
        verdict = read(&keys);
    }
    Ok((verdict?.mapped(&issuer.mapping)?, keys))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use crate::config::Jwks;
    use certs::development::Domain;
    use certs::files::FileSource;
    use certs::{Clock, SharedSource};
    use serde_json::json;
    use std::path::Path;
    use tokens::SigningKey;

    fn issuers(dir: &Path, verified_max: usize) -> Issuers {
        let clock = Clock::system();
        let domain = Domain::open(dir, &certs::TrustDomain::new("a.test").unwrap(), &clock).unwrap();
        let svid = domain.write_svid(dir, &domain.id("gateway").unwrap(), &[], clock.now()).unwrap();
        let source: SharedSource = FileSource::open(svid).unwrap();
        let jwks = Jwks::File { path: dir.join("jwks.json"), refresh: Duration::ZERO };
        let keys = KeyStore::new(&jwks, &source, &clock).unwrap();
        let issuer = Issuer {
            issuer: "https://idp.test".into(),
            jwt_svids_of: None,
            jwks,
            types: vec![],
            algorithms: vec![],
            audiences: vec![],
            mapping: tokens::Mapping::default(),
            presenter: Presenter::Any,
            delegates: false,
            subjects_of: None,
            leeway: Duration::ZERO,
        };
        Issuers::new(vec![(issuer, keys)], verified_max)
    }

    fn publish(dir: &Path, keys: &[&SigningKey]) {
        std::fs::write(dir.join("jwks.json"), SigningKey::jwks(keys.iter().copied()).to_string()).unwrap();
    }

    fn token(key: &SigningKey, sub: &str) -> Secret {
        let claims = json!({"iss": "https://idp.test", "sub": sub, "aud": "x", "exp": 9_000_000_000u64});
        key.sign("at+jwt", claims.as_object().unwrap()).unwrap()
    }

    async fn accepted(issuers: &Issuers, token: &Secret) -> bool {
        issuers.authentic(token, Clock::system().now()).await.is_ok()
    }

    fn remembered(issuers: &Issuers) -> usize {
        issuers.verified.read().unwrap().len()
    }

    #[tokio::test]
    async fn a_token_is_remembered_until_its_issuer_withdraws_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        publish(dir.path(), &[&first]);
        let issuers = issuers(dir.path(), 10);
        let alice = token(&first, "alice");
        for _ in 0..2 {
            assert!(accepted(&issuers, &alice).await);
            assert_eq!(remembered(&issuers), 1);
        }
        publish(dir.path(), &[&first, &second]);
        issuers.issuers[0].1.refreshed().await.unwrap();
        assert!(accepted(&issuers, &alice).await, "its key is still there");
        publish(dir.path(), &[&second]);
        issuers.issuers[0].1.refreshed().await.unwrap();
        assert!(!accepted(&issuers, &alice).await, "its key was withdrawn");
    }

    #[tokio::test]
    async fn keys_that_are_read_anew_and_are_the_same_leave_signatures_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        publish(dir.path(), &[&key]);
        let issuers = issuers(dir.path(), 10);
        issuers.issuers[0].1.refreshed().await.unwrap();
        let before = issuers.issuers[0].1.current().await.unwrap();
        issuers.issuers[0].1.refreshed().await.unwrap();
        assert!(Arc::ptr_eq(&before, &issuers.issuers[0].1.current().await.unwrap()));
    }

    #[tokio::test]
    async fn one_changed_character_is_another_token() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        publish(dir.path(), &[&key]);
        let issuers = issuers(dir.path(), 10);
        let alice = token(&key, "alice");
        assert!(accepted(&issuers, &alice).await);
        let mut changed = alice.expose().to_owned();
        let last = if changed.pop() == Some('A') { 'Q' } else { 'A' };
        changed.push(last);
        assert!(!accepted(&issuers, &Secret::new(changed)).await);
        assert_eq!(remembered(&issuers), 1, "what is refused is not remembered");
    }

    #[tokio::test]
    async fn no_more_are_remembered_than_may_be() {
        for (max, most) in [(2, 2), (0, 0)] {
            let dir = tempfile::tempdir().unwrap();
            let key = SigningKey::generate().unwrap();
            publish(dir.path(), &[&key]);
            let issuers = issuers(dir.path(), max);
            for sub in ["alice", "bob", "carol"] {
                assert!(accepted(&issuers, &token(&key, sub)).await);
                assert!(remembered(&issuers) <= most);
            }
        }
    }

    #[tokio::test]
    async fn keys_are_asked_for_until_they_can_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let issuers = issuers(dir.path(), 10);
        let mut preload = Box::pin(issuers.preload());
        tokio::select! {
            () = &mut preload => unreachable!("there are none yet"),
            _ = issuers.issuers[0].1.refreshed() => {} // By then it has tried, too.
        }
        assert_eq!(issuers.without_keys().collect::<Vec<_>>(), ["https://idp.test"]);
        publish(dir.path(), &[&SigningKey::generate().unwrap()]);
        preload.await;
        assert_eq!(issuers.without_keys().count(), 0);
    }
}
