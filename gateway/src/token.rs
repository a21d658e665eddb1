//! Stage 3 of 9: on whose behalf the caller acts.
//! In: the `Authorization` header. Out: a [`SubjectToken`], or none where the server allows that.
//! A token must be from a configured issuer, for this gateway, in its time, and presented by the workload that it names.

use crate::config::{Issuer, Presenter};
use crate::identity::Caller;
use crate::jwks::{JwksError, KeyStore};
use crate::route::ServerRoute;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::verify::claimed_issuer;
use tokens::{Claims, Expect, Secret};

/// An access token that was accepted, with what it says. Only this file can make one.
#[derive(Clone, Debug)]
pub struct SubjectToken {
    token: Secret,
    claims: Claims,
    delegates: bool,
    ends: SystemTime,
}

/// The issuers of a snapshot.
#[derive(Debug, Default)]
pub struct Issuers(Vec<(Issuer, KeyStore)>);

/// Why there is no acceptable token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// None was sent, and this server needs one.
    #[error("no bearer token")]
    Missing,
    /// More than one `Authorization` header, or none that is `Bearer` (RFC 6750 §2.1).
    #[error("the Authorization header is not one bearer token")]
    Header,
    /// Its `iss` is nobody's that is configured.
    #[error("the token's issuer is not configured here")]
    UnknownIssuer,
    /// The issuer's keys can't be had.
    #[error("the issuer's keys can't be had")]
    Keys(#[from] JwksError),
    /// It doesn't verify.
    #[error("the token does not verify")]
    Invalid(#[from] tokens::TokenError),
    /// It is bound to another certificate than the caller's (RFC 8705 §3).
    #[error("the token is bound to another certificate")]
    Bound,
    /// It names another presenter than the caller.
    #[error("the token is another workload's to present")]
    Presenter,
}

/// How long it is until keys that could not be had are asked for again.
const PRELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// Reads and verifies the caller's token.
///
/// # Errors
/// [`TokenError`]; all of them are a 401 with a challenge.
pub async fn subject(
    headers: &HeaderMap,
    caller: &Caller,
    server: &ServerRoute,
    issuers: &Issuers,
    now: SystemTime,
) -> Result<Option<SubjectToken>, TokenError> {
    let Some(token) = bearer(headers)? else {
        return if server.subject_required() { Err(TokenError::Missing) } else { Ok(None) };
    };
    let (issuer, keys) = issuers.of(token.expose()).ok_or(TokenError::UnknownIssuer)?;
    let expect = Expect {
        issuer: issuer.issuer.clone(),
        audiences: server.token_audiences(caller.id()),
        types: issuer.types.clone(),
        leeway: issuer.leeway,
    };
    let claims = verify(&token, keys, &expect, now).await?;
    presented_by(&claims, &issuer.presenter, caller)?;
    let ends = UNIX_EPOCH + Duration::from_secs(claims.exp) + issuer.leeway;
    Ok(Some(SubjectToken { token, claims, delegates: issuer.delegates, ends }))
}

/// A key that isn't known may be a new one: the keys are fetched once more before the token is refused.
async fn verify(
    token: &Secret,
    keys: &KeyStore,
    expect: &Expect,
    now: SystemTime,
) -> Result<Claims, TokenError> {
    match tokens::verify(token.expose(), keys.current().await?.as_ref(), expect, now) {
        Err(tokens::TokenError::UnknownKey { .. }) => {
            Ok(tokens::verify(token.expose(), keys.refreshed().await?.as_ref(), expect, now)?)
        }
        verdict => Ok(verdict?),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(TokenError::Header);
    }
    let value = value.to_str().map_err(|_| TokenError::Header)?;
    let (scheme, token) = value.split_once(' ').ok_or(TokenError::Header)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains([' ', ',']) {
        return Err(TokenError::Header);
    }
    Ok(Some(Secret::new(token)))
}

fn presented_by(claims: &Claims, presenter: &Presenter, caller: &Caller) -> Result<(), TokenError> {
    if claims.x5t_s256.as_deref().is_some_and(|print| print != caller.thumbprint()) {
        return Err(TokenError::Bound);
    }
    match presenter {
        Presenter::Any => Ok(()),
        Presenter::Claim { name, map } => {
            let named = claims.all.get(name).and_then(|v| v.as_str()).ok_or(TokenError::Presenter)?;
            let named = if map.is_empty() { Some(named) } else { map.get(named).map(String::as_str) };
            if named == Some(caller.id().to_string().as_str()) { Ok(()) } else { Err(TokenError::Presenter) }
        }
    }
}

impl SubjectToken {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Itself, for the token service and nobody else.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// When it is accepted no more: `exp` and the leeway of its issuer's clock.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// The chain of actors, if its issuer is believed in that.
    pub fn actors(&self) -> &[String] {
        if self.delegates { &self.claims.actors } else { &[] }
    }
}

impl Issuers {
    /// Issuers with the stores of their keys.
    pub fn new(issuers: Vec<(Issuer, KeyStore)>) -> Self {
        Self(issuers)
    }

    fn of(&self, token: &str) -> Option<(&Issuer, &KeyStore)> {
        let claimed = claimed_issuer(token)?;
        self.0.iter().find(|(issuer, _)| issuer.issuer == claimed).map(|(issuer, keys)| (issuer, keys))
    }

    /// Reads everybody's keys ahead of the first token, and again until it has them: a gateway that waits for them is sent
    /// no token that could fetch them.
    pub async fn preload(&self) {
        loop {
            for (issuer, keys) in self.0.iter().filter(|(_, keys)| !keys.has_keys()) {
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
        self.0.iter().filter(|(_, keys)| !keys.has_keys()).map(|(issuer, _)| issuer.issuer.as_str())
    }

    /// Their names, for the protected resource's metadata.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(issuer, _)| issuer.issuer.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::Issuers;
    use crate::config::{Issuer, Jwks, Presenter};
    use crate::jwks::KeyStore;
    use certs::development::Domain;
    use certs::files::FileSource;
    use certs::{Clock, SharedSource, TrustDomain};
    use std::time::Duration;
    use tokens::SigningKey;

    #[tokio::test]
    async fn keys_are_asked_for_until_they_can_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let domain = Domain::open(dir.path(), &TrustDomain::new("a.test").unwrap(), &clock).unwrap();
        let svid = domain.write_svid(dir.path(), &domain.id("gateway").unwrap(), &[], clock.now()).unwrap();
        let source: SharedSource = FileSource::open(svid).unwrap();
        let jwks = Jwks::File { path: dir.path().join("jwks.json"), refresh: Duration::ZERO };
        let issuer = Issuer {
            issuer: "https://late.test".into(),
            jwks: jwks.clone(),
            types: vec![],
            presenter: Presenter::Any,
            delegates: false,
            leeway: Duration::ZERO,
        };
        let issuers = Issuers::new(vec![(issuer, KeyStore::new(&jwks, &source, &clock).unwrap())]);
        let mut preload = Box::pin(issuers.preload());
        tokio::select! {
            () = &mut preload => unreachable!("there are none yet"),
            _ = issuers.0[0].1.refreshed() => {} // By then it has tried, too.
        }
        assert_eq!(issuers.without_keys().collect::<Vec<_>>(), ["https://late.test"]);
        let keys = SigningKey::jwks([&SigningKey::generate().unwrap()]).to_string();
        std::fs::write(dir.path().join("jwks.json"), keys).unwrap();
        preload.await;
        assert_eq!(issuers.without_keys().count(), 0);
    }
}
