//! The embedded token service: lets people sign in and their programs get tokens (RFC 6749 with PKCE), gives workloads
//! tokens of their own, and performs RFC 8693 exchanges: for the gateway, and for a server of ours whose own system takes
//! tokens, which gets one for that system and no other. For one machine; it listens on loopback alone, with mutual TLS ([`listener`]) and for people's programs without ([`public`]). In production a real one
//! stands here.

pub mod keys;
pub mod settings;
pub mod users;
pub mod people;
mod clients;
mod authorize;
mod page;
pub mod grants;
pub mod grant;
mod issue;
mod withdrawn;
mod random;
pub mod listener;
pub mod public;

pub use people::People;

use crate::exchange::client::{ACCESS_TOKEN_TYPE, caller_issuer};
use certs::{Clock, Peer, SpiffeId};
use keys::{KeyError, Ring};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{Keys, Secret, SigningError, SigningKey};

/// What the service knows.
#[derive(Debug)]
pub struct TokenService {
    issuer: String,
    users_issuer: String,
    user_keys: Ring,
    credential_keys: Ring,
    actor_keys: Keys,
    actor_issuer: String,
    settings: Settings,
    people: Option<People>,
    clock: Clock,
}

/// Who may get what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is reached, as `https://127.0.0.1:9000`.
    pub origin: String,
    /// The workload that exchanges are performed for.
    pub gateway: SpiffeId,
    /// The gateway's URL and those of the servers below it: the audiences of subject tokens.
    pub resources: BTreeSet<String>,
    /// Whom credentials are made for.
    pub audiences: BTreeSet<String>,
    /// Those of them that are agents. They call onward with their credentials, so these are bound to no certificate.
    pub agents: BTreeSet<String>,
    /// From a subject's scope to the scopes of credentials that it opens.
    pub grants: BTreeMap<String, BTreeSet<String>>,
    /// The same for workloads that act for themselves, by SPIFFE ID.
    pub workload_grants: BTreeMap<String, BTreeSet<String>>,
    /// Servers whose own system takes tokens, by SPIFFE ID, and the audience that this system is. Each may exchange a
    /// credential that was made for it for one for that audience. Nothing of ours is such an audience.
    pub downstream: BTreeMap<String, String>,
}

/// The private keys, one for each kind of token.
#[derive(Clone, Debug)]
pub struct ServiceKeys {
    /// Signs subject tokens.
    pub users: SigningKey,
    /// Signs credentials.
    pub credentials: SigningKey,
}

/// The same, each kind's keys following each other.
#[derive(Debug)]
pub struct Rings {
    /// Sign access tokens for the gateway.
    pub users: Ring,
    /// Sign credentials.
    pub credentials: Ring,
}

/// How long a credential lives.
pub const CREDENTIAL_TTL: Duration = Duration::from_secs(300);

impl TokenService {
    /// A service that believes `actor_key`'s assertions about who calls.
    ///
    /// # Errors
    /// [`KeyError`] if a key can't be published.
    pub fn new(
        keys: ServiceKeys,
        actor_key: &SigningKey,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        let rings = Rings { users: Ring::of(keys.users)?, credentials: Ring::of(keys.credentials)? };
        Self::with_rings(rings, actor_key, settings, clock)
    }

    /// The same, with keys that follow each other.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_rings(
        rings: Rings,
        actor_key: &SigningKey,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            issuer: issuer(&settings.origin),
            users_issuer: users_issuer(&settings.origin),
            user_keys: rings.users,
            credential_keys: rings.credentials,
            actor_keys: Keys::from_jwks(SigningKey::jwks([actor_key]).to_string().as_bytes())?,
            actor_issuer: caller_issuer(actor_key),
            settings,
            people: None,
            clock,
        })
    }

    /// The same, with people who sign in; the issuer of subject tokens is then at their origin.
    pub fn with_people(mut self, people: People) -> Self {
        self.users_issuer.clone_from(&people.issuer);
        self.people = Some(people);
        self
    }

    /// The flows for people, if there are any.
    pub fn people(&self) -> Option<&People> {
        self.people.as_ref()
    }

    /// Makes the next keys and destroys old ones, where that is due. Says whether what is published has changed.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn rotate_keys(&self) -> Result<bool, KeyError> {
        let now = self.clock.now();
        Ok(self.user_keys.rotate(now)? | self.credential_keys.rotate(now)?)
    }

    /// The keys that verify subject tokens.
    pub fn user_jwks(&self) -> Value {
        self.user_keys.jwks()
    }

    /// The keys that verify credentials.
    pub fn credential_jwks(&self) -> Value {
        self.credential_keys.jwks()
    }

    /// Authorization server metadata (RFC 8414) of credentials.
    fn metadata(&self) -> Value {
        let origin = &self.settings.origin;
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{origin}{}", listener::JWKS),
            "token_endpoint": format!("{origin}{}", listener::TOKEN),
            "grant_types_supported": [crate::exchange::client::GRANT_TYPE],
            "token_endpoint_auth_methods_supported": ["tls_client_auth"],
            "response_types_supported": [],
        })
    }

    /// The same for a system behind a server, which knows OpenID Connect's document and has no certificate of ours.
    fn credentials_metadata(&self, people: &People) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{}{}", people.origin, listener::JWKS),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// The same of subject tokens. What the OpenID documents ask for beyond it stands there too, for clients that look
    /// there; ID tokens are not issued.
    fn users_metadata(&self) -> Value {
        let origin = &self.settings.origin;
        let Some(people) = &self.people else {
            return json!({
                "issuer": self.users_issuer,
                "jwks_uri": format!("{origin}{}", listener::USERS_JWKS),
                "token_endpoint": format!("{origin}{}", listener::TOKEN),
                "grant_types_supported": [crate::exchange::client::GRANT_TYPE],
                "token_endpoint_auth_methods_supported": ["tls_client_auth"],
                "response_types_supported": [],
            });
        };
        let at = |path: &str| format!("{}{path}", people.origin);
        let users = people.settings.users.values().flat_map(|user| &user.scopes);
        let scopes: BTreeSet<&String> = users.chain(people.settings.workloads.values().flatten()).collect();
        json!({
            "issuer": people.issuer,
            "authorization_endpoint": at(public::AUTHORIZE),
            "token_endpoint": at(listener::TOKEN),
            "registration_endpoint": at(public::REGISTER),
            "revocation_endpoint": at(listener::REVOKE),
            "jwks_uri": at(listener::USERS_JWKS),
            "scopes_supported": scopes,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_methods_supported": ["none", "tls_client_auth"],
            "revocation_endpoint_auth_methods_supported": ["none", "tls_client_auth"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "tls_client_certificate_bound_access_tokens": true,
            "mtls_endpoint_aliases": {
                "token_endpoint": format!("{origin}{}", listener::TOKEN),
                "revocation_endpoint": format!("{origin}{}", listener::REVOKE),
            },
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }
}

/// The issuer of credentials.
pub fn issuer(origin: &str) -> String {
    format!("{origin}/oauth")
}

/// The issuer of subject tokens.
pub fn users_issuer(origin: &str) -> String {
    format!("{origin}/oauth/users")
}

/// A subject token, as a person's sign-in would have made it: who, from where, presented by whom, for what.
#[derive(Clone, Debug)]
pub struct SubjectClaims<'a> {
    /// [`users_issuer`].
    pub issuer: &'a str,
    /// The person.
    pub subject: &'a str,
    /// The one workload that may present it.
    pub presenter: &'a SpiffeId,
    /// The gateway's URL, or one server's below it.
    pub audience: &'a str,
    /// What the person may do.
    pub scopes: &'a BTreeSet<String>,
    /// How long.
    pub ttl: Duration,
}

/// Issues a subject token (RFC 9068).
///
/// # Errors
/// [`SigningError`].
pub fn subject_token(
    key: &SigningKey,
    claims: &SubjectClaims<'_>,
    now: SystemTime,
) -> Result<Secret, SigningError> {
    key.sign(ACCESS_TOKEN_TYPE, &subject_claims(claims, now)?)
}

/// What stands in a subject token.
///
/// # Errors
/// [`SigningError::Generate`].
pub fn subject_claims(
    claims: &SubjectClaims<'_>,
    now: SystemTime,
) -> Result<Map<String, Value>, SigningError> {
    let at = seconds(now);
    let claims = json!({
        "iss": claims.issuer,
        "sub": claims.subject,
        "aud": claims.audience,
        "client_id": claims.presenter.to_string(),
        "azp": claims.presenter.to_string(),
        "scope": joined(claims.scopes),
        "iat": at,
        "exp": at + claims.ttl.as_secs(),
        "jti": tokens::sign::token_id()?,
    });
    Ok(object(claims))
}

/// A certificate's thumbprint as a confirmation (RFC 8705 §3.1).
fn thumbprint(peer: &Peer) -> Value {
    json!({ "x5t#S256": tokens::x5t_s256(peer.thumbprint) })
}

/// A list of scopes (RFC 6749 §3.3); none if one of them isn't one.
fn scopes_of(text: &str) -> Option<BTreeSet<String>> {
    text.split(' ').filter(|s| !s.is_empty()).map(|s| is_scope(s).then(|| s.to_owned())).collect()
}

fn joined(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// Whether a text is one scope (RFC 6749 §3.3).
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
