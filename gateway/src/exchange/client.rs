//! The credential for a call: from the cache, or from a token service, checked before it is used.

use super::asking::{Asked, Manner, Presented, Wanted};
use super::cache::{Cache, Found, Key, Outcome};
use super::id_jag::IdJag;
use super::issued::Parties;
use super::service::{Occasion, Service};
use super::{Credential, ExchangeError, Grant, Party};
use crate::config::{ActorMode, SubjectName, TokenService, WithoutSubject};
use crate::https::HttpsError;
use crate::metrics::{ExchangeOutcome, Metrics};
use crate::token::SubjectToken;
use certs::{Clock, Identity, SharedSource};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use super::asking::{ACCESS_TOKEN, ACTOR_TYPE, GRANT_TYPE, JWT, caller_issuer};

/// `typ` of a JWT access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// A client of one token service.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Service,
    manner: Manner,
    without_subject: WithoutSubject,
    /// Who has to be asked first, if anybody.
    id_jag: Option<IdJag>,
    timeout: Duration,
    parties: Parties,
    cache: Cache,
    metrics: Arc<Metrics>,
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
        let manner = Manner {
            issuer: service.at.issuer.clone(),
            actor_key: service.actor_key.clone(),
            names_actor: true,
            wanted: Wanted::AccessToken(service.target),
        };
        let parties = Parties {
            actor: service.actor,
            subject: service.id_jag.as_ref().map_or(SubjectName::Same, |id_jag| id_jag.subject),
            client: service.at.client.id().map(ToOwned::to_owned),
        };
        let id_jag = service.id_jag.map(|id_jag| {
            let names_actor = service.actor == ActorMode::Required;
            let (issuer, key) = (&service.at.issuer, service.actor_key);
            IdJag::new(id_jag, issuer, key, names_actor, service.breaker, source, clock)
        });
        let id_jag = id_jag.transpose()?;
        Ok(Self(Arc::new(Inner {
            service: Service::new(Party::TokenService, service.at, service.breaker, source, clock)?,
            manner,
            without_subject: service.without_subject,
            id_jag,
            timeout: service.timeout,
            parties,
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
            is_jwt_svid: s.is_jwt_svid(),
            claims: s.claims().clone(),
            actors: s.actors().to_vec(),
        }),
        audience: grant.audience().to_owned(),
        scopes: grant.scopes().owned(),
        binding: tokens::x5t_s256(grant.identity.svid.peer().thumbprint),
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
        let on = Occasion { identity, at: asked.at, until: Instant::now() + self.timeout };
        let own = asked.subject.is_none() && self.without_subject == WithoutSubject::ClientCredentials;
        let form = match &self.id_jag {
            _ if own => self.manner.own(asked),
            Some(_) if self.service.is_left_alone() => return Err(ExchangeError::Open),
            Some(id_jag) => id_jag.grant(asked, on).await?,
            None => self.manner.exchange(asked)?,
        };
        let issued = self.service.asked(&form, on).await?;
        self.parties.checked(&self.service, issued, asked, own).await
    }
}
