//! The exchange itself (RFC 8693 §2): who asks, on whose behalf, for which audience, and what that opens.

use super::grants::GivesNothing;
use super::keys::KeyError;
use super::{CREDENTIAL_TTL, TokenService, joined, object, seconds, thumbprint};
use crate::exchange::client::{ACCESS_TOKEN, ACCESS_TOKEN_TYPE, ACTOR_TYPE, GRANT_TYPE, JWT};
use certs::Peer;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};
use tokens::verify::claimed;
use tokens::{Claims, Expect, SigningError};

/// Why nothing is issued: the codes of RFC 6749 §5.2 and RFC 8693 §2.2.2.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// Neither the gateway nor a server with a system of its own.
    #[error("the client is not the gateway, and no server that may exchange")]
    Client,
    /// A parameter is missing, or stands there twice.
    #[error("parameter {0} is missing or repeated")]
    Parameter(&'static str),
    /// Another grant or token type.
    #[error("{0} is of a kind that is not served")]
    Unsupported(&'static str),
    /// The subject or the actor token doesn't hold.
    #[error("the {0} token does not hold")]
    Token(&'static str, #[source] tokens::TokenError),
    /// The subject token is another workload's to present.
    #[error("the actor may not present this subject token")]
    Presenter,
    /// Nobody of that name is served.
    #[error("the audience is not known")]
    Audience,
    /// The subject may not do what is asked, or nothing is asked.
    #[error("the scope is empty or more than the subject has")]
    Scope,
    /// The subject token has ended before its time.
    #[error("the subject token is revoked")]
    Revoked,
    /// Not a registered program, or one that thinks it has a secret.
    #[error("the client is not registered here, or not as what it says")]
    UnknownClient,
    /// A workload that nothing is written for.
    #[error("this workload gets no tokens for itself")]
    Workload,
    /// Not a resource that is served here, or not the one that was allowed (RFC 8707 §2).
    #[error("the resource is missing, or not one that is served here")]
    Resource,
    /// The code or refresh token.
    #[error(transparent)]
    Nothing(GivesNothing),
    /// A token that is not this client's to revoke.
    #[error("the token is another client's")]
    OthersToken,
    /// What has ended could not be written to the gateway's list.
    #[error("the list of revocations can't be written")]
    Revocations(#[source] std::io::Error),
    /// Signing failed.
    #[error("the credential could not be signed")]
    Sign(#[from] SigningError),
    /// The signing keys can't be used.
    #[error("the signing keys can't be used")]
    Keys(#[from] KeyError),
}

impl GrantError {
    /// The error code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Client | Self::UnknownClient => "invalid_client",
            Self::Parameter(_) => "invalid_request",
            Self::Unsupported(_) => "unsupported_grant_type",
            Self::Nothing(GivesNothing::Full | GivesNothing::Random) | Self::Revocations(_) => {
                "temporarily_unavailable"
            }
            Self::Token(..) | Self::Presenter | Self::Revoked | Self::Nothing(_) => "invalid_grant",
            Self::Workload | Self::OthersToken => "unauthorized_client",
            Self::Audience | Self::Resource => "invalid_target",
            Self::Scope => "invalid_scope",
            Self::Sign(_) | Self::Keys(_) => "server_error",
        }
    }

    /// The status that it goes with (RFC 6749 §5.2; 503 as in RFC 7009 §2.2.1).
    pub fn status(&self) -> StatusCode {
        match self.code() {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

const LEEWAY: Duration = Duration::from_secs(5);

impl TokenService {
    /// Performs an exchange for the workload at the other end of the connection.
    ///
    /// # Errors
    /// [`GrantError`]; nothing has been issued.
    pub fn exchange(&self, client: &Peer, form: &[u8], now: SystemTime) -> Result<Value, GrantError> {
        let form = Form::read(form)?;
        form.is("grant_type", GRANT_TYPE)?;
        if client.id != self.settings.gateway {
            return self.for_its_system(client, &form, now);
        }
        form.is("actor_token_type", JWT)?;
        let actor = self.actor(form.get("actor_token")?, now)?;
        let subject = match form.get("subject_token_type")? {
            ACCESS_TOKEN => Some(self.subject(form.get("subject_token")?, &actor, now)?),
            JWT if form.get("subject_token")? == form.get("actor_token")? => None, // A workload that acts for itself.
            _ => return Err(GrantError::Unsupported("subject_token_type")),
        };
        let audience = form.get("audience")?;
        if !self.settings.audiences.contains(audience) {
            return Err(GrantError::Audience);
        }
        let asked: BTreeSet<String> =
            form.get("scope")?.split(' ').filter(|s| !s.is_empty()).map(Into::into).collect();
        if asked.is_empty() || !asked.is_subset(&self.opened(subject.as_ref(), &actor)) {
            return Err(GrantError::Scope);
        }
        let bound = !self.settings.agents.contains(audience); // Agents call onward with theirs, over their own certificates.
        self.issue(client, subject.as_ref(), &actor, (audience, bound), &asked, now)
    }

    /// A server's exchange of a credential that it was given, for the one system behind it. The server is the actor, as its
    /// certificate says, and no other one can be named. The system knows no certificate of ours, so what it gets is bound to
    /// none.
    fn for_its_system(&self, client: &Peer, form: &Form, now: SystemTime) -> Result<Value, GrantError> {
        let id = client.id.to_string();
        let system = self.settings.downstream.get(&id).ok_or(GrantError::Client)?;
        if form.has("actor_token") || form.has("actor_token_type") {
            return Err(GrantError::Unsupported("actor_token"));
        }
        form.is("subject_token_type", ACCESS_TOKEN)?;
        let given = self.made_for(&id, form.get("subject_token")?, now)?;
        if form.get("audience")? != system || self.settings.audiences.contains(system) {
            return Err(GrantError::Audience);
        }
        let asked: BTreeSet<String> = match form.has("scope") {
            true => form.get("scope")?.split(' ').filter(|s| !s.is_empty()).map(Into::into).collect(),
            false => given.scopes.clone(),
        };
        if asked.is_empty() || !asked.is_subset(&given.scopes) {
            return Err(GrantError::Scope);
        }
        self.issue(client, Some(&given), &id, (system, false), &asked, now)
    }

    fn actor(&self, token: &str, now: SystemTime) -> Result<String, GrantError> {
        let expect = Expect {
            issuer: self.actor_issuer.clone(),
            audiences: vec![self.issuer.clone()],
            types: vec![ACTOR_TYPE.into()],
            leeway: LEEWAY,
        };
        Ok(tokens::verify(token, &self.actor_keys, &expect, now)
            .map_err(|e| GrantError::Token("actor", e))?
            .sub)
    }

    fn subject(&self, token: &str, actor: &str, now: SystemTime) -> Result<Claims, GrantError> {
        if claimed(token).and_then(|claimed| claimed.iss).as_deref() == Some(&self.issuer) {
            return self.handed_on(token, actor, now);
        }
        let expect = Expect {
            issuer: self.users_issuer.clone(),
            audiences: self.settings.resources.iter().cloned().collect(),
            types: vec![ACCESS_TOKEN_TYPE.into()],
            leeway: LEEWAY,
        };
        let claims = tokens::verify(token, &self.user_keys.verifying(), &expect, now)
            .map_err(|e| GrantError::Token("subject", e))?;
        if self
            .people
            .as_ref()
            .is_some_and(|people| claims.jti.as_ref().is_some_and(|jti| people.withdrawn.has(jti)))
        {
            return Err(GrantError::Revoked);
        }
        // A person's program is the client; which workload may present its token stands in `azp`.
        let presenter = claims.all.get("azp").map_or(claims.client_id.as_deref(), Value::as_str);
        if presenter == Some(actor) { Ok(claims) } else { Err(GrantError::Presenter) }
    }

    /// A credential that was made here for the actor, which calls onward with it.
    fn handed_on(&self, token: &str, actor: &str, now: SystemTime) -> Result<Claims, GrantError> {
        let claims = self.made_for(actor, token, now)?;
        if claims.x5t_s256.is_none() { Ok(claims) } else { Err(GrantError::Presenter) } // Bound: a server's, to keep.
    }

    /// A credential that was made here for a workload.
    fn made_for(&self, workload: &str, token: &str, now: SystemTime) -> Result<Claims, GrantError> {
        let expect = Expect {
            issuer: self.issuer.clone(),
            audiences: vec![workload.to_owned()],
            types: vec![ACCESS_TOKEN_TYPE.into()],
            leeway: LEEWAY,
        };
        tokens::verify(token, &self.credential_keys.verifying(), &expect, now)
            .map_err(|e| GrantError::Token("subject", e))
    }

    /// What a subject's scopes open; a credential opens what it says and no more. Without a subject, what is the workload's own.
    fn opened(&self, subject: Option<&Claims>, actor: &str) -> BTreeSet<String> {
        match subject {
            Some(claims) if claims.iss == self.issuer => claims.scopes.clone(),
            Some(claims) => {
                claims.scopes.iter().filter_map(|s| self.settings.grants.get(s)).flatten().cloned().collect()
            }
            None => self.settings.workload_grants.get(actor).cloned().unwrap_or_default(),
        }
    }

    fn issue(
        &self,
        client: &Peer,
        subject: Option<&Claims>,
        actor: &str,
        (audience, bound): (&str, bool),
        scopes: &BTreeSet<String>,
        now: SystemTime,
    ) -> Result<Value, GrantError> {
        let at = seconds(now);
        let scope = joined(scopes);
        let ends = subject.map_or(u64::MAX, |s| s.exp).min(at + CREDENTIAL_TTL.as_secs());
        let mut claims = object(json!({
            "iss": self.issuer,
            "sub": subject.map_or(actor, |s| &s.sub),
            "aud": audience,
            "client_id": client.id.to_string(),
            "scope": scope,
            "iat": at,
            "exp": ends,
            "jti": tokens::sign::token_id()?,
        }));
        if bound {
            claims.insert("cnf".into(), thumbprint(client));
        }
        if let Some(subject) = subject {
            let mut act = json!({ "sub": actor });
            if let Some(earlier) = subject.all.get("act") {
                act["act"] = earlier.clone();
            }
            claims.insert("act".into(), act);
        }
        let token = self.credential_keys.sign(ACCESS_TOKEN_TYPE, &claims, now)?;
        Ok(json!({
            "access_token": token.expose(),
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": ends.saturating_sub(at),
            "scope": scope,
        }))
    }
}

/// A form's parameters, each once (RFC 6749 §3.2).
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn read(body: &[u8]) -> Result<Self, GrantError> {
        super::authorize::parameters(body).map(Self).ok_or(GrantError::Parameter("(one of them)"))
    }

    /// Whether a parameter is there; one without a value is not (RFC 6749 §3.2).
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_empty())
    }

    pub(super) fn get(&self, name: &'static str) -> Result<&str, GrantError> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty()).ok_or(GrantError::Parameter(name))
    }

    fn is(&self, name: &'static str, value: &str) -> Result<(), GrantError> {
        if self.get(name)? == value { Ok(()) } else { Err(GrantError::Unsupported(name)) }
    }
}

#[cfg(test)]
mod tests;
