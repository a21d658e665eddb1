//! Asks a token service for credentials (RFC 8693), and checks what comes back before it is used.

use super::cache::{Cache, Key};
use super::{Credential, ExchangeError, Grant};
use crate::config::TokenService;
use crate::delegation;
use crate::https::{Https, HttpsError};
use crate::jwks::KeyStore;
use crate::metrics::{ExchangeOutcome, Metrics};
use crate::token::SubjectToken;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::{Clock, SharedSource};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokens::{Expect, Secret, SigningKey};
use url::Url;
use url::form_urlencoded::Serializer;

/// `grant_type` of a token exchange (RFC 8693 §2.1).
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Token type of an access token (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Token type of any JWT (RFC 8693 §3).
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// `typ` of the assertions about actors that the gateway signs.
pub const ACTOR_TYPE: &str = "sallyport-actor+jwt";
/// `typ` of a JWT access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// How long an actor assertion lives.
const ACTOR_TTL: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Clock difference to the token service that is put up with.
const LEEWAY: Duration = Duration::from_secs(30);

/// A client of one token service.
#[derive(Debug)]
pub struct Client {
    endpoint: Url,
    issuer: String,
    https: Https,
    keys: KeyStore,
    actor_key: SigningKey,
    timeout: Duration,
    cache: Cache,
    metrics: Arc<Metrics>,
}

/// RFC 8693 §2.2.1.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Client {
    /// A client with an empty cache.
    ///
    /// # Errors
    /// [`HttpsError`] if the service's authorities can't be read.
    pub fn new(
        service: TokenService,
        source: &SharedSource,
        clock: &Clock,
        credentials_max: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, HttpsError> {
        Ok(Self {
            https: Https::new(&service.server, source, clock)?,
            keys: KeyStore::new(&service.jwks, source, clock)?,
            endpoint: service.token_endpoint,
            issuer: service.issuer,
            actor_key: service.actor_key,
            timeout: service.timeout,
            cache: Cache::new(credentials_max),
            metrics,
        })
    }

    /// The credential for a permitted call, from the cache or from the token service.
    ///
    /// # Errors
    /// [`ExchangeError`]; nothing has gone upstream.
    pub async fn credential(
        &self,
        grant: &Grant<'_>,
        now: SystemTime,
    ) -> Result<Arc<Credential>, ExchangeError> {
        let asked = Asked {
            caller: grant.question.caller.spiffe_id().to_owned(),
            audience: grant.audience().to_owned(),
            scopes: grant.scopes(),
            binding: URL_SAFE_NO_PAD.encode(grant.identity.svid.peer().thumbprint),
        };
        let subject = grant.question.subject;
        let key = Key::new(
            subject.map(SubjectToken::digest),
            &asked.caller,
            &asked.audience,
            &asked.scopes,
            &asked.binding,
        );
        let (began, mut hit) = (Instant::now(), true);
        let fresh = async || {
            hit = false;
            let token = self.exchange(&asked, subject.map(|s| s.token()), now).await?;
            self.checked(token, &asked, subject, now).await
        };
        let given = self.cache.get(key, now, fresh).await;
        let outcome = match &given {
            Ok(_) if hit => ExchangeOutcome::Hit,
            Ok(_) => ExchangeOutcome::Fetched,
            Err(ExchangeError::Refused { .. }) => ExchangeOutcome::Refused,
            Err(_) => ExchangeOutcome::Failed,
        };
        self.metrics.exchange(outcome, began.elapsed());
        given
    }

    async fn exchange(
        &self,
        asked: &Asked,
        subject: Option<&Secret>,
        now: SystemTime,
    ) -> Result<Secret, ExchangeError> {
        let actor = self.actor_assertion(&asked.caller, now)?;
        let (subject_token, subject_type) = subject.map_or((&actor, JWT), |token| (token, ACCESS_TOKEN));
        let form = Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("subject_token", subject_token.expose())
            .append_pair("subject_token_type", subject_type)
            .append_pair("actor_token", actor.expose())
            .append_pair("actor_token_type", JWT)
            .append_pair("requested_token_type", ACCESS_TOKEN)
            .append_pair("audience", &asked.audience)
            .append_pair("scope", &asked.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
            .finish();
        let answer = self
            .https
            .post_form(&self.endpoint, form, self.timeout, ANSWER_BYTES_MAX)
            .await
            .map_err(refused)?;
        let issued: Issued = serde_json::from_slice(&answer).map_err(ExchangeError::Answer)?;
        Ok(Secret::new(issued.access_token))
    }

    /// Our word for who calls: `sub` the caller, for the token service alone, a minute at most.
    fn actor_assertion(&self, caller: &str, now: SystemTime) -> Result<Secret, ExchangeError> {
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": caller_issuer(&self.actor_key),
            "sub": caller,
            "aud": self.issuer,
            "iat": at,
            "exp": at + ACTOR_TTL.as_secs(),
            "jti": tokens::sign::token_id()?,
        });
        let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
        Ok(self.actor_key.sign(ACTOR_TYPE, &claims)?)
    }

    async fn checked(
        &self,
        token: Secret,
        asked: &Asked,
        subject: Option<&SubjectToken>,
        now: SystemTime,
    ) -> Result<Credential, ExchangeError> {
        let expect = Expect {
            issuer: self.issuer.clone(),
            audiences: vec![asked.audience.clone()],
            types: vec![],
            leeway: LEEWAY,
        };
        let claims = match tokens::verify(token.expose(), self.keys.current().await?.as_ref(), &expect, now) {
            Err(tokens::TokenError::UnknownKey { .. }) => {
                tokens::verify(token.expose(), self.keys.refreshed().await?.as_ref(), &expect, now)?
            }
            verdict => verdict?,
        };
        if claims.aud != [asked.audience.as_str()] {
            return Err(tokens::TokenError::Audience.into()); // One audience: a second one could use it too.
        }
        if claims.scopes.is_empty() || !claims.scopes.is_subset(&asked.scopes) {
            return Err(ExchangeError::Scopes);
        }
        if subject.is_some_and(|s| !delegation::narrowed(&claims, &asked.caller, s.claims())) {
            return Err(ExchangeError::Scopes);
        }
        let parties = match subject {
            Some(s) => delegation::carried_on(&claims, &asked.caller, s.claims(), s.actors()),
            None => claims.sub == asked.caller,
        };
        if !parties {
            return Err(ExchangeError::Parties);
        }
        if claims.x5t_s256.as_ref().is_some_and(|print| *print != asked.binding) {
            return Err(ExchangeError::Bound);
        }
        Ok(Credential {
            bearer: Credential::bearer(&token)?,
            audience: asked.audience.clone(),
            scopes: claims.scopes,
            expires_at: UNIX_EPOCH + Duration::from_secs(claims.exp),
            id: claims.jti,
        })
    }
}

struct Asked {
    caller: String,
    audience: String,
    scopes: BTreeSet<String>,
    binding: String,
}

/// The assertions' `iss`: the key's own name, since they are verified with that key and no other.
pub fn caller_issuer(key: &SigningKey) -> String {
    format!("urn:sallyport:actor:{}", key.kid())
}

fn refused(error: HttpsError) -> ExchangeError {
    match &error {
        HttpsError::Status { status, body } if status.is_client_error() => {
            match serde_json::from_slice::<Refusal>(body) {
                Ok(refusal) => ExchangeError::Refused { code: refusal.error },
                Err(_) => ExchangeError::Service(error),
            }
        }
        _ => ExchangeError::Service(error),
    }
}
