//! The token that a request brings: made by the token service for this server, and presented by the certificate that
//! it is bound to; one that is bound to none is accepted only where that was asked for. Its signature is checked once and
//! remembered; all the rest is judged with each request.

mod verified;

use crate::flags::Flags;
use crate::keys::{KeyFile, KeyFileError};
use certs::Peer;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokens::{Authentic, Expect, Keys, Secret, TokenError};
use verified::{Name, Verified};

/// What judges tokens.
pub(crate) struct Bearer {
    keys: KeyFile,
    expect: Expect,
    verified: Verified,
    accepts_unbound: bool,
}

/// Why a request's token is not accepted. Its texts hold nothing of the token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BearerError {
    #[error("the request has no bearer token")]
    Missing,
    #[error("the request has more than one Authorization header")]
    Repeated,
    #[error("the token is not accepted")]
    Token(#[source] TokenError),
    #[error("the token is bound to another certificate")]
    OtherCertificate,
    #[error("the token is bound to no certificate")]
    Unbound,
}

impl Bearer {
    pub(crate) fn new(flags: &Flags, now: Instant) -> Result<Self, KeyFileError> {
        let expect = Expect {
            issuer: flags.issuer.clone(),
            audiences: vec![flags.audience.clone()],
            types: flags.token_types.clone(),
            leeway: flags.limits.leeway,
        };
        let verified = Verified::new(flags.limits.verified_tokens_max);
        let keys = KeyFile::open(flags.jwks.clone(), now)?;
        Ok(Self { keys, expect, verified, accepts_unbound: flags.accept_unbound_tokens })
    }

    /// Whether the keys' file can be read; the last good keys are used where it can't.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.is_good(Instant::now())
    }

    /// The token as text, verified or not.
    pub(crate) fn presented(headers: &HeaderMap) -> Option<Secret> {
        text(headers).ok().map(Secret::new)
    }

    /// Reads and verifies the token (RFC 6750 §2.1, RFC 8705 §3). Whether its scopes are enough is for who knows the call.
    pub(crate) fn token(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        time: SystemTime,
        now: Instant,
    ) -> Result<Arc<Authentic>, BearerError> {
        let text = text(headers)?;
        let name = Name::of(text);
        let keys = self.keys.current(now);
        let token = match self.verified.find(&name, &keys) {
            Some(token) => {
                token.judge(&self.expect, time).map_err(BearerError::Token)?;
                token
            }
            None => {
                let (token, keys) = self.authentic(text, keys, now).map_err(BearerError::Token)?;
                token.judge(&self.expect, time).map_err(BearerError::Token)?;
                let token = Arc::new(token);
                self.verified.keep(name, &token, &keys, time); // What isn't for us takes nobody's place.
                token
            }
        };
        match &token.claims().x5t_s256 {
            Some(print) if *print == tokens::x5t_s256(peer.thumbprint) => Ok(token),
            Some(_) => Err(BearerError::OtherCertificate),
            None if self.accepts_unbound => Ok(token),
            None => Err(BearerError::Unbound),
        }
    }

    /// The token, if its signature holds, and the keys under which it does. A key that isn't known may be a new one: the file
    /// is read once more before the token is refused.
    fn authentic(
        &self,
        text: &str,
        keys: Arc<Keys>,
        now: Instant,
    ) -> Result<(Authentic, Arc<Keys>), TokenError> {
        match tokens::authentic(text, &keys) {
            Err(error @ TokenError::UnknownKey { .. }) => {
                let keys = self.keys.reread(now).ok_or(error)?;
                Ok((tokens::authentic(text, &keys)?, keys))
            }
            other => Ok((other?, keys)),
        }
    }
}

impl BearerError {
    /// A word for the log: `TokenError` quotes the token's header in its texts, so they are not printed.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Repeated => "authorization_repeated",
            Self::OtherCertificate => "token_of_another_certificate",
            Self::Unbound => "token_unbound",
            Self::Token(error) => match error {
                TokenError::TooLong => "token_too_long",
                TokenError::Malformed => "token_malformed",
                TokenError::Json(_) => "token_json",
                TokenError::Critical => "token_critical_header",
                TokenError::Type { .. } => "token_type",
                TokenError::UnknownKey { .. } => "token_key_unknown",
                TokenError::Algorithm { .. } => "token_algorithm",
                TokenError::Signature => "token_signature",
                TokenError::Claim(_) => "token_claim",
                TokenError::Issuer => "token_issuer",
                TokenError::Audience => "token_audience",
                TokenError::Expired => "token_expired",
                TokenError::NotYetValid => "token_not_yet_valid",
            },
        }
    }
}

fn text(headers: &HeaderMap) -> Result<&str, BearerError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().map_err(|_| BearerError::Missing)?,
        (Some(_), Some(_)) => return Err(BearerError::Repeated),
        (None, _) => return Err(BearerError::Missing),
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(BearerError::Missing),
    }
}

#[cfg(test)]
mod tests;
