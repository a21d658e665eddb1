//! Credentials by way of an identity provider (MCP enterprise-managed authorization): it exchanges the subject token for an
//! Identity Assertion JWT Authorization Grant (RFC 8693), which the token service takes as a grant (RFC 7523 §2.1).
//!
//! The provider so decides who may use which server, and the token service what its tokens look like.

use super::asking::{Asked, ID_TOKEN, Manner, Wanted};
use super::issued::Issued;
use super::service::{Occasion, Service};
use super::{ExchangeError, Party};
use crate::config::{self, Breaker, SubjectTokenKind};
use crate::https::HttpsError;
use certs::{Clock, SharedSource};
use serde_json::Value;
use tokens::{Secret, SigningKey, TokenError};
use url::form_urlencoded::Serializer;

/// Token type of the assertion (draft-ietf-oauth-identity-assertion-authz-grant §4.3).
pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// `typ` of the assertion (§3.1 there).
pub const ID_JAG_TYPE: &str = "oauth-id-jag+jwt";
/// `grant_type` of the second step (RFC 7523 §2.1).
pub const JWT_BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// An identity provider, and for which token service it speaks.
#[derive(Debug)]
pub(super) struct IdJag {
    provider: Service,
    manner: Manner,
    /// The token service, as it calls itself.
    audience: String,
    /// Our `client_id` there.
    client_id: String,
}

impl IdJag {
    /// `audience` is the token service's issuer.
    pub(super) fn new(
        id_jag: config::IdJag,
        audience: &str,
        actor_key: SigningKey,
        names_actor: bool,
        breaker: Breaker,
        source: &SharedSource,
        clock: &Clock,
    ) -> Result<Self, HttpsError> {
        let wanted = Wanted::IdJag {
            audience: audience.to_owned(),
            subject_token: match id_jag.subject_token {
                SubjectTokenKind::AccessToken => super::asking::ACCESS_TOKEN,
                SubjectTokenKind::IdToken => ID_TOKEN,
            },
        };
        let manner = Manner { issuer: id_jag.at.issuer.clone(), actor_key, names_actor, wanted };
        let provider = Service::new(Party::IdentityProvider, id_jag.at, breaker, source, clock)?;
        Ok(Self { provider, manner, audience: audience.to_owned(), client_id: id_jag.client_id })
    }

    /// The form of the second step, with an assertion that is what was asked for.
    pub(super) async fn grant(&self, asked: &Asked, on: Occasion<'_>) -> Result<String, ExchangeError> {
        let issued = self.provider.asked(&self.manner.exchange(asked)?, on).await?;
        let checked = self.checked(issued, asked).await;
        let assertion = checked.map_err(|error| ExchangeError::Assertion(Box::new(error)))?;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", JWT_BEARER_GRANT)
            .append_pair("assertion", assertion.expose())
            .append_pair("resource", &asked.audience)
            .append_pair("scope", &asked.scope());
        Ok(form.finish())
    }

    async fn checked(&self, issued: Issued, asked: &Asked) -> Result<Secret, ExchangeError> {
        let assertion = issued.id_jag()?;
        let types = vec![ID_JAG_TYPE.to_owned()];
        let claims = self.provider.verified(&assertion, &self.audience, types, asked.at).await?;
        let subject = asked.subject.as_ref().map_or(&asked.caller, |subject| &subject.claims.sub);
        if claims.sub != *subject || claims.client_id.as_deref() != Some(&self.client_id) {
            return Err(ExchangeError::Parties);
        }
        if claims.all.get("resource").is_some_and(|resource| !names(resource, &asked.audience)) {
            return Err(TokenError::Audience.into());
        }
        if !claims.scopes.is_subset(&asked.scopes) {
            return Err(ExchangeError::Scopes);
        }
        Ok(assertion)
    }
}

/// Whether a `resource` is this one and no other.
fn names(resource: &Value, audience: &str) -> bool {
    match resource {
        Value::String(one) => one == audience,
        Value::Array(all) => !all.is_empty() && all.iter().all(|one| one == audience),
        _ => false,
    }
}
