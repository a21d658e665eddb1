//! Asks a token service for credentials (RFC 8693), and checks what comes back before it is used.

use super::asking::{Asked, Manner, Presented};
use super::breaker::Breaker;
use super::cache::{Cache, Found, Key, Outcome};
use super::issued::{Issued, Issuer};
use super::{Credential, ExchangeError, Grant, Refused};
use crate::config::{ServiceClient, TokenService};
use crate::https::{Https, HttpsError};
use crate::jwks::KeyStore;
use crate::metrics::{ExchangeOutcome, Metrics};
use crate::token::SubjectToken;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::{Clock, Identity, SharedSource};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use url::Url;

pub use super::asking::{ACCESS_TOKEN, ACTOR_TYPE, GRANT_TYPE, JWT, caller_issuer};

/// `typ` of a JWT access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long after a connection failed the second and last one is tried.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A client of one token service.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Url,
    https: Https,
    timeout: Duration,
    manner: Manner,
    issuer: Issuer,
    breaker: Breaker,
    cache: Cache,
    metrics: Arc<Metrics>,
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
        let (https, client) = match &service.client {
            ServiceClient::Svid { id } => {
                (Https::showing_our_svid(&service.server, source, clock)?, id.clone())
            }
            ServiceClient::Secret { id, .. } | ServiceClient::Key { id, .. } => {
                (Https::new(&service.server, source, clock)?, Some(id.clone()))
            }
        };
        let issuer = Issuer {
            name: service.issuer.clone(),
            keys: KeyStore::new(&service.jwks, source, clock)?,
            actor: service.actor,
            client,
        };
        let manner = Manner {
            issuer: service.issuer,
            actor_key: service.actor_key,
            client: service.client,
            target: service.target,
            without_subject: service.without_subject,
        };
        Ok(Self(Arc::new(Inner {
            https,
            endpoint: service.token_endpoint,
            timeout: service.timeout,
            manner,
            issuer,
            breaker: Breaker::new(service.breaker),
            cache: Cache::new(credentials_max, service.refusals_kept),
            metrics,
        })))
    }

    /// The credential for a permitted call, from the cache or from the token service.
    ///
    /// # Errors
    /// [`ExchangeError`]; nothing has gone upstream. All who waited for the same exchange hear the same.
    pub async fn credential(&self, grant: &Grant<'_>, now: SystemTime) -> Outcome {
        let subject = grant.question.subject;
        let key = Key::new(
            subject.map(SubjectToken::digest),
            grant.question.caller.spiffe_id(),
            grant.audience(),
            &grant.scopes(),
            &grant.identity.svid.peer().thumbprint,
        );
        let inner = &self.0;
        let fresh = || {
            let (inner, asked, identity) = (Arc::clone(inner), asked(grant, now), Arc::clone(grant.identity));
            async move { inner.fetched(&asked, &identity).await }
        };
        match inner.cache.find(key, now) {
            Found::Kept(credential) => {
                inner.metrics.remembered(ExchangeOutcome::Hit);
                Ok(credential)
            }
            Found::Aging(credential, slot) => {
                slot.begin(now, fresh); // The old one is served meanwhile.
                inner.metrics.remembered(ExchangeOutcome::Hit);
                Ok(credential)
            }
            Found::Refused(error) => {
                inner.metrics.remembered(ExchangeOutcome::Refused);
                Err(error)
            }
            Found::Nothing(slot) => Box::pin(slot.awaited(now, fresh)).await, // Boxed: seldom, and large.
        }
    }
}

fn asked(grant: &Grant<'_>, now: SystemTime) -> Asked {
    Asked {
        caller: grant.question.caller.spiffe_id().to_owned(),
        subject: grant.question.subject.map(|s| Presented {
            token: s.token().clone(),
            kind: if s.is_jwt_svid() { JWT } else { ACCESS_TOKEN },
            claims: s.claims().clone(),
            actors: s.actors().to_vec(),
        }),
        audience: grant.audience().to_owned(),
        scopes: grant.scopes().owned(),
        binding: URL_SAFE_NO_PAD.encode(grant.identity.svid.peer().thumbprint),
        at: now,
    }
}

impl Inner {
    /// One exchange, counted and timed.
    async fn fetched(&self, asked: &Asked, identity: &Arc<Identity>) -> Result<Credential, ExchangeError> {
        let began = Instant::now();
        let fetched = self.exchanged(asked, identity).await;
        let outcome = match &fetched {
            Ok(_) => ExchangeOutcome::Fetched,
            Err(ExchangeError::Refused { .. }) => ExchangeOutcome::Refused,
            Err(_) => ExchangeOutcome::Failed,
        };
        self.metrics.exchange(outcome, began.elapsed());
        fetched
    }

    async fn exchanged(&self, asked: &Asked, identity: &Arc<Identity>) -> Result<Credential, ExchangeError> {
        if !self.breaker.admits(Instant::now()) {
            return Err(ExchangeError::Open);
        }
        let answer = self.asked(asked, identity).await;
        match &answer {
            Ok(_) | Err(ExchangeError::Refused { .. }) => self.breaker.answered(),
            Err(ExchangeError::Service(_) | ExchangeError::Answer(_)) => {
                if self.breaker.failed(Instant::now()) {
                    tracing::warn!("the token service failed too often: it is left alone for a while");
                }
            }
            Err(_) => {} // It was not asked.
        }
        self.issuer.checked(answer?, asked, self.manner.own(asked)).await
    }

    async fn asked(&self, asked: &Asked, identity: &Arc<Identity>) -> Result<Issued, ExchangeError> {
        let https = self.https.showing(identity); // What is issued is bound to the certificate that is shown.
        let began = Instant::now();
        let mut again = true;
        loop {
            let request = self.manner.request(asked)?;
            let left = self.timeout.saturating_sub(began.elapsed());
            let posted =
                https.post_form(&self.endpoint, request.form, request.authorization, left, ANSWER_BYTES_MAX);
            match posted.await {
                Ok(answer) => return Issued::read(&answer),
                // Nothing was sent. After anything else it may have been heard.
                Err(HttpsError::Connect(_)) if again && began.elapsed() + RETRY_AFTER < self.timeout => {
                    again = false;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }
}

/// A refusal, where the answer is one (RFC 6749 §5.2): not that the service has too much to do, or has failed.
fn refused(error: HttpsError) -> ExchangeError {
    let HttpsError::Status { status, body } = &error else { return ExchangeError::Service(error) };
    if !status.is_client_error() || status.as_u16() == 429 {
        return ExchangeError::Service(error);
    }
    match serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error) {
        Ok(code) if !["temporarily_unavailable", "server_error", "slow_down"].contains(&code.as_str()) => {
            ExchangeError::Refused { why: Refused::of(&code), code: printable(&code) }
        }
        _ => ExchangeError::Service(error),
    }
}

/// A code as it may stand in a record: the service chose it.
fn printable(code: &str) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if code.len() <= 64 && code.chars().all(known) {
        code.to_owned()
    } else {
        "(a code of no known form)".into()
    }
}
