//! The embedded token service: issues the subject tokens of development users, and performs RFC 8693 exchanges for the
//! gateway and for nobody else. For one machine; it listens on loopback alone. In production a real one stands here.

pub mod grant;
pub mod listener;

use crate::exchange::client::{ACCESS_TOKEN_TYPE, caller_issuer};
use certs::{Clock, SpiffeId};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{Keys, KeysError, Secret, SigningError, SigningKey};

/// What the service knows.
#[derive(Debug)]
pub struct TokenService {
    issuer: String,
    users_issuer: String,
    user_keys: Keys,
    user_key: SigningKey,
    credential_key: SigningKey,
    credential_keys: Keys,
    actor_keys: Keys,
    actor_issuer: String,
    settings: Settings,
    clock: Clock,
}

/// Who may get what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is reached, as `https://127.0.0.1:9000`.
    pub origin: String,
    /// The only workload that exchanges are performed for.
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
}

/// The private keys, one for each kind of token.
#[derive(Clone, Debug)]
pub struct ServiceKeys {
    /// Signs subject tokens.
    pub users: SigningKey,
    /// Signs credentials.
    pub credentials: SigningKey,
}

/// How long a credential lives.
pub const CREDENTIAL_TTL: Duration = Duration::from_secs(300);

impl TokenService {
    /// A service that believes `actor_key`'s assertions about who calls.
    ///
    /// # Errors
    /// [`KeysError`] if a key can't be published.
    pub fn new(
        keys: ServiceKeys,
        actor_key: &SigningKey,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, KeysError> {
        Ok(Self {
            issuer: issuer(&settings.origin),
            users_issuer: users_issuer(&settings.origin),
            user_keys: Keys::from_jwks(SigningKey::jwks([&keys.users]).to_string().as_bytes())?,
            user_key: keys.users,
            credential_keys: Keys::from_jwks(SigningKey::jwks([&keys.credentials]).to_string().as_bytes())?,
            credential_key: keys.credentials,
            actor_keys: Keys::from_jwks(SigningKey::jwks([actor_key]).to_string().as_bytes())?,
            actor_issuer: caller_issuer(actor_key),
            settings,
            clock,
        })
    }

    /// The keys that verify subject tokens.
    pub fn user_jwks(&self) -> Value {
        SigningKey::jwks([&self.user_key])
    }

    /// The keys that verify credentials.
    pub fn credential_jwks(&self) -> Value {
        SigningKey::jwks([&self.credential_key])
    }

    /// Authorization server metadata (RFC 8414) of one of the two issuers.
    fn metadata(&self, issuer: &str, jwks: &str) -> Value {
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{}{jwks}", self.settings.origin),
            "token_endpoint": format!("{}{}", self.settings.origin, listener::TOKEN),
            "grant_types_supported": [crate::exchange::client::GRANT_TYPE],
            "token_endpoint_auth_methods_supported": ["tls_client_auth"],
            "response_types_supported": [],
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
    let at = seconds(now);
    let claims = json!({
        "iss": claims.issuer,
        "sub": claims.subject,
        "aud": claims.audience,
        "client_id": claims.presenter.to_string(),
        "scope": claims.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        "iat": at,
        "exp": at + claims.ttl.as_secs(),
        "jti": tokens::sign::token_id()?,
    });
    key.sign(ACCESS_TOKEN_TYPE, &object(claims))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
