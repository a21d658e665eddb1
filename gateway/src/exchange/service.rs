//! One token service: how it is asked, when it is left alone, and whose signature its tokens carry.

use super::breaker::Breaker;
use super::issued::Issued;
use super::proof::Proof;
use super::{ExchangeError, Party, Refused};
use crate::config::{self, ServiceClient, TokenEndpoint};
use crate::https::{Https, HttpsError};
use crate::jwks::KeyStore;
use certs::{Clock, Identity, SharedSource};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokens::{Claims, Expect, Secret};
use url::Url;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long after a connection failed the second and last one is tried.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// Clock difference to the service that is put up with.
const LEEWAY: Duration = Duration::from_secs(30);

/// A service and what we know of it.
#[derive(Debug)]
pub(super) struct Service {
    party: Party,
    /// Its name as it calls itself.
    pub(super) issuer: String,
    endpoint: Url,
    https: Https,
    proof: Proof,
    keys: KeyStore,
    breaker: Breaker,
}

/// One question: until when it is worth an answer, and with which of our identities it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occasion<'a> {
    pub(super) identity: &'a Arc<Identity>,
    pub(super) at: SystemTime,
    pub(super) until: Instant,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Service {
    pub(super) fn new(
        party: Party,
        at: TokenEndpoint,
        breaker: config::Breaker,
        source: &SharedSource,
        clock: &Clock,
    ) -> Result<Self, HttpsError> {
        let https = match &at.client {
            ServiceClient::Svid { .. } => Https::showing_our_svid(&at.server, source, clock)?,
            _ => Https::new(&at.server, source, clock)?,
        };
        Ok(Self {
            party,
            proof: Proof::new(at.client, &at.issuer),
            issuer: at.issuer,
            endpoint: at.url,
            https,
            keys: KeyStore::new(&at.jwks, source, clock)?,
            breaker: Breaker::new(breaker),
        })
    }

    /// Whether it is left alone now, so that nobody else need be asked on its behalf.
    pub(super) fn is_left_alone(&self) -> bool {
        self.breaker.is_open(Instant::now())
    }

    /// Sends a form, with what proves who we are, and reads the answer. A service that fails too often is left alone.
    pub(super) async fn asked(&self, form: &str, on: Occasion<'_>) -> Result<Issued, ExchangeError> {
        if !self.breaker.admits(Instant::now()) {
            return Err(ExchangeError::Open);
        }
        let answer = self.sent(form, on).await;
        match &answer {
            Ok(_) | Err(ExchangeError::Refused { .. }) => self.breaker.answered(),
            Err(ExchangeError::Service(_) | ExchangeError::Answer(_)) => {
                if self.breaker.failed(Instant::now()) {
                    tracing::warn!(
                        issuer = self.issuer,
                        "the {} failed too often: it is left alone for a while",
                        self.party
                    );
                }
            }
            Err(_) => {} // It was not asked.
        }
        answer
    }

    async fn sent(&self, form: &str, on: Occasion<'_>) -> Result<Issued, ExchangeError> {
        let https = self.https.showing(on.identity); // What is issued is bound to the certificate that is shown.
        let left = || on.until.saturating_duration_since(Instant::now());
        let mut again = true;
        loop {
            let shown = self.proof.shown(on.identity, on.at, left() / 2).await?;
            let form = shown.added_to(form);
            let posted = https.post_form(&self.endpoint, form, shown.authorization, left(), ANSWER_BYTES_MAX);
            match posted.await {
                Ok(answer) => return Issued::read(&answer),
                // Nothing was sent. After anything else it may have been heard.
                Err(HttpsError::Connect(_)) if again && RETRY_AFTER < left() => {
                    again = false;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(refused(error, self.party)),
            }
        }
    }

    /// What a token of this service says, if it is one, for this audience alone and of one of these types (any, if none).
    pub(super) async fn verified(
        &self,
        token: &Secret,
        audience: &str,
        types: Vec<String>,
        at: SystemTime,
    ) -> Result<Claims, ExchangeError> {
        let expect = Expect {
            issuer: self.issuer.clone(),
            audiences: vec![audience.to_owned()],
            types,
            leeway: LEEWAY,
        };
        let verified = |keys: &tokens::Keys| tokens::verify(token.expose(), keys, &expect, at);
        let claims = match verified(self.keys.current().await?.as_ref()) {
            Err(tokens::TokenError::UnknownKey { .. }) => verified(self.keys.refreshed().await?.as_ref())?,
            verdict => verdict?,
        };
        if claims.aud != [audience] {
            return Err(tokens::TokenError::Audience.into()); // One audience: a second one could use it too.
        }
        Ok(claims)
    }
}

/// A refusal, where the answer is one (RFC 6749 §5.2): not that the service has too much to do, or has failed.
fn refused(error: HttpsError, by: Party) -> ExchangeError {
    let HttpsError::Status { status, body } = &error else { return ExchangeError::Service(error) };
    if !status.is_client_error() || status.as_u16() == 429 {
        return ExchangeError::Service(error);
    }
    match serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error) {
        Ok(code) if !["temporarily_unavailable", "server_error", "slow_down"].contains(&code.as_str()) => {
            ExchangeError::Refused { by, why: Refused::of(&code), code: printable(&code) }
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
