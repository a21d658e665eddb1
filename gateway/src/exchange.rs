//! Stage 6 of 9: the credential that goes upstream.
//! In: a permit and the subject token. Out: a [`Credential`] for one audience with the least scopes, made by a token
//! service (RFC 8693, or RFC 7523 where an identity provider says so first). The caller's own token ends here.

pub mod breaker;
pub mod cache;
pub mod client;
pub mod id_jag;
mod asking;
mod issued;
mod proof;
mod service;

pub use client::Client;

use crate::authorize::Question;
use crate::config::Server;
use crate::decode::Call;
use crate::https::HttpsError;
use crate::jwks::JwksError;
use certs::Identity;
use certs::jwt::JwtSvidError;
use http::HeaderValue;
use policy::Permit;
use protocol::mcp::Target;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use tokens::{Secret, SigningError};

/// What a credential is asked for with. The permit is the licence to ask.
pub struct Grant<'a> {
    /// Policy's permit.
    pub permit: &'a Permit,
    /// The server that the credential is for.
    pub server: &'a Arc<Server>,
    /// Who asked for what.
    pub question: &'a Question<'a>,
    /// Our SVID, which the credential gets bound to.
    pub identity: &'a Arc<Identity>,
}

/// A token that one upstream accepts. `Debug` shows for whom and for what, never the token.
#[derive(Debug)]
pub struct Credential {
    /// As the header `Authorization` has it; marked as sensitive, so that nothing prints it.
    pub(crate) bearer: HeaderValue,
    pub(crate) audience: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) expires_at: SystemTime,
    pub(crate) id: Option<String>,
    /// Whether it says nothing of the workload that called, so that only the audit does.
    pub(crate) actor_recorded: bool,
}

/// The scopes that a credential is asked for with. Never none.
#[derive(Clone, Copy, Debug)]
pub enum Scopes<'a> {
    /// Sorted: the obligation's, or those configured for the operation.
    Listed(&'a [String]),
    /// `<server>:<operation>`.
    Default {
        /// The server's name.
        server: &'a str,
        /// The tool, or the family of methods.
        operation: &'a str,
    },
}

/// What a token service refuses, as far as it matters to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A person has to do something first: sign in again, consent.
    Interaction,
    /// The scopes.
    Scope,
    /// The audience (RFC 8693 §2.2.2).
    Audience,
    /// All of it.
    Grant,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Who makes credentials.
    TokenService,
    /// Who says for whom one may be asked for.
    IdentityProvider,
}

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The token service can't be reached, or failed.
    #[error("the token service did not answer as it should")]
    Service(#[source] HttpsError),
    /// It refused (RFC 6749 §5.2).
    #[error("the {by} refused: {code}")]
    Refused {
        /// Who.
        by: Party,
        /// What of it.
        why: Refused,
        /// `invalid_grant`, `invalid_scope`, `invalid_target` and so on.
        code: String,
    },
    /// It failed too often, and is left alone for a while.
    #[error("the token service has failed too often and is left alone for a while")]
    Open,
    /// The exchange ended without an outcome.
    #[error("the exchange was given up")]
    Lost,
    /// Its answer isn't of the form of RFC 8693 §2.2.1.
    #[error("the token service's answer can't be read")]
    Answer(#[source] serde_json::Error),
    /// What it issued is no access token, or has to be shown in another way than as a bearer token.
    #[error("the issued token is of another kind")]
    Kind,
    /// What it issued, or what proves who we are, can't stand in a header.
    #[error("a token has characters that no token has")]
    Header,
    /// Its keys can't be had.
    #[error("the token service's keys can't be had")]
    Keys(#[from] JwksError),
    /// What it issued doesn't verify, or is for another audience.
    #[error("the issued token does not verify")]
    Token(#[from] tokens::TokenError),
    /// What it issued allows more than was asked for, or nothing.
    #[error("the issued token's scopes are not those asked for")]
    Scopes,
    /// What it issued is about another subject, or its chain of actors isn't the caller and those before it (RFC 8693 §4.1).
    #[error("the issued token names another subject or other actors")]
    Parties,
    /// It is bound to another certificate than ours.
    #[error("the issued token is bound to another certificate")]
    Bound,
    /// What the identity provider gave is not what it was asked for.
    #[error("the identity provider's assertion is not what was asked for")]
    Assertion(#[source] Box<ExchangeError>),
    /// There is no JWT-SVID to prove who we are.
    #[error("the gateway has no JWT-SVID to show")]
    JwtSvid(#[from] JwtSvidError),
    /// An assertion of ours could not be signed.
    #[error("an assertion of the gateway could not be signed")]
    Actor(#[from] SigningError),
}

impl Credential {
    /// `Bearer` and the token (RFC 6750 §2.1).
    fn bearer(token: &Secret) -> Result<HeaderValue, ExchangeError> {
        let text = format!("Bearer {}", token.expose());
        let mut bearer = HeaderValue::try_from(text).map_err(|_| ExchangeError::Header)?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }
}

impl Grant<'_> {
    /// Whom the credential is for.
    pub(crate) fn audience(&self) -> &str {
        self.permit.audience().unwrap_or(&self.server.audience)
    }

    /// What it allows: the obligation's scopes, else the configured ones of the tool, else `<server>:<operation>`.
    pub(crate) fn scopes(&self) -> Scopes<'_> {
        if let Some(scopes) = self.permit.scopes().filter(|scopes| !scopes.is_empty()) {
            return Scopes::Listed(scopes);
        }
        let operation = match self.question.call {
            Call::A2a(_) | Call::Card => self.question.call.method(),
            Call::Mcp(call) => match &call.target {
                Target::Tool { name } => name,
                _ if call.method.starts_with("resources/") => "resources",
                _ if call.method.starts_with("prompts/") => "prompts",
                _ => "protocol",
            },
        };
        match self.server.scopes.get(operation) {
            Some(scopes) => Scopes::Listed(scopes),
            None => Scopes::Default { server: &self.server.name, operation },
        }
    }
}

impl Scopes<'_> {
    fn owned(self) -> BTreeSet<String> {
        match self {
            Self::Listed(scopes) => scopes.iter().cloned().collect(),
            Self::Default { server, operation } => BTreeSet::from([format!("{server}:{operation}")]),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenService => "token service",
            Self::IdentityProvider => "identity provider",
        })
    }
}

impl Refused {
    /// What an error code is about: those of RFC 6749 §5.2, RFC 8693 §2.2.2, OpenID Connect Core §3.1.2.6 and RFC 9470 §3.
    fn of(code: &str) -> Self {
        match code {
            "interaction_required"
            | "consent_required"
            | "login_required"
            | "account_selection_required"
            | "insufficient_user_authentication" => Self::Interaction,
            "invalid_scope" | "insufficient_scope" => Self::Scope,
            "invalid_target" => Self::Audience,
            _ => Self::Grant,
        }
    }
}
