//! Stage 3 of 9: on whose behalf the caller acts.
//! In: the `Authorization` header. Out: a [`SubjectToken`], or none where the server allows that.
//! A token must be from a configured issuer, for this gateway, in its time, and presented by the workload that it names.
//! Its signature is checked once and remembered; all the rest is judged anew for each request.

pub mod issuers;

pub use issuers::Issuers;

use crate::config::{Issuer, Presenter};
use crate::delegation::ChainError;
use crate::digest::Digest;
use crate::identity::Caller;
use crate::jwks::JwksError;
use crate::revocation::Revoked;
use crate::route::{self, ServerRoute};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use issuers::Found;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{Authentic, Claims, Expect, Secret};

/// An access token that was accepted, with what it says. Only this file can make one.
#[derive(Clone, Debug)]
pub struct SubjectToken {
    token: Secret,
    digest: Digest,
    authentic: Arc<Authentic>,
    issuer: Arc<Issuer>,
    ends: SystemTime,
}

/// Why there is no acceptable token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// None was sent, and this server needs one.
    #[error("no bearer token")]
    Missing,
    /// More than one `Authorization` header, or none that is `Bearer` (RFC 6750 §2.1).
    #[error("the Authorization header is not one bearer token")]
    Header,
    /// Its `iss` is nobody's that is configured.
    #[error("the token's issuer is not configured here")]
    UnknownIssuer,
    /// The issuer's keys can't be had.
    #[error("the issuer's keys can't be had")]
    Keys(#[from] JwksError),
    /// It doesn't verify.
    #[error("the token does not verify")]
    Invalid(#[from] tokens::TokenError),
    /// Its issuer signs otherwise.
    #[error("the token is signed with {found}, which is not accepted from its issuer")]
    Algorithm {
        /// Its `alg`.
        found: String,
    },
    /// It is bound to another certificate than the caller's (RFC 8705 §3).
    #[error("the token is bound to another certificate")]
    Bound,
    /// It names another presenter than the caller.
    #[error("the token is another workload's to present")]
    Presenter,
    /// Its chain of actors is too deep or goes in circles.
    #[error("the chain of actors is not accepted")]
    Chain(#[from] ChainError),
    /// It is revoked, or its subject, or a workload that handed it on.
    #[error(transparent)]
    Revoked(#[from] Revoked),
}

/// Reads and verifies the caller's token.
///
/// # Errors
/// [`TokenError`]; all of them are a 401 with a challenge.
pub async fn subject(
    headers: &HeaderMap,
    caller: &Caller,
    server: &ServerRoute,
    issuers: &Issuers,
    now: SystemTime,
) -> Result<Option<SubjectToken>, TokenError> {
    let Some(token) = bearer(headers)? else {
        return if server.subject_required() { Err(TokenError::Missing) } else { Ok(None) };
    };
    let found = issuers.authentic(&token, now).await?;
    accepted(token, found, server.token_audiences(caller), caller, now).map(Some)
}

/// The same where no server is called and none is needed: for the gateway itself.
///
/// # Errors
/// [`TokenError`], but never for want of a token.
pub async fn optional(
    headers: &HeaderMap,
    caller: &Caller,
    url: &str,
    issuers: &Issuers,
    now: SystemTime,
) -> Result<Option<SubjectToken>, TokenError> {
    let Some(token) = bearer(headers)? else { return Ok(None) };
    let found = issuers.authentic(&token, now).await?;
    accepted(token, found, route::token_audiences(url, caller), caller, now).map(Some)
}

fn accepted(
    token: Secret,
    found: Found,
    audiences: Vec<String>,
    caller: &Caller,
    now: SystemTime,
) -> Result<SubjectToken, TokenError> {
    let issuer = &found.issuer;
    let expect = Expect {
        issuer: issuer.issuer.clone(),
        audiences: believed(audiences, issuer, caller),
        types: issuer.types.clone(),
        leeway: issuer.leeway,
    };
    let algorithm = found.token.algorithm();
    if !issuer.algorithms.is_empty() && !issuer.algorithms.iter().any(|accepted| accepted == algorithm) {
        return Err(TokenError::Algorithm { found: algorithm.to_owned() });
    }
    found.token.judge(&expect, now)?;
    let claims = found.token.claims();
    presented_by(claims, &issuer.presenter, caller)?;
    let ends = UNIX_EPOCH + Duration::from_secs(claims.exp) + issuer.leeway;
    Ok(SubjectToken { token, digest: found.digest, authentic: found.token, issuer: found.issuer, ends })
}

/// Whom a token may be for. One for the caller itself is a credential that was made for it, by who makes those; from anybody
/// else it is what somebody sent to the caller to say who they are, and not to be passed on.
fn believed(mut all: Vec<String>, issuer: &Issuer, caller: &Caller) -> Vec<String> {
    if issuer.jwt_svids_of.is_some() || !matches!(issuer.presenter, Presenter::Audience) {
        all.retain(|audience| audience != caller.spiffe_id());
    }
    all.extend_from_slice(&issuer.audiences);
    all
}

fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(TokenError::Header);
    }
    let value = value.to_str().map_err(|_| TokenError::Header)?;
    let (scheme, token) = value.split_once(' ').ok_or(TokenError::Header)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains([' ', ',']) {
        return Err(TokenError::Header);
    }
    Ok(Some(Secret::new(token)))
}

fn presented_by(claims: &Claims, presenter: &Presenter, caller: &Caller) -> Result<(), TokenError> {
    if claims.x5t_s256.as_deref().is_some_and(|print| print != caller.thumbprint()) {
        return Err(TokenError::Bound);
    }
    match presenter {
        Presenter::Any => Ok(()),
        Presenter::Audience if claims.aud == [caller.spiffe_id()] => Ok(()),
        Presenter::Audience => Err(TokenError::Presenter),
        Presenter::Claim { name, map } => {
            let named = claims.all.get(name).and_then(|v| v.as_str()).ok_or(TokenError::Presenter)?;
            let named = if map.is_empty() { Some(named) } else { map.get(named).map(String::as_str) };
            if named == Some(caller.spiffe_id()) { Ok(()) } else { Err(TokenError::Presenter) }
        }
    }
}

impl SubjectToken {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        self.authentic.claims()
    }

    /// The same, for whoever outlives the request.
    pub(crate) fn said(&self) -> Arc<Authentic> {
        Arc::clone(&self.authentic)
    }

    /// Itself, for the token service and nobody else.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Whether it is a workload's JWT-SVID, and no access token.
    pub(crate) fn is_jwt_svid(&self) -> bool {
        self.issuer.jwt_svids_of.is_some()
    }

    /// SHA-256 of the token: what stands for it where it must not stand.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// When it is accepted no more: `exp` and the leeway of its issuer's clock.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// The chain of actors, if its issuer is believed in that.
    pub fn actors(&self) -> &[String] {
        if self.issuer.delegates { &self.claims().actors } else { &[] }
    }

    /// Who knows the subject by its name: the issuer, or the one whose people an issuer of credentials hands on. The
    /// configuration says that; no token does.
    pub(crate) fn subject_of(&self) -> &str {
        self.issuer.subjects_of.as_deref().unwrap_or(&self.claims().iss)
    }
}
