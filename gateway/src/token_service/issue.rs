//! The token endpoint of people's programs (authorization_code, refresh_token) and of workloads (client_credentials), and
//! the end of what it gave (RFC 7009).

use super::grant::{Form, GrantError};
use super::grants::{Given, GivesNothing, Presented};
use super::people::People;
use super::{TokenService, joined, object, scopes_of, seconds, thumbprint};
use crate::exchange::client::ACCESS_TOKEN_TYPE;
use certs::Peer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};
use tokens::{Claims, Expect, Secret};

/// An access token for the gateway, before it is signed.
struct Access<'a> {
    subject: &'a str,
    /// The workload that may present it.
    presenter: &'a str,
    client: &'a str,
    resource: &'a str,
    scopes: &'a BTreeSet<String>,
    ends: SystemTime,
    /// The one certificate that it is bound to (RFC 8705 §3).
    bound_to: Option<&'a Peer>,
}

impl TokenService {
    /// Answers a program of a person's.
    ///
    /// # Errors
    /// [`GrantError`]; what a code or a refresh token that came again had given has ended.
    pub(super) fn for_a_person(
        &self,
        people: &People,
        form: &[u8],
        now: SystemTime,
    ) -> Result<Value, GrantError> {
        let form = Form::read(form)?;
        form.without_secrets()?;
        let grant_type = form.get("grant_type")?;
        let client = form.get("client_id")?;
        let resource = form.resource(self)?;
        let given = {
            let mut state = people.state();
            state.clients.used(client, now).ok_or(GrantError::UnknownClient)?;
            match grant_type {
                "authorization_code" => {
                    let by = Presented {
                        client,
                        redirect: form.get("redirect_uri")?,
                        verifier: form.get("code_verifier")?,
                        resource: resource.as_deref(),
                    };
                    state.grants.redeem(form.get("code")?, &by, now)
                }
                "refresh_token" => {
                    let scopes = form.scopes()?;
                    let token = form.get("refresh_token")?;
                    state.grants.refresh(token, client, resource.as_deref(), scopes, now)
                }
                _ => return Err(GrantError::Unsupported("grant_type")),
            }
        };
        match given {
            Ok(given) => self.give(people, &given, now),
            Err(why) => {
                if let GivesNothing::CodeAgain(ended) | GivesNothing::RefreshAgain(ended) = &why {
                    let what = format!("client {client}: {why}; {} access tokens revoked", ended.len());
                    people.note("grant_ended", &what);
                    people.withdraw(ended).map_err(GrantError::Revocations)?;
                }
                Err(why.into())
            }
        }
    }

    fn give(&self, people: &People, given: &Given, now: SystemTime) -> Result<Value, GrantError> {
        let allowed = &given.allowed;
        let access = Access {
            subject: &allowed.user,
            presenter: &allowed.agent,
            client: &allowed.client,
            resource: &allowed.resource,
            scopes: &allowed.scopes,
            ends: given.ends,
            bound_to: None,
        };
        let (mut answer, jti, ends) = self.access_token(people, &access, now)?;
        people.state().grants.note(&given.id, jti, ends, now)?;
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("refresh_token".into(), given.refresh.expose().into());
        }
        Ok(answer)
    }

    /// An access token for a workload that acts for itself; it is bound to the certificate that was shown.
    ///
    /// # Errors
    /// [`GrantError`].
    pub(super) fn for_a_workload(
        &self,
        peer: &Peer,
        form: &[u8],
        now: SystemTime,
    ) -> Result<Value, GrantError> {
        let people = self.people.as_ref().ok_or(GrantError::Unsupported("grant_type"))?;
        let form = Form::read(form)?;
        let id = peer.id.to_string();
        if form.get("client_id")? != id {
            return Err(GrantError::UnknownClient); // RFC 8705 §2: named, and proven by the certificate.
        }
        let mine = people.settings.workloads.get(&peer.id).ok_or(GrantError::Workload)?;
        let resource = form.resource(self)?.ok_or(GrantError::Resource)?;
        let scopes = form.scopes()?.unwrap_or_else(|| mine.clone());
        if scopes.is_empty() || !scopes.is_subset(mine) {
            return Err(GrantError::Scope);
        }
        let access = Access {
            subject: &id,
            presenter: &id,
            client: &id,
            resource: &resource,
            scopes: &scopes,
            ends: peer.not_after,
            bound_to: Some(peer),
        };
        Ok(self.access_token(people, &access, now)?.0)
    }

    /// The answer of RFC 6749 §5.1, the token's `jti` and its end (RFC 9068; `azp` names who may present it).
    fn access_token(
        &self,
        people: &People,
        access: &Access<'_>,
        now: SystemTime,
    ) -> Result<(Value, String, SystemTime), GrantError> {
        let ends = access.ends.min(now + people.settings.lifetimes.access_token);
        let (jti, scope) = (tokens::sign::token_id()?, joined(access.scopes));
        let mut claims = object(json!({
            "iss": people.issuer,
            "sub": access.subject,
            "aud": access.resource,
            "client_id": access.client,
            "azp": access.presenter,
            "scope": scope,
            "iat": seconds(now),
            "exp": seconds(ends),
            "jti": jti,
        }));
        if let Some(peer) = access.bound_to {
            claims.insert("cnf".into(), thumbprint(peer));
        }
        let token: Secret = self.user_keys.sign(ACCESS_TOKEN_TYPE, &claims, now)?;
        people.note(
            "token_issued",
            &format!(
                "jti {jti} for {} to {} at {} through client {}: {scope}",
                access.subject, access.presenter, access.resource, access.client
            ),
        );
        let answer = json!({
            "access_token": token.expose(),
            "token_type": "Bearer",
            "expires_in": seconds(ends).saturating_sub(seconds(now)),
            "scope": scope,
        });
        Ok((answer, jti, ends))
    }

    /// Ends a token that `client` was given: a refresh token with its whole grant, an access token alone. One that is not
    /// known, or over, is as the client wants it.
    ///
    /// # Errors
    /// [`GrantError`]; [`GrantError::OthersToken`] for a token of another client.
    pub(super) fn revoke(
        &self,
        people: &People,
        client: &str,
        token: &str,
        now: SystemTime,
    ) -> Result<(), GrantError> {
        let ended = match people.state().grants.revoke(token, client) {
            Ok(Some(ended)) => Some(ended),
            Ok(None) => None,
            Err(_) => return Err(GrantError::OthersToken),
        };
        let ended = match ended {
            Some(ended) => ended,
            None => match self.own_access_token(people, token, now) {
                None => return Ok(()),
                Some(claims) if claims.client_id.as_deref() != Some(client) => {
                    return Err(GrantError::OthersToken);
                }
                Some(claims) => {
                    let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(claims.exp);
                    claims.jti.map(|jti| (jti, ends)).into_iter().collect()
                }
            },
        };
        people.note("token_revoked", &format!("client {client}: {} access tokens", ended.len()));
        people.withdraw(&ended).map_err(GrantError::Revocations)
    }

    fn own_access_token(&self, people: &People, token: &str, now: SystemTime) -> Option<Claims> {
        let expect = Expect {
            issuer: people.issuer.clone(),
            audiences: self.settings.resources.iter().cloned().collect(),
            types: vec![ACCESS_TOKEN_TYPE.into()],
            leeway: Duration::ZERO,
        };
        tokens::verify(token, &self.user_keys.verifying(), &expect, now).ok()
    }

    /// The resource that a client means, as it is written in tokens: URLs may be written in more than one way.
    pub(super) fn resource(&self, asked: &str) -> Option<String> {
        let asked = url::Url::parse(asked).ok()?;
        let same = |known: &&String| url::Url::parse(known).is_ok_and(|known| known == asked);
        self.settings.resources.iter().find(same).cloned()
    }
}

impl Form {
    /// A public client proves nothing, and must not think that it did.
    fn without_secrets(&self) -> Result<(), GrantError> {
        let secrets = ["client_secret", "client_assertion", "client_assertion_type"];
        if secrets.iter().any(|name| self.has(name)) { Err(GrantError::UnknownClient) } else { Ok(()) }
    }

    /// RFC 8707 §2: the one that was asked for, if one was.
    fn resource(&self, service: &TokenService) -> Result<Option<String>, GrantError> {
        if !self.has("resource") {
            return Ok(None);
        }
        service.resource(self.get("resource")?).map(Some).ok_or(GrantError::Resource)
    }

    fn scopes(&self) -> Result<Option<BTreeSet<String>>, GrantError> {
        if !self.has("scope") {
            return Ok(None);
        }
        scopes_of(self.get("scope")?).map(Some).ok_or(GrantError::Scope)
    }
}

impl From<GivesNothing> for GrantError {
    fn from(why: GivesNothing) -> Self {
        match why {
            GivesNothing::Resource => Self::Resource,
            GivesNothing::Scope => Self::Scope,
            why => Self::Nothing(why),
        }
    }
}
