//! What a token service issued, before it is used: for whom, for what, about whom, until when.

use super::asking::{ACCESS_TOKEN, Asked, JWT};
use super::id_jag::ID_JAG;
use super::service::Service;
use super::{Credential, ExchangeError};
use crate::config::{ActorMode, SubjectName};
use crate::delegation;
use serde::Deserialize;
use std::time::{Duration, UNIX_EPOCH};
use tokens::{Claims, Secret};

/// RFC 8693 §2.2.1, RFC 6749 §5.1. What it says of the token besides is checked where it is there.
#[derive(Deserialize)]
pub(super) struct Issued {
    access_token: String,
    issued_token_type: Option<String>,
    token_type: Option<String>,
    /// Seconds; some write them as text, which counts as not said.
    expires_in: Option<serde_json::Value>,
}

/// Whom a credential may name.
#[derive(Debug)]
pub(super) struct Parties {
    pub(super) actor: ActorMode,
    pub(super) subject: SubjectName,
    /// The gateway's `client_id` there.
    pub(super) client: Option<String>,
}

impl Issued {
    /// Reads a token service's answer.
    pub(super) fn read(answer: &[u8]) -> Result<Self, ExchangeError> {
        serde_json::from_slice(answer).map_err(ExchangeError::Answer)
    }

    /// An access token that is borne, as far as the answer says (RFC 8693 §2.2.1).
    fn kind(&self) -> Result<(), ExchangeError> {
        let issued = self.issued_token_type.as_deref().is_none_or(|kind| [ACCESS_TOKEN, JWT].contains(&kind));
        let borne = self.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        if issued && borne { Ok(()) } else { Err(ExchangeError::Kind) }
    }

    /// An ID-JAG, which is no access token, so that nobody takes it for one (RFC 8693 §2.2.1).
    pub(super) fn id_jag(self) -> Result<Secret, ExchangeError> {
        let borne = self.token_type.is_none_or(|kind| !kind.eq_ignore_ascii_case("N_A"));
        if borne || self.issued_token_type.as_deref() != Some(ID_JAG) {
            return Err(ExchangeError::Kind);
        }
        Ok(Secret::new(self.access_token))
    }
}

impl Parties {
    /// The credential, if it is what was asked for. `own`: it was asked for as the gateway's own.
    pub(super) async fn checked(
        &self,
        service: &Service,
        issued: Issued,
        asked: &Asked,
        own: bool,
    ) -> Result<Credential, ExchangeError> {
        issued.kind()?;
        let expires_in = issued.expires_in.as_ref().and_then(serde_json::Value::as_u64);
        let token = Secret::new(issued.access_token);
        let claims = service.verified(&token, &asked.audience, vec![], asked.at).await?;
        let subject = asked.subject.as_ref().map(|subject| &subject.claims);
        let wider = subject.is_some_and(|token| !delegation::narrowed(&claims, &asked.caller, token));
        if claims.scopes.is_empty() || !claims.scopes.is_subset(&asked.scopes) || wider {
            return Err(ExchangeError::Scopes);
        }
        let named = claims.actors.first() == Some(&asked.caller);
        if !self.hold(&claims, asked, own) {
            return Err(ExchangeError::Parties);
        }
        if claims.x5t_s256.as_ref().is_some_and(|print| *print != asked.binding) {
            return Err(ExchangeError::Bound);
        }
        let ends = UNIX_EPOCH + Duration::from_secs(claims.exp);
        let said = expires_in.and_then(|seconds| asked.at.checked_add(Duration::from_secs(seconds)));
        Ok(Credential {
            bearer: Credential::bearer(&token)?,
            audience: asked.audience.clone(),
            scopes: claims.scopes,
            expires_at: said.map_or(ends, |said| said.min(ends)),
            id: claims.jti,
            // Without a subject the caller is the subject.
            actor_recorded: own || (asked.subject.is_some() && !named),
        })
    }

    /// Whether it is about whom it was asked for, and by whose hands. Where `act` need not be there, a wrong one is still wrong.
    fn hold(&self, claims: &Claims, asked: &Asked, own: bool) -> bool {
        let unnamed = self.actor == ActorMode::Recorded && claims.actors.is_empty();
        match &asked.subject {
            Some(_) if unnamed && self.subject == SubjectName::Mapped => self.is_ours(claims),
            Some(token) if unnamed => claims.sub == token.claims.sub,
            Some(token) => delegation::carried_on(claims, &asked.caller, &token.claims, &token.actors),
            None if own => claims.actors.is_empty() && self.is_ours(claims),
            None => claims.sub == asked.caller,
        }
    }

    /// Whether a token was issued to the gateway as a client (RFC 9068 §2.2; `azp` where `client_id` is not there).
    fn is_ours(&self, claims: &Claims) -> bool {
        let azp = claims.all.get("azp").and_then(serde_json::Value::as_str);
        let client = claims.client_id.as_deref().or(azp);
        client.is_some() && client == self.client.as_deref()
    }
}
